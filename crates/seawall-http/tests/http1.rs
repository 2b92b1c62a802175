//! HTTP/1.1 over real sockets: what is used again and what is not, and who notices what.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Pieces, SOON, attempt, get, send_whole, whole};
use http::{Method, Request};
use http_body_util::BodyExt;
use seawall_core::{Cause, Sent, Side, Step};
use seawall_http::{Body, Options, Transport};
use seawall_testkit::{Forgets, Nat, ScriptedReply, ScriptedUpstream};

async fn scripted(
    replies: impl IntoIterator<Item = ScriptedReply>,
) -> (ScriptedUpstream, Transport) {
    let script = ScriptedUpstream::replies(replies).await.unwrap();
    let upstream = Transport::new(&script.url(), Options::default()).unwrap();
    (script, upstream)
}

#[tokio::test]
async fn a_second_request_uses_the_first_ones_connection() {
    let (script, upstream) =
        scripted([ScriptedReply::ok("hello"), ScriptedReply::chunked(&["hel", "lo"])]).await;
    for _ in 0..4 {
        assert_eq!(send_whole(&upstream, get("/")).await.unwrap(), "hello");
    }
    assert_eq!((script.counts().requests, script.counts().opened), (4, 1));
}

#[tokio::test]
async fn a_request_arrives_with_the_upstreams_host_and_base() {
    let script = ScriptedUpstream::replies([ScriptedReply::ok("")]).await.unwrap();
    let upstream = Transport::new(&format!("{}/v1", script.url()), Options::default()).unwrap();
    let mut request = get("/oslo?units=c");
    request.headers_mut().insert("host", "evil".parse().unwrap());
    send_whole(&upstream, request).await.unwrap();
    let seen = &script.seen()[0];
    assert_eq!((seen.method(), seen.target()), ("GET", "/v1/oslo?units=c"));
    assert_eq!(seen.header_values("host"), [script.address().to_string()]);
    assert_eq!(seen.header("content-length"), None);
}

#[tokio::test]
async fn a_body_goes_out_in_the_framing_that_fits() {
    let (script, upstream) = scripted([ScriptedReply::ok("")]).await;
    let sized = Request::post("/").body(Body::full("four")).unwrap();
    send_whole(&upstream, sized).await.unwrap();
    let streamed = Pieces::of(&["fo", "ur"]);
    let streamed = Request::builder().method(Method::GET).uri("/").body(streamed).unwrap();
    send_whole(&upstream, streamed).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].header("content-length"), Some("4"));
    assert_eq!(seen[0].header("transfer-encoding"), None);
    assert_eq!(seen[1].header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen[1].header("content-length"), None);
    assert!(seen.iter().all(|seen| seen.body == "four"));
    assert_eq!(script.counts().opened, 1);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_and_keeps_its_connection() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let (script, upstream) = scripted([ScriptedReply::raw(head)]).await;
    for _ in 0..2 {
        let request = Request::head("/").body(Body::empty()).unwrap();
        let response = upstream.send(request, &attempt()).await.unwrap();
        assert!(response.headers().only("content-length").is_some_and(|length| length == "5"));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
    }
    assert_eq!(script.counts().opened, 1);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_no_attempt() {
    let (mut script, upstream) = scripted([ScriptedReply::ok("hello")]).await;
    send_whole(&upstream, get("/")).await.unwrap();
    script.kill().await;
    script.restart().await.unwrap();
    // A POST: had it been sent into the dead connection, it could not be sent again.
    let request = Request::post("/").body(Body::full("four")).unwrap();
    assert_eq!(send_whole(&upstream, request).await.unwrap(), "hello");
    assert_eq!(script.counts().requests, 2);
}

#[tokio::test]
async fn u4_a_reset_before_the_answer_may_have_been_seen() {
    for reply in [
        ScriptedReply::reset(),
        ScriptedReply::close(),
        ScriptedReply::raw("HTTP/1.1 200 OK\r\nx").then_reset(),
    ] {
        let (_script, upstream) = scripted([reply]).await;
        let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
        assert_eq!((fault.step, fault.cause), (Step::Head, Cause::Reset));
        assert_eq!(fault.sent, Sent::Maybe);
    }
}

#[tokio::test]
async fn u4_a_reset_within_the_body_is_a_fault_and_never_an_end() {
    let reply = ScriptedReply::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        .and(ScriptedReply::wait(Duration::from_millis(5)))
        .then_reset();
    let (_script, upstream) = scripted([reply]).await;
    let response = upstream.send(get("/"), &attempt()).await.unwrap();
    let fault = whole(response).await.unwrap_err();
    assert_eq!((fault.step, fault.cause), (Step::Body, Cause::Truncated));
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let reply = ScriptedReply::raw("HTTP/1.1 200 OK\r\n\r\nhel")
        .and(ScriptedReply::wait(Duration::from_millis(5)))
        .and(ScriptedReply::raw("lo"))
        .then_close();
    let (_script, upstream) = scripted([reply]).await;
    assert_eq!(send_whole(&upstream, get("/")).await.unwrap(), "hello");
}

