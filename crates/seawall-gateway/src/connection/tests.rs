//! Connections over pipes in memory, under paused time: how they end, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seawall_call::Policy;
use seawall_core::{
    Event, Observer, Observers, RequestEnd, RequestRecord, RouteId, Silent, UpstreamId,
};
use seawall_http::{Simulation, Transport};
use seawall_policy::{Params, bulkhead};
use seawall_testkit::{Events, server_event};
use seawall_upstream::{Http, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::request::source;
use crate::{Gateway, Route, Server, ServerLimits, Settings};
use seawall_http::Tcp;
use seawall_http::server::DrainPhase;

const NOT_FOUND: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

/// A client, and the connection that serves it: it ends with how and after how long.
struct Scene {
    gateway: Gateway,
    client: DuplexStream,
    connection: Arc<ConnectionState>,
    served: JoinHandle<(Left, Duration)>,
}

impl Scene {
    /// Opens a connection whose pipe holds `room` bytes each way, to a gateway without routes.
    fn open(room: usize) -> Self {
        Self::serving(room, Settings::default(), Arc::new(Silent))
    }

    fn serving(room: usize, settings: Settings, observers: impl Into<Observers>) -> Self {
        Self::connect(room, Gateway::new(settings, observers).unwrap())
    }

    fn connect(room: usize, gateway: Gateway) -> Self {
        let (client, socket) = tokio::io::duplex(room);
        let connection =
            Arc::new(ConnectionState::new("192.0.2.1:1".parse().unwrap(), DrainPhase::Serving));
        let served = tokio::spawn({
            let (gateway, connection) = (gateway.shared(), Arc::clone(&connection));
            async move {
                let opened = Instant::now();
                let left = serve(gateway, socket, connection).await;
                (left, opened.elapsed())
            }
        });
        Self { gateway, client, connection, served }
    }

    /// Opens another connection to the same gateway.
    fn again(&self) -> Self {
        Self::connect(64 * 1024, self.gateway.clone())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// Reads one answer without a body, or the head of one.
    async fn head(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(char::from(self.client.read_u8().await.unwrap()));
        }
        text
    }

    async fn rest(&mut self) -> String {
        let mut text = String::new();
        self.client.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Expects that the connection ends like this, so many seconds after it was opened.
    async fn check_left(self, left: Left, seconds: u64) {
        let (how, after) = self.served.await.unwrap();
        assert_eq!((how, after.as_secs()), (left, seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_connection_is_closed_after_10_s() {
    let mut scene = Scene::open(1024);
    assert_eq!(scene.rest().await, "");
    scene.check_left(Left::FirstByteTimeout, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_answered_with_408_after_10_s() {
    let mut scene = Scene::open(1024);
    for byte in NOT_FOUND.iter().take(8) {
        scene.send(&[*byte]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let answer = scene.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // A client that does not close in turn is given a second.
    scene.check_left(Left::HeadTimeout, 10 + 1).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_preface_is_closed_after_10_s() {
    let mut scene = Scene::open(1024);
    scene.send(b"PRI * HTTP/2.0\r\n").await;
    scene.check_left(Left::HeadTimeout, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_60_s_after_its_last_answer() {
    let mut scene = Scene::open(1024);
    for _ in 0..2 {
        scene.send(NOT_FOUND).await;
        scene.head().await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    scene.check_left(Left::IdleTimeout, 20 + 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_10_s_of_its_own() {
    let mut scene = Scene::open(1024);
    scene.send(NOT_FOUND).await;
    scene.head().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    scene.send(b"GET / HTTP/1.1\r\n").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    scene.send(b"host: h\r\n").await;
    scene.check_left(Left::HeadTimeout, 30 + 10 + 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_given_up_after_30_s() {
    let mut scene = Scene::open(64);
    scene.send(NOT_FOUND).await;
    scene.check_left(Left::WriteStall, 30).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_one_that_does_not_read() {
    let mut scene = Scene::open(64);
    scene.send(NOT_FOUND).await;
    let mut text = String::new();
    while !text.ends_with('}') {
        text.push(char::from(scene.client.read_u8().await.unwrap()));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    drop(scene.client);
    assert_eq!(scene.served.await.unwrap().0, Left::Finished);
}

#[tokio::test(start_paused = true)]
async fn the_last_request_of_a_connection_says_so() {
    let mut scene = Scene::open(4096);
    for _ in 0..999 {
        scene.send(NOT_FOUND).await;
        let head = scene.head().await;
        assert!(!head.contains("connection: close"), "{head}");
        let mut body = vec![0; length(&head)];
        scene.client.read_exact(&mut body).await.unwrap();
    }
    scene.send(NOT_FOUND).await;
    assert!(scene.rest().await.contains("\r\nconnection: close\r\n"));
    scene.check_left(Left::Finished, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_closes_an_idle_connection_at_once() {
    let mut scene = Scene::open(1024);
    scene.send(NOT_FOUND).await;
    scene.head().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    scene.connection.advance(DrainPhase::Draining);
    scene.check_left(Left::Finished, 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_a_client_that_just_had_an_answer_a_second_for_the_next_request() {
    let mut scene = Scene::open(1024);
    tokio::time::sleep(Duration::from_secs(5)).await;
    scene.send(NOT_FOUND).await;
    scene.head().await;
    scene.connection.advance(DrainPhase::Draining);
    scene.check_left(Left::Finished, 5 + 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_closes_a_connection_that_has_not_spoken_for_a_second() {
    for (opened, closed) in [(0, 1), (5, 5)] {
        let scene = Scene::open(1024);
        tokio::time::sleep(Duration::from_secs(opened)).await;
        scene.connection.advance(DrainPhase::Draining);
        scene.check_left(Left::Finished, closed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_a_connection_at_once() {
    for first in [&b""[..], b"GET", NOT_FOUND, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut scene = Scene::open(4096);
        scene.send(first).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.connection.advance(DrainPhase::Cut);
        scene.check_left(Left::Cut, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed_after_60_s() {
    let mut scene = Scene::open(4096);
    scene.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    // The client answers nothing, so that it is the ping that finds it dead.
    let (how, after) = scene.served.await.unwrap();
    assert!(matches!(how, Left::ClientGone | Left::IdleTimeout | Left::Finished), "{how:?}");
    assert!(after <= Duration::from_secs(66), "{after:?}");
}

fn length(head: &str) -> usize {
    let value = head.split("content-length: ").nth(1).unwrap();
    value.split("\r\n").next().unwrap().parse().unwrap()
}

const POST: &str = "POST /a HTTP/1.1\r\nhost: h\r\n";

/// Opens a connection to a gateway that sends everything to a simulated upstream.
fn simulated(server: Server, observers: impl Into<Observers>) -> Scene {
    let observers: Observers = observers.into();
    let id = UpstreamId(0);
    let simulation = Simulation::named("calm?latency=10ms&errors=0%").unwrap();
    let limit = bulkhead::Params { in_flight_max: 1, queue_max: 1, ..bulkhead::Params::default() };
    let params = Params { limit: Some(limit), ..Params::standard() };
    let policy = Policy::new(id, params, observers.clone());
    let upstream = Upstream::new("sim", policy, Http::new(Transport::simulated(simulation)));
    let route = Route::new(RouteId(0), None, "/a", upstream).unwrap();
    Scene::serving(64 * 1024, Settings { server, routes: vec![route] }, observers)
}

impl Scene {
    /// Reads one answer; returns its head and body.
    async fn answer(&mut self) -> String {
        let head = self.head().await;
        let mut body = vec![0; length(&head)];
        self.client.read_exact(&mut body).await.unwrap();
        head + &String::from_utf8(body).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_answered_with_408_and_is_nobodys_failure() {
    let mut scene = simulated(Server::default(), Arc::new(Silent));
    scene.send(format!("{POST}content-length: 10000\r\n\r\n").as_bytes()).await;
    let writer = &mut scene.client;
    let (mut reader, mut writer) = tokio::io::split(writer);
    let dripping = async {
        // 100 bytes a second, where 240 are wanted.
        while writer.write_all(&[b'x'; 100]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut text = String::new();
    let answered = reader.read_to_string(&mut text);
    tokio::select! { read = answered => { read.unwrap(); } () = dripping => {} }
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains("urn:seawall:body-too-slow"), "{text}");
    let (how, after) = scene.served.await.unwrap();
    assert_eq!(how, Left::BodyTooSlow);
    // Five seconds of patience, and what the parting takes.
    assert!((5..=7).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_above_the_floor_may_take_its_time() {
    let mut scene = simulated(Server::default(), Arc::new(Silent));
    scene.send(format!("{POST}content-length: 2400\r\n\r\n").as_bytes()).await;
    for _ in 0..8 {
        scene.send(&[b'x'; 300]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(scene.answer().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_announced_too_large_is_refused_unread() {
    let mut scene = simulated(Server::default(), Arc::new(Silent));
    let head = format!("{POST}expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n");
    scene.send(head.as_bytes()).await;
    let answer = scene.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_turns_out_too_large_is_refused() {
    let limits = ServerLimits { body_bytes_max: 10, ..ServerLimits::default() };
    let mut scene = simulated(Server { limits, ..Server::default() }, Arc::new(Silent));
    let chunks = "transfer-encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n";
    scene.send(format!("{POST}{chunks}").as_bytes()).await;
    let answer = scene.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_bad_chunk_is_answered_with_400_and_the_connection_closed() {
    let mut scene = simulated(Server::default(), Arc::new(Silent));
    let chunks = "transfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n";
    scene.send(format!("{POST}{chunks}").as_bytes()).await;
    scene.send(NOT_FOUND).await;
    let answer = scene.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(scene.served.await.unwrap().0, Left::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_to_be_asked_is_asked() {
    let mut scene = simulated(Server::default(), Arc::new(Silent));
    scene.send(format!("{POST}expect: 100-continue\r\ncontent-length: 2\r\n\r\n").as_bytes()).await;
    assert_eq!(scene.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    scene.send(b"ok").await;
    assert!(scene.answer().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(start_paused = true)]
async fn i3_an_early_answer_drains_or_closes() {
    let refused = "POST /nowhere HTTP/1.1\r\nhost: h\r\n";
    // All here: the connection goes on, and the body is not the next request.
    let mut scene = simulated(Server::default(), Arc::new(Silent));
    let smuggled = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
    let head = format!("{refused}content-length: {}\r\n\r\n{smuggled}", smuggled.len());
    scene.send(head.as_bytes()).await;
    assert!(scene.answer().await.starts_with("HTTP/1.1 404 "));
    scene.send(format!("{POST}content-length: 0\r\n\r\n").as_bytes()).await;
    assert!(scene.answer().await.starts_with("HTTP/1.1 200 "));

    // Not all here, or too much, or not asked for yet: the connection ends.
    let half = format!("{refused}content-length: {}\r\n\r\nGET", smuggled.len());
    let much = format!("{refused}content-length: 99999\r\n\r\n{}", "x".repeat(60_000));
    let waits = format!("{refused}expect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    for request in [half, much, waits] {
        let mut scene = simulated(Server::default(), Arc::new(Silent));
        scene.send(request.as_bytes()).await;
        let answer = scene.rest().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn p5_a_panic_answers_500_and_leaks_nothing() {
    let events = Arc::new(Events::default());
    for _ in 0..100 {
        let mut scene = simulated(Server::default(), Arc::clone(&events));
        // At the end of the request, while its answer still holds a place. The bulkhead has one: if
        // the panic kept it, the next one would wait for ever.
        scene.gateway.shared().has_bug.store(true, Ordering::Relaxed);
        scene.send(format!("{POST}content-length: 0\r\n\r\n").as_bytes()).await;
        let answer = scene.rest().await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert_eq!(scene.gateway.in_flight(), 0);

        scene = scene.again();
        scene.send(format!("{POST}content-length: 0\r\n\r\n").as_bytes()).await;
        assert!(scene.answer().await.starts_with("HTTP/1.1 200 "));
        assert_eq!(scene.gateway.in_flight(), 0);
    }
    assert_eq!(events.count(&server_event!(Panicked)), 100);
    assert_eq!(events.count(&server_event!(RequestOver { .. })), 100);
    let words = "a bug of ours: it panicked";
    let failed = |request: &RequestRecord<'_>| {
        (request.end, request.status, request.path, request.cause)
            == (RequestEnd::Failed, 500, "/a", words)
    };
    assert_eq!(events.count(&server_event!(RequestOver { request } if failed(request))), 100);
}

/// Panics at every event, and counts them.
#[derive(Default)]
struct Grumpy(AtomicUsize);

impl Observer for Grumpy {
    fn on(&self, event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a bug in the observer: {event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_noticed_by_no_client_and_no_other_observer() {
    let (grumpy, events) = (Arc::new(Grumpy::default()), Arc::new(Events::default()));
    let observers = Observers::from(Arc::clone(&grumpy)).and(Arc::clone(&events));
    let mut scene = simulated(Server::default(), observers);
    for _ in 0..3 {
        scene.send(format!("{POST}content-length: 0\r\n\r\n").as_bytes()).await;
        assert!(scene.answer().await.starts_with("HTTP/1.1 200 "));
    }
    // Told in a destructor: of a request whose connection is dropped.
    scene.send(format!("{POST}content-length: 0\r\n\r\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let gateway = scene.gateway.clone();
    scene.served.abort();
    assert!(scene.served.await.unwrap_err().is_cancelled());
    assert_eq!(gateway.in_flight(), 0);
    assert_eq!(events.count(&server_event!(Panicked)), 0);
    assert_eq!(events.count(&server_event!(RequestEnded { status: 200, .. })), 3);
    assert_eq!(events.count(&server_event!(RequestEnded { status: 499, .. })), 1);
    assert_eq!(grumpy.0.load(Ordering::Relaxed), events.all().len());
}

/// Returns the size of what a function returns.
fn size_of_result<A, B, C, R>(_function: impl FnOnce(A, B, C) -> R) -> usize {
    size_of::<R>()
}

#[test]
fn a_connection_and_a_request_hold_little_while_they_wait() {
    let connection = |gateway, socket: Tcp, connection| serve(gateway, socket, connection);
    let connection = size_of_result(connection);
    let request = size_of_result(
        |gateway: &'static Arc<Shared>,
         connection: &'static Arc<ConnectionState>,
         request: seawall_http::Request<seawall_http::server::RequestBody>| {
            source::answer(gateway, connection, request)
        },
    );
    // Every connection pays the first, every request that waits the second (of which the call and
    // the upstream's part are three fifths).
    assert!(connection <= 2304, "{connection}");
    assert!(request <= 6400, "{request}");
}
