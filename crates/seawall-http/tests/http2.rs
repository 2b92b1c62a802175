//! HTTP/2 over real sockets: streams share a connection, and leave it one by one.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Pieces, SOON, attempt, get, send_whole, whole};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_core::{Cause, Deadline, Sent, Step};
use seawall_http::{Body, Options, Transport};
use seawall_testkit::{Forgets, Nat};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the server has seen so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    opened: usize,
    closed: usize,
    in_flight: usize,
    left: usize,
}

/// Counts a request; one that is dropped has left before its answer.
struct InFlight(Arc<watch::Sender<Counts>>, bool);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|counts| {
            counts.in_flight -= 1;
            counts.left += usize::from(!self.1);
        });
    }
}

struct Server {
    address: SocketAddr,
    upstream: Transport,
    counts: watch::Receiver<Counts>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers `/hang` never, `/endless` with a body that stops, and anything else with what it
    /// was sent.
    async fn start(streams_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let (tx, counts) = watch::channel(Counts::default());
        let tx = Arc::new(tx);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let counts = Arc::clone(&tx);
                connections.spawn(async move {
                    counts.send_modify(|counts| counts.opened += 1);
                    let each = service_fn(|request| answer(request, Arc::clone(&counts)));
                    let _ = http2::Builder::new(TokioExecutor::new())
                        .max_concurrent_streams(streams_max)
                        .serve_connection(TokioIo::new(stream), each)
                        .await;
                    counts.send_modify(|counts| counts.closed += 1);
                });
            }
        });
        let upstream = Transport::new(&url, options()).unwrap();
        Self { address, upstream, counts, _tasks: tasks }
    }

    /// Reaches the server through something that can forget connections.
    async fn behind_a_nat(&self) -> (Nat, Transport) {
        let nat = Nat::before(self.address).await.unwrap();
        let upstream = Transport::new(&format!("http://{}", nat.address()), options()).unwrap();
        (nat, upstream)
    }

    async fn until(&mut self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        let waited = tokio::time::timeout(SOON, self.counts.wait_for(wanted)).await;
        *waited.expect("the server never saw it").unwrap()
    }
}

fn options() -> Options {
    Options { http2: true, ..Options::default() }
}

async fn answer(
    request: Request<Incoming>,
    counts: Arc<watch::Sender<Counts>>,
) -> Result<Response<Body>, Infallible> {
    counts.send_modify(|counts| counts.in_flight += 1);
    let mut in_flight = InFlight(counts, false);
    let body = match request.uri().path() {
        "/hang" => std::future::pending().await,
        "/endless" => Pieces::endless(&["hello"]),
        _ => {
            let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            let text = [host.as_bytes(), b" ", &sent].concat();
            Body::boxed(Full::new(Bytes::from(text)).map_err(|never| match never {}))
        }
    };
    in_flight.1 = true;
    Ok(Response::new(body))
}

#[tokio::test]
async fn requests_share_a_connection() {
    let mut server = Server::start(100).await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let upstream = server.upstream.clone();
        calls.spawn(async move {
            let request = Request::post("/").body(Pieces::of(&["fo", "ur"])).unwrap();
            send_whole(&upstream, request).await
        });
    }
    while let Some(body) = calls.join_next().await {
        let body = body.unwrap().unwrap();
        assert!(body.ends_with(b" four") && body.starts_with(b"127.0.0.1:"), "{body:?}");
    }
    assert_eq!(server.until(|counts| counts.in_flight == 0).await.opened, 1);
}

#[tokio::test]
async fn more_requests_than_streams_open_another_connection() {
    let mut server = Server::start(2).await;
    // The first exchange tells how many streams there may be.
    send_whole(&server.upstream, get("/")).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let upstream = server.upstream.clone();
        calls.spawn(async move { upstream.send(get("/hang"), &attempt()).await });
    }
    let counts = server.until(|counts| counts.in_flight == 4).await;
    assert!(counts.opened >= 2, "{counts:?}");
}

#[tokio::test]
async fn u15_a_caller_that_leaves_resets_its_stream_and_no_other() {
    let mut server = Server::start(100).await;
    let waiting = tokio::spawn({
        let upstream = server.upstream.clone();
        async move { upstream.send(get("/hang"), &attempt()).await }
    });
    server.until(|counts| counts.in_flight == 1).await;
    waiting.abort();
    let left =
        tokio::time::timeout(Duration::from_secs(1), server.until(|counts| counts.left == 1));
    assert_eq!(left.await.unwrap().in_flight, 0);
    send_whole(&server.upstream, get("/")).await.unwrap();
    assert_eq!(server.counts.borrow().opened, 1);
}

