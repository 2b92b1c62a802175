//! The scripted upstream does what its script says, and sees what it should.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use seawall_policy::sim::{Behaviour, Capacity, Latency, Scenario, ScenarioPhase};
use seawall_testkit::{ScriptedReply, ScriptedUpstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(5);
const GET: &str = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n";

async fn ask(upstream: &ScriptedUpstream, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn rest(mut stream: TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map(|_| text)
}

#[tokio::test]
async fn replies_come_in_their_order_and_the_last_one_stays() {
    let replies = [ScriptedReply::status(503, ""), ScriptedReply::ok("hello").then_close()];
    let upstream = ScriptedUpstream::replies(replies).await.unwrap();
    let stream = ask(&upstream, &GET.repeat(2)).await;
    let text = rest(stream).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(text.ends_with("hello"), "{text}");
    assert!(rest(ask(&upstream, GET).await).await.unwrap().ends_with("hello"));
}

#[tokio::test]
async fn a_request_is_seen_with_its_body_in_either_framing() {
    let upstream = ScriptedUpstream::replies([ScriptedReply::ok("")]).await.unwrap();
    let sized = "POST /s HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    let chunked =
        "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
    let _stream = ask(&upstream, &format!("{sized}{chunked}")).await;
    upstream.until(SOON, |counts| counts.finished == 2).await;
    let seen = upstream.seen();
    assert_eq!((seen[0].target(), seen[1].target()), ("/s", "/c"));
    assert_eq!((&seen[0].body[..], &seen[1].body[..]), (&b"body"[..], &b"body"[..]));
    assert_eq!(seen[0].header("content-length"), Some("4"));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_close_is_a_close() {
    let upstream =
        ScriptedUpstream::replies([ScriptedReply::close(), ScriptedReply::reset()]).await.unwrap();
    assert_eq!(rest(ask(&upstream, GET).await).await.unwrap(), "");
    let error = rest(ask(&upstream, GET).await).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_cancelled() {
    let upstream = ScriptedUpstream::replies([ScriptedReply::hang()]).await.unwrap();
    let stream = ask(&upstream, GET).await;
    let counts = upstream.until(SOON, |counts| counts.in_flight == 1).await;
    assert_eq!(counts.cancelled, 0);
    drop(stream);
    let counts = upstream.cancelled(SOON).await;
    assert_eq!((counts.in_flight, counts.in_flight_max, counts.finished), (0, 1, 0));
}

#[tokio::test]
async fn a_killed_upstream_refuses_until_it_is_back_on_its_port() {
    let mut upstream = ScriptedUpstream::replies([ScriptedReply::hang()]).await.unwrap();
    let stream = ask(&upstream, GET).await;
    upstream.until(SOON, |counts| counts.in_flight == 1).await;
    upstream.kill().await;
    // Cut, whether it looks like an end or a reset.
    assert!(rest(stream).await.is_ok_and(|text| text.is_empty()));
    assert!(TcpStream::connect(upstream.address()).await.is_err());
    upstream.restart().await.unwrap();
    assert!(TcpStream::connect(upstream.address()).await.is_ok());
}

#[tokio::test]
async fn a_conversation_answers_in_the_order_of_the_test() {
    let mut upstream = ScriptedUpstream::conversation().await.unwrap();
    let first = ask(&upstream, "GET /1 HTTP/1.1\r\n\r\n").await;
    let asked_first = upstream.asked().await;
    let second = ask(&upstream, "GET /2 HTTP/1.1\r\n\r\n").await;
    let asked_second = upstream.asked().await;
    assert_eq!((asked_first.target(), asked_second.target()), ("/1", "/2"));
    asked_second.reply(ScriptedReply::ok("two").then_close());
    assert!(rest(second).await.unwrap().ends_with("two"));
    asked_first.reply(ScriptedReply::ok("one").then_close());
    assert!(rest(first).await.unwrap().ends_with("one"));
}

fn scenario(behaviour: Behaviour) -> Scenario {
    let phase = ScenarioPhase { name: "only".to_owned(), lasts: SOON, behaviour };
    Scenario { phases: vec![phase], repeat: false }
}

/// One at a time, and each takes a minute.
fn busy() -> Scenario {
    let minute = Duration::from_secs(60);
    scenario(Behaviour {
        latency: Latency { median: minute, p99: minute },
        capacity: Some(Capacity { slots: 1, queue: 0 }),
        errors: 0.0,
        ..Behaviour::default()
    })
}

#[tokio::test]
async fn a_simulated_upstream_that_is_full_says_503() {
    let upstream = ScriptedUpstream::simulated(busy(), 1, true).await.unwrap();
    let _first = ask(&upstream, GET).await;
    upstream.until(SOON, |counts| counts.in_flight == 1).await;
    let mut second = ask(&upstream, GET).await;
    let mut start = [0; 12];
    second.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 503");
}

#[tokio::test]
async fn only_an_upstream_that_notices_leaving_is_free_again_at_once() {
    for notices_leaving in [true, false] {
        let upstream = ScriptedUpstream::simulated(busy(), 1, notices_leaving).await.unwrap();
        let first = ask(&upstream, GET).await;
        upstream.until(SOON, |counts| counts.in_flight == 1).await;
        drop(first);
        upstream.cancelled(SOON).await;
        let _second = ask(&upstream, GET).await;
        // Either it works on the second for its minute, or it has answered at once: full.
        let counts = upstream.until(SOON, |counts| counts.requests == 2).await;
        if notices_leaving {
            assert_eq!((counts.in_flight, counts.finished), (1, 0));
        } else {
            upstream.until(SOON, |counts| counts.finished == 1).await;
        }
    }
}

#[tokio::test]
async fn a_simulated_upstream_that_is_down_resets_whoever_comes() {
    let down = scenario(Behaviour { is_down: true, ..Behaviour::default() });
    let upstream = ScriptedUpstream::simulated(down, 1, true).await.unwrap();
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
    assert_eq!(upstream.counts().opened, 0);
}
