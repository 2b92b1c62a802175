//! Row U8: every origin fault ends as it has to, and none reaches the next request.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::time::Duration;

use common::{SOON, attempt, get, whole};
use seawall_core::Fault;
use seawall_http::{Options, Transport};
use seawall_testkit::faults::{self, ExpectedEnd, GOOD, OriginFault};
use seawall_testkit::{ScriptedReply, ScriptedUpstream};

/// Says what became of a request.
enum End {
    /// No head came; 502.
    Refused(Fault),
    /// The head came, and the body did not end.
    Cut(Fault),
    Whole(u16, bytes::Bytes),
    /// Nothing ended it.
    Never,
}

async fn run(fault: &OriginFault) -> (End, String) {
    let broken = fault.reply();
    let script = ScriptedUpstream::answering(move |seen| match seen.target() {
        "/fault" => broken.clone(),
        _ => ScriptedReply::ok("the next answer"),
    })
    .await
    .unwrap();
    let upstream = Transport::new(&script.url(), Options::default()).unwrap();
    let mut attempt = attempt();
    attempt.idle = Duration::from_millis(200);
    let first = async {
        match upstream.send(get("/fault"), &attempt).await {
            Err(fault) => End::Refused(fault),
            Ok(response) => {
                let status = response.status().as_u16();
                match whole(response).await {
                    Ok(body) => End::Whole(status, body),
                    Err(fault) => End::Cut(fault),
                }
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_millis(500), first).await.unwrap_or(End::Never);
    // The connection is gone before anyone asks for the next answer.
    script.until(SOON, |counts| counts.closed == counts.opened).await;
    let next = upstream.send(get("/next"), &attempt).await.unwrap();
    let next = whole(next).await.unwrap();
    (end, String::from_utf8(next.to_vec()).unwrap())
}

#[tokio::test]
async fn u8_every_origin_fault_ends_as_it_has_to_and_none_reaches_the_next_request() {
    let mut wrong = Vec::new();
    for fault in &faults::ALL {
        let (end, next) = run(fault).await;
        let end = match (fault.ends, end) {
            (ExpectedEnd::Refused | ExpectedEnd::Cut, End::Refused(_)) => Ok(()),
            (ExpectedEnd::Cut, End::Cut(_)) => Ok(()),
            (ExpectedEnd::Never, End::Never | End::Cut(_)) => Ok(()),
            (ExpectedEnd::Whole, End::Whole(200, body)) if body == GOOD => Ok(()),
            (ExpectedEnd::Whole, End::Whole(204, body)) if body.is_empty() => Ok(()),
            (_, End::Refused(fault) | End::Cut(fault)) => Err(format!("{fault}")),
            (_, End::Whole(status, body)) => Err(format!("{status} with {body:?}")),
            (_, End::Never) => Err("never".to_owned()),
        };
        if let Err(end) = end {
            wrong.push(format!("{} must end {:?} but ended {end}", fault.name, fault.ends));
        }
        if next != "the next answer" {
            wrong.push(format!("{}: the next request was answered with {next:?}", fault.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