#[tokio::test]
async fn a_body_that_is_dropped_leaves_its_connection_to_others() {
    let server = Server::start(1).await;
    for _ in 0..3 {
        let response = server.upstream.send(get("/endless"), &attempt()).await.unwrap();
        drop(response);
    }
    send_whole(&server.upstream, get("/")).await.unwrap();
}

#[tokio::test]
async fn u4_a_connection_that_ends_within_a_body_cuts_it() {
    let Server { upstream, _tasks: tasks, .. } = Server::start(100).await;
    let response = upstream.send(get("/endless"), &attempt()).await.unwrap();
    drop(tasks);
    let fault = whole(response).await.unwrap_err();
    assert_eq!((fault.step, fault.cause), (Step::Body, Cause::Truncated));
}

#[tokio::test]
async fn an_upstream_without_http2_is_a_malformed_answer_or_a_reset() {
    let reply = seawall_testkit::ScriptedReply::ok("hello");
    let script = seawall_testkit::ScriptedUpstream::replies([reply]).await.unwrap();
    let options = Options { http2: true, ..Options::default() };
    let upstream = Transport::new(&script.url(), options).unwrap();
    let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
    assert!(matches!(fault.cause, Cause::Malformed | Cause::Reset), "{fault:?}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut server = Server::start(100).await;
    let options =
        Options { http2: true, idle_timeout: Duration::from_millis(20), ..Options::default() };
    // The address is the server's; only the patience is another.
    let url = {
        let body = send_whole(&server.upstream, get("/")).await.unwrap();
        format!("http://{}", String::from_utf8(body.to_vec()).unwrap().trim())
    };
    let hasty = Transport::new(&url, options).unwrap();
    send_whole(&hasty, get("/")).await.unwrap();
    server.until(|counts| counts.closed == 1).await;
    send_whole(&hasty, get("/")).await.unwrap();
}

#[tokio::test]
async fn a_forgotten_connection_is_stale_and_a_fresh_one_is_opened_once() {
    let server = Server::start(100).await;
    let (nat, upstream) = server.behind_a_nat().await;
    // Twice: nothing is under way after the second answer, not even an acknowledgement.
    let quiet = async || {
        for _ in 0..2 {
            send_whole(&upstream, get("/")).await.unwrap();
        }
    };
    quiet().await;
    nat.forget(Forgets::WithReset);
    let fault = upstream.send(get("/"), &attempt()).await.unwrap_err();
    assert_eq!(fault.sent, Sent::Stale, "{fault:?}");

    quiet().await;
    nat.forget(Forgets::WithReset);
    let again = async || {
        let sent = upstream.send_or_resend(|| get("/"), || true, &attempt(), None).await;
        whole(sent.unwrap()).await.unwrap()
    };
    tokio::join!(again(), again(), again(), again());
    assert_eq!(nat.opened(), 3, "the four shared a fresh one");
}

#[tokio::test]
async fn a_silent_connection_gets_no_more_streams_once_an_attempt_ran_out_of_time_on_it() {
    let server = Server::start(100).await;
    let (nat, upstream) = server.behind_a_nat().await;
    send_whole(&upstream, get("/")).await.unwrap();
    nat.forget(Forgets::InSilence);

    let deadline = Instant::now() + Duration::from_millis(50);
    let mut attempt = attempt();
    attempt.deadline = Deadline::at(deadline);
    let cut = tokio::time::timeout_at(deadline.into(), upstream.send(get("/"), &attempt)).await;
    assert!(cut.is_err());
    send_whole(&upstream, get("/")).await.unwrap();
    assert_eq!(nat.opened(), 2);
}

#[tokio::test]
async fn a_connection_carries_its_number_of_streams_and_no_more() {
    let mut server = Server::start(100).await;
    let url = format!("http://{}", server.address);
    let upstream = Transport::new(&url, Options { requests_max: 3, ..options() }).unwrap();
    for _ in 0..9 {
        send_whole(&upstream, get("/")).await.unwrap();
    }
    assert_eq!(server.until(|counts| counts.opened >= 3).await.opened, 3);
}