#[tokio::test]
async fn u7_a_silent_body_is_cut_at_its_limit() {
    let reply =
        ScriptedReply::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").then_hang();
    let (script, upstream) = scripted([reply]).await;
    let mut attempt = attempt();
    attempt.idle = Duration::from_millis(50);
    let response = upstream.send(get("/"), &attempt).await.unwrap();
    let fault = whole(response).await.unwrap_err();
    assert_eq!((fault.step, fault.cause), (Step::Body, Cause::TimedOut));
    script.cancelled(SOON).await;
}

#[tokio::test]
async fn u10_an_answer_is_followed_by_ten_interim_ones_at_most() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let (_script, upstream) = scripted([
        ScriptedReply::raw(interim.repeat(10) + answer),
        ScriptedReply::raw(interim.repeat(11) + answer),
    ])
    .await;
    assert_eq!(send_whole(&upstream, get("/")).await.unwrap(), "hello");
    let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Malformed);
}

#[tokio::test]
async fn u11_a_head_past_its_bound_is_too_large() {
    let reply = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
    let (_script, upstream) = scripted([ScriptedReply::raw(reply)]).await;
    let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
    assert_eq!((fault.step, fault.cause), (Step::Head, Cause::TooLarge));
}

#[tokio::test]
async fn a_head_in_single_bytes_is_read_like_any_other() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (script, upstream) =
        scripted([ScriptedReply::drip(answer, Duration::from_micros(200))]).await;
    for _ in 0..2 {
        assert_eq!(send_whole(&upstream, get("/")).await.unwrap(), "hello");
    }
    assert_eq!(script.counts().opened, 1);
}

#[tokio::test]
async fn a_large_body_arrives_byte_for_byte() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    let (script, upstream) = scripted([ScriptedReply::ok(body.clone())]).await;
    for _ in 0..2 {
        let response = upstream.send(get("/"), &attempt()).await.unwrap();
        assert!(whole(response).await.unwrap() == body);
    }
    assert_eq!(script.counts().opened, 1);
}

#[tokio::test]
async fn an_upstream_that_says_how_long_it_waits_is_believed() {
    let reply = ScriptedReply::with_headers(200, &[("keep-alive", "timeout=1")], "hello");
    let (script, upstream) = scripted([reply]).await;
    for _ in 0..2 {
        send_whole(&upstream, get("/")).await.unwrap();
    }
    // One second, less one to be safe: the connection was not kept at all.
    assert_eq!(script.counts().opened, 2);
}

