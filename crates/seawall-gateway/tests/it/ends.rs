//! Routes that call no upstream: what was prepared, and what answers by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use seawall_core::{Fate, RouteId};
use seawall_gateway::{Route, RouteEnd, Server, Settings};
use seawall_http::{Body, Response};
use seawall_policy::Params;
use seawall_testkit::{Events, ScriptedReply, ScriptedUpstream, server_event};
use seawall_upstream::{Prepared, Responder, Responding, RoutedRequest};

use crate::house::{House, route, told, until, upstream};

/// Answers with what it was asked; a WebSocket gets back what it sends.
#[derive(Default)]
struct Echo {
    /// How many answers were dropped before their end.
    left: Arc<AtomicUsize>,
    /// Whether it claims to switch protocols whatever it is asked.
    is_rude: bool,
}

struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Responder for Echo {
    fn respond<'a>(&'a self, request: RoutedRequest<'a>) -> Responding<'a> {
        Box::pin(async move {
            let mut response = Response::new(Body::empty());
            if let Some(upgrade) = request.upgrade {
                response.head_mut().status = StatusCode::SWITCHING_PROTOCOLS;
                let sent = upgrade.accept();
                *response.body_mut() = Body::boxed(sent.map_err(|_| {
                    seawall_core::Fault::client(
                        seawall_core::Step::Source,
                        seawall_core::Cause::Truncated,
                    )
                }));
                return response;
            }
            if self.is_rude {
                response.head_mut().status = StatusCode::SWITCHING_PROTOCOLS;
                return response;
            }
            if request.uri.path().ends_with("/wait") {
                let _leaving = Leaving(Arc::clone(&self.left));
                std::future::pending::<()>().await;
            }
            let text = format!("{} {} {}", request.method, request.uri, request.route);
            match request.body.collect().await {
                Ok(body) => {
                    let said = [text.as_bytes(), b" ", &body.to_bytes()].concat();
                    *response.body_mut() = Body::full(Bytes::from(said));
                }
                Err(_) => response.head_mut().status = StatusCode::PAYLOAD_TOO_LARGE,
            }
            response
        })
    }
}

/// Opens a gateway with a route to each kind of end.
async fn house(echo: Echo) -> (House, ScriptedUpstream) {
    let origin = ScriptedUpstream::replies([ScriptedReply::ok("called")]).await.unwrap();
    let ledger = Arc::new(Events::default());
    let called = route("GET /call", &upstream(origin.address(), Params::standard(), &ledger));
    let text = HeaderValue::from_static("text/plain");
    let prepared = Prepared::new(StatusCode::OK, text, "prepared");
    let end = |id, name: &str, path: &str, to| Route {
        id: RouteId(id),
        name: name.into(),
        method: None,
        path: path.into(),
        to,
        ..called.clone()
    };
    let prepared = end(1, "prepared", "/prepared", RouteEnd::Prepared(prepared));
    let hub = end(2, "hub", "/hub/{*rest}", RouteEnd::Responder(Arc::new(echo)));
    let hub = Route { body_bytes_max: Some(8), ..hub };
    let routes = vec![called, prepared, hub];
    (House::serving(Settings { server: Server::default(), routes }, ledger).await, origin)
}

fn request(line: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{fields}content-length: \
         {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn routes_end_where_they_say() {
    let (house, _origin) = house(Echo::default()).await;
    let check = async |line: &str, body: &str, expected: &str| {
        let answer = house.ask(&request(line, "", body)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("x-request-id: "), "{answer}");
        assert!(answer.ends_with(expected), "{answer}");
    };
    check("GET /call", "", "called").await;
    check("GET /prepared", "", "\r\n\r\nprepared").await;
    check("POST /prepared", "thrown away", "\r\n\r\nprepared").await;
    check("POST /hub/a?b=c", "hello", "POST /hub/a?b=c hub hello").await;
    let ended = server_event!(RequestEnded { fate: Fate::Ok, status: 200, attempts: 0, .. });
    until(|| house.ledger.count(&ended) == 3, "three have ended without a call").await;
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_whoever_answers() {
    let (house, _origin) = house(Echo::default()).await;
    for path in ["/prepared", "/hub/a"] {
        let mut client = house.client().await;
        client.send(&format!("HEAD {path} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        // What comes next is the head of the next answer.
        client.send("GET /call HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let next = client.until("called").await;
        assert!(next.starts_with("HTTP/1.1 200 "), "{path}: {next}");
    }
}

#[tokio::test]
async fn a_responder_gets_no_more_of_a_body_than_its_route_allows() {
    let (house, _origin) = house(Echo::default()).await;
    let answer = house.ask(&request("POST /hub/a", "", "much too long")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Without a length nobody knows before it is read.
    let mut client = house.client().await;
    client
        .send(
            "POST /hub/a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
             d\r\nmuch too long\r\n0\r\n\r\n",
        )
        .await;
    client.until("HTTP/1.1 413 ").await;
}

#[tokio::test]
async fn a_responder_whose_client_leaves_is_dropped() {
    let echo = Echo::default();
    let left = Arc::clone(&echo.left);
    let (house, _origin) = house(echo).await;
    let mut client = house.client().await;
    client.send("GET /hub/wait HTTP/1.1\r\nhost: h\r\n\r\n").await;
    told(&house.ledger, server_event!(RequestStarted { .. })).await;
    drop(client);
    until(|| left.load(Ordering::Relaxed) == 1, "its future is dropped").await;
    let left = server_event!(RequestEnded { fate: Fate::Cancelled, status: 499, .. });
    told(&house.ledger, left).await;
}

const WEBSOCKET: &str = "upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn a_responder_can_make_a_tunnel_of_a_connection() {
    let (house, _origin) = house(Echo::default()).await;
    let mut client = house.client().await;
    let line = "GET /hub/socket HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\n";
    client.send(&format!("{line}{WEBSOCKET}\r\n")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.send("ping").await;
    client.until("ping").await;
    client.send("pong").await;
    client.until("pong").await;
}

#[tokio::test]
async fn a_responder_cannot_switch_a_protocol_that_nobody_asked_to_switch() {
    let (house, _origin) = house(Echo { is_rude: true, ..Echo::default() }).await;
    let answer = house.ask(&request("GET /hub/a", "", "")).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
}
