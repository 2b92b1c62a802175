//! What a route answers when its call has failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use seawall_core::{CallEvent, CallEventKind, Event, Fate};
use seawall_gateway::{Server, Settings};
use seawall_policy::{Params, rate};
use seawall_testkit::{Events, ScriptedReply, ScriptedUpstream, call_event, server_event};
use seawall_upstream::{Fallback, Prepared, Upstream};

use crate::cache::get;
use crate::house::{House, calling, route, upstream};

fn prepared() -> Fallback {
    let json = HeaderValue::from_static("application/json");
    Fallback::Prepared(Prepared::new(StatusCode::OK, json, r#"{"degraded":true}"#))
}

async fn house(
    params: Params,
    origin: &ScriptedUpstream,
    fallback: impl FnOnce(&Arc<Events>) -> Fallback,
) -> House {
    let ledger = Arc::new(Events::default());
    let upstream = upstream(origin.address(), params, &ledger);
    // Does nothing without a breaker.
    upstream.policy().isolate(Instant::now() + Duration::from_secs(60));
    let fallback = Some(fallback(&ledger));
    let routes =
        vec![calling(route("* /{*rest}", &upstream), |operation| operation.fallback = fallback)];
    House::serving(Settings { server: Server::default(), routes }, ledger).await
}

fn other(second: &ScriptedUpstream, ledger: &Arc<Events>) -> Fallback {
    let first = upstream(second.address(), Params::bare(), ledger);
    let (policy, http) = (first.policy().clone(), first.protocol().clone());
    Fallback::Upstream(Upstream::new("second", policy, http))
}

#[track_caller]
fn check_prepared(answer: &str, attempts: u32) {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    let outcome = format!("seawall-outcome: fallback; upstream=origin; attempts={attempts};");
    assert!(answer.contains(&outcome), "{answer}");
    assert!(answer.ends_with(r#"{"degraded":true}"#), "{answer}");
}

#[tokio::test]
async fn something_prepared_is_answered_for_failures_resets_and_refusals() {
    let replies = [ScriptedReply::status(500, "no"), ScriptedReply::reset()];
    let origin = ScriptedUpstream::replies(replies).await.unwrap();
    let house = house(Params::bare(), &origin, |_| prepared()).await;
    for _ in 0..2 {
        check_prepared(&house.ask(&get("/a", "")).await, 1);
    }
    assert_eq!(house.ledger.count(&call_event!(FellBack { .. })), 2);
    assert_eq!(
        house.ledger.count(&call_event!(FellBack { fate: Fate::Failed })),
        2,
        "it says what it was before"
    );
    assert_eq!(
        house.ledger.count(&server_event!(RequestEnded { fate: Fate::Fallback, status: 200, .. })),
        2
    );

    let params = Params { breaker: Some(Default::default()), ..Params::bare() };
    let origin = ScriptedUpstream::replies([]).await.unwrap();
    let house = self::house(params, &origin, |_| prepared()).await;
    check_prepared(&house.ask(&get("/a", "")).await, 0);
    assert_eq!(house.ledger.count(&call_event!(FellBack { fate: Fate::RejectedBreaker })), 1);
}

#[tokio::test]
async fn what_the_client_did_wrong_it_is_told() {
    let origin = ScriptedUpstream::answering(|_| ScriptedReply::status(404, "none")).await.unwrap();
    let house = house(Params::bare(), &origin, |_| prepared()).await;
    let answer = house.ask(&get("/a", "")).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("none"), "{answer}");

    let mut client = house.client().await;
    client.send("POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    let keyed = Some(rate::Keyed { keys_max: 8 });
    let rate = rate::Params { per_second: 0.1, burst: 1, keyed, ..Default::default() };
    let params = Params { rate: Some(rate), ..Params::bare() };
    let origin = ScriptedUpstream::answering(|_| ScriptedReply::ok("x")).await.unwrap();
    let house = self::house(params.clone(), &origin, |_| prepared()).await;
    house.ask(&get("/a", "")).await;
    let answer = house.ask(&get("/a", "")).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "its own rate: {answer}");

    let rate = params.rate.map(|rate| rate::Params { keyed: None, ..rate });
    let house = self::house(Params { rate, ..params }, &origin, |_| prepared()).await;
    house.ask(&get("/a", "")).await;
    check_prepared(&house.ask(&get("/a", "")).await, 0);
}

#[tokio::test]
async fn i3_an_early_answer_reads_what_is_left_of_the_body() {
    let params = Params { breaker: Some(Default::default()), ..Params::bare() };
    let origin = ScriptedUpstream::replies([]).await.unwrap();
    let house = house(params, &origin, |_| prepared()).await;
    let mut client = house.client().await;
    client.send("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 28\r\n\r\nGET /b HTTP/1.1\r\nhost: i\r\n\r\n").await;
    client.until(r#"{"degraded":true}"#).await;
    client.send(&get("/a", "")).await;
    let rest = client.rest().await;
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "the body was not read as a request: {rest}");
    assert_eq!(house.ledger.count(&server_event!(RequestStarted { .. })), 2);
}

#[tokio::test]
async fn another_upstream_is_asked_the_same() {
    let first = ScriptedUpstream::answering(|_| ScriptedReply::reset()).await.unwrap();
    let second =
        ScriptedUpstream::answering(|_| ScriptedReply::ok("from the second")).await.unwrap();
    let house = house(Params::bare(), &first, |ledger| other(&second, ledger)).await;
    let put =
        "PUT /a?x=1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let answer = house.ask(put).await;
    assert!(answer.ends_with("from the second"), "{answer}");
    assert!(answer.contains("seawall-outcome: fallback; upstream=origin; attempts=2;"), "{answer}");
    let seen = second.seen();
    assert_eq!((seen[0].method(), seen[0].target()), ("PUT", "/a?x=1"));
    assert_eq!(&*seen[0].body, b"hello");
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_not_sent_to_another() {
    let first = ScriptedUpstream::answering(|_| ScriptedReply::reset()).await.unwrap();
    let second = ScriptedUpstream::answering(|_| ScriptedReply::ok("twice")).await.unwrap();
    let house = house(Params::bare(), &first, |ledger| other(&second, ledger)).await;
    let post = "POST /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let answer = house.ask(post).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(second.counts().requests, 0);
}

#[tokio::test]
async fn when_the_other_fails_too_the_first_failure_stands() {
    let first = ScriptedUpstream::answering(|_| ScriptedReply::status(503, "first")).await.unwrap();
    let second =
        ScriptedUpstream::answering(|_| ScriptedReply::status(500, "second")).await.unwrap();
    let house = house(Params::bare(), &first, |ledger| other(&second, ledger)).await;
    let answer = house.ask(&get("/a", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("first"), "{answer}");
    assert_eq!(house.ledger.count(&call_event!(FellBack { .. })), 0);
}

#[tokio::test]
async fn an_old_answer_comes_before_a_prepared_one() {
    let replies = [
        ScriptedReply::with_headers(200, &[("cache-control", "max-age=0")], "old"),
        ScriptedReply::status(500, "no"),
        ScriptedReply::status(500, "no"),
    ];
    let origin = ScriptedUpstream::replies(replies).await.unwrap();
    let params = Params { cache: Some(Default::default()), ..Params::bare() };
    let house = house(params, &origin, |_| prepared()).await;
    house.ask(&get("/a", "")).await;
    let answer = house.ask(&get("/a", "")).await;
    assert!(answer.contains("seawall-outcome: stale;") && answer.ends_with("old"), "{answer}");
    check_prepared(&house.ask(&get("/b", "")).await, 1);
}

#[tokio::test]
async fn a_call_to_another_upstream_is_told_as_made_for_the_one_that_failed() {
    let origin = ScriptedUpstream::replies([Reply::status(500, "no")]).await.unwrap();
    let second = ScriptedUpstream::answering(|_| Reply::ok("second")).await.unwrap();
    let house = house(Params::bare(), &origin, |ledger| other(&second, ledger)).await;
    assert!(house.ask(&get("/a", "")).await.ends_with("second"));
    let told = house.ledger.all().into_iter();
    let mut started = told.filter_map(|event| match event {
        Event::Call(CallEvent { call, origin, kind: CallEventKind::Started, .. }) => {
            Some((*call, origin.parent))
        }
        _ => None,
    });
    let (first, parent) = started.next().unwrap();
    assert_eq!(parent, None);
    let request = server_event!(RequestStarted { call, .. } if *call == first);
    assert_eq!(house.ledger.count(&request), 1, "the first is the request's own");
    assert!(
        matches!(started.next(), Some((other, Some(whose))) if whose == first && other != first)
    );
}