#[tokio::test]
async fn a_body_that_its_client_fails_to_send_is_the_clients_fault() {
    let (script, upstream) = scripted([ScriptedReply::hang()]).await;
    let request = Request::post("/").body(Pieces::failing(&["fo", "ur"])).unwrap();
    let fault = upstream.send(request, &attempt()).await.unwrap_err();
    assert_eq!((fault.side, fault.cause), (Side::Client, Cause::TooSlow));
    // The upstream never takes what it got for the whole: no last chunk came.
    script.until(SOON, |counts| counts.opened == 1 && counts.closed == 1).await;
    assert_eq!(script.counts().requests, 0);
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended() {
    let script = ScriptedUpstream::replies([ScriptedReply::status(413, "no")]).await.unwrap();
    script.leave_bodies();
    let upstream = Transport::new(&script.url(), Options::default()).unwrap();
    for _ in 0..2 {
        let request = Request::post("/").body(Pieces::endless(&["fo", "ur"])).unwrap();
        let response = upstream.send(request, &attempt()).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(whole(response).await.unwrap(), "no");
    }
    // What is left of the first body must not be read as the second request.
    assert_eq!(script.counts().opened, 2);
}

// Cancellation: the upstream sees it within 50 ms, at every stage (U1, U15).

const AT_ONCE: Duration = Duration::from_millis(50);

async fn check_cancelled(script: &ScriptedUpstream, dropped_at: Instant) {
    let counts = script.cancelled(SOON).await;
    let after = counts.cancelled_at.unwrap().saturating_duration_since(dropped_at);
    assert!(after <= AT_ONCE, "the upstream noticed after {after:?}");
    script.until(SOON, |counts| counts.closed == counts.opened).await;
}

#[tokio::test]
async fn u15_a_caller_that_leaves_while_waiting_is_noticed_at_once() {
    let (script, upstream) = scripted([ScriptedReply::hang()]).await;
    let call = tokio::spawn(async move { upstream.send(get("/"), &attempt()).await });
    script.until(SOON, |counts| counts.in_flight == 1).await;
    let dropped_at = Instant::now();
    call.abort();
    check_cancelled(&script, dropped_at).await;
}

#[tokio::test]
async fn u15_a_caller_that_leaves_while_streaming_is_noticed_at_once() {
    let reply =
        ScriptedReply::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").then_hang();
    let (script, upstream) = scripted([reply]).await;
    let response = upstream.send(get("/"), &attempt()).await.unwrap();
    let dropped_at = Instant::now();
    drop(response);
    check_cancelled(&script, dropped_at).await;
}

#[tokio::test]
async fn u15_a_caller_that_leaves_a_used_connection_is_noticed_at_once() {
    let (script, upstream) = scripted([ScriptedReply::ok("hello"), ScriptedReply::hang()]).await;
    send_whole(&upstream, get("/")).await.unwrap();
    let call = tokio::spawn(async move { upstream.send(get("/"), &attempt()).await });
    script.until(SOON, |counts| counts.in_flight == 1).await;
    let dropped_at = Instant::now();
    call.abort();
    check_cancelled(&script, dropped_at).await;
    assert_eq!(script.counts().opened, 1);
}

#[tokio::test]
async fn u15_a_caller_that_leaves_while_sending_is_noticed_at_once() {
    let script = ScriptedUpstream::replies([ScriptedReply::hang()]).await.unwrap();
    script.leave_bodies();
    let upstream = Transport::new(&script.url(), Options::default()).unwrap();
    let endless = Pieces::endless(&["fo", "ur"]);
    let request = Request::post("/").body(endless).unwrap();
    let call = tokio::spawn(async move { upstream.send(request, &attempt()).await });
    script.until(SOON, |counts| counts.in_flight == 1).await;
    let dropped_at = Instant::now();
    call.abort();
    check_cancelled(&script, dropped_at).await;
}

#[tokio::test]
async fn an_answer_without_a_body_takes_one_wake_up() {
    check_one_wake_up(ScriptedReply::status(204, "")).await;
}

#[tokio::test]
async fn an_answer_whose_body_comes_with_its_head_takes_one_wake_up() {
    check_one_wake_up(ScriptedReply::ok("hello")).await;
}

async fn check_one_wake_up(reply: ScriptedReply) {
    let (_script, upstream) = scripted([reply]).await;
    send_whole(&upstream, get("/")).await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    // A task of its own: what wakes it is counted, and nothing else.
    let requests = tokio::spawn(async move {
        let mut requests = pin!(async {
            for _ in 0..100 {
                send_whole(&upstream, get("/")).await.unwrap();
            }
        });
        poll_fn(|cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            requests.as_mut().poll(cx)
        })
        .await;
    });
    requests.await.unwrap();
    // One each, and a few for answers that came in two pieces.
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 150, "{polls} polls for 100 requests");
}

#[test]
fn two_runtimes_share_an_upstream_but_no_connection() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (script, upstream) = first.block_on(scripted([ScriptedReply::ok("hello")]));
    first.block_on(send_whole(&upstream, get("/"))).unwrap();
    // The server lives on the first runtime, so that one has to run meanwhile.
    std::thread::scope(|threads| {
        let other = threads.spawn(|| {
            for _ in 0..2 {
                second.block_on(send_whole(&upstream, get("/"))).unwrap();
            }
        });
        first.block_on(script.until(SOON, |counts| counts.requests == 3));
        other.join().unwrap();
    });
    first.block_on(send_whole(&upstream, get("/"))).unwrap();
    assert_eq!(script.counts().opened, 2);
}

#[tokio::test]
async fn a_connection_carries_its_number_of_requests_and_no_more() {
    let script = ScriptedUpstream::replies([ScriptedReply::ok("hello")]).await.unwrap();
    let options = Options { requests_max: 3, ..Options::default() };
    let upstream = Transport::new(&script.url(), options).unwrap();
    for _ in 0..9 {
        assert_eq!(send_whole(&upstream, get("/")).await.unwrap(), "hello");
    }
    assert_eq!((script.counts().requests, script.counts().opened), (9, 3));
}

#[tokio::test]
async fn a_reset_on_a_used_connection_is_stale_and_closes_those_idle_for_longer() {
    let script = ScriptedUpstream::replies([ScriptedReply::ok("hello")]).await.unwrap();
    let nat = Nat::before(script.address()).await.unwrap();
    let url = format!("http://{}", nat.address());
    let upstream = Transport::new(&url, Options::default()).unwrap();
    let hello = || async { send_whole(&upstream, get("/")).await.unwrap() };
    tokio::join!(hello(), hello(), hello());
    nat.forget(Forgets::WithReset);

    let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
    assert_eq!((fault.sent, nat.met()), (Sent::Stale, 1));
    assert_eq!(hello().await, "hello");
    assert_eq!((nat.met(), nat.opened()), (1, 4), "the others were not asked");
}

#[tokio::test]
async fn a_reset_after_a_byte_of_the_answer_is_the_upstreams_fault() {
    let half = ScriptedReply::raw("HTTP/1.1 200 OK\r\nx").then_reset();
    let (_script, upstream) = scripted([ScriptedReply::ok("hello"), half]).await;
    send_whole(&upstream, get("/")).await.unwrap();
    let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
    assert_eq!((fault.cause, fault.sent), (Cause::Reset, Sent::Maybe));
}
