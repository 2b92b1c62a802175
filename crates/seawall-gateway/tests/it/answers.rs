//! U4: what becomes of an answer that breaks off, for every kind of client; and answers that are
//! odd in other ways.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use seawall_core::Left;
use seawall_gateway::{Server, ServerLimits};
use seawall_policy::Params;

use crate::house::{Client, House, Origin, told};
use seawall_testkit::server_event;

const CUTS: [&str; 2] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
];

/// Sends a request; returns both ends of its way, where the upstream has read the head.
async fn asked(request: &str) -> (House, Client, Client) {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send(request).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    (house, client, upstream)
}

/// Lets an upstream break an answer off; returns what the client read, and how it ended.
async fn broken_off(request: &str, answer: &str) -> (String, std::io::Result<usize>) {
    let (house, mut client, mut upstream) = asked(request).await;
    upstream.send(answer).await;
    let text = client.until("hello").await;
    drop(upstream);
    let end = client.end().await;
    assert_eq!(house.ledger.count(&server_event!(BodyCut { .. })), 1);
    crate::house::until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    (text, end)
}

const GET: &str = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
const GET_1_0: &str = "GET /a HTTP/1.0\r\nhost: h\r\n\r\n";

#[tokio::test]
async fn u4_a_cut_that_the_framing_shows_ends_in_order() {
    // A reset could overtake the head, and clients repeat what seems not to have been answered.
    for cut in CUTS {
        let (_, end) = broken_off(GET, cut).await;
        assert_eq!(end.expect("an orderly end"), 2 * usize::from(cut == CUTS[1]), "no last chunk");
    }
    let (_, end) = broken_off(GET_1_0, CUTS[0]).await;
    assert_eq!(end.expect("an orderly end"), 0);
}

#[tokio::test]
async fn u4_a_cut_that_no_framing_shows_ends_with_a_reset() {
    // An HTTP/1.0 client reads to the end of the connection, and takes any end for the whole.
    let (text, end) = broken_off(GET_1_0, CUTS[1]).await;
    end.expect_err("a reset, not an orderly end");
    assert!(!text.contains("transfer-encoding"), "{text}");
}

#[tokio::test]
async fn u4_what_came_with_the_cut_is_sent_before_the_end() {
    for (answer, read) in CUTS.into_iter().zip(["hello", "5\r\nhello\r\n"]) {
        let origin = Origin::open().await;
        for _ in 0..20 {
            let house = House::open(origin.address).await;
            let mut client = house.client().await;
            client.send("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n").await;
            let mut upstream = origin.accept().await;
            upstream.until("\r\n\r\n").await;
            upstream.send(answer).await;
            drop(upstream);
            let text = client.rest().await;
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:?}");
            assert!(text.ends_with(&format!("\r\n\r\n{read}")), "{text:?}");
        }
    }
}

#[tokio::test]
async fn u4_an_answer_that_breaks_off_resets_an_http2_stream_and_no_other() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut sender = http2_client(&house).await;
    for cut in CUTS {
        let (response, mut upstream) =
            tokio::join!(sender.send_request(get(&house, "/a")), async {
                let mut upstream = origin.accept().await;
                upstream.until("\r\n\r\n").await;
                upstream.send(cut).await;
                upstream
            });
        let mut body = response.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "hello");
        upstream.send("").await;
        drop(upstream);
        body.frame().await.expect("an error, not an end").expect_err("a reset stream");
    }
    let (response, ()) = tokio::join!(sender.send_request(get(&house, "/b")), async {
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    });
    assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn u15_an_http2_stream_that_is_reset_is_seen_upstream() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut sender = http2_client(&house).await;
    let request = tokio::spawn(sender.send_request(get(&house, "/a")));
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    request.abort();
    let _reset_or_closed = upstream.end().await;
    told(&house.ledger, server_event!(RequestEnded { status: 499, .. })).await;
    crate::house::until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    assert_eq!(house.gateway.connections(), 1);
}

#[tokio::test]
async fn p1_an_http2_connection_finishes_its_streams_and_ends() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut sender = http2_client(&house).await;
    let request = tokio::spawn(sender.send_request(get(&house, "/a")));
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    house.stop.cancel();
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    tokio::time::timeout(Duration::from_secs(5), house.served).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn i4_an_http2_client_that_grants_no_window_is_cut() {
    let limits =
        ServerLimits { write_stall_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let origin = Origin::open().await;
    let server = Server { limits, ..Server::default() };
    let house = House::with(origin.address, Params::standard(), server).await;
    let mut sender = http2_client(&house).await;
    let request = tokio::spawn(sender.send_request(get(&house, "/a")));
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n").await;
    let sending = tokio::spawn(async move {
        let piece = vec![b'x'; 64 * 1024];
        while tokio::io::AsyncWriteExt::write_all(&mut upstream.0, &piece).await.is_ok() {}
    });
    // The head is read; the body is kept, and never asked for.
    let _response = request.await.unwrap().unwrap();
    told(&house.ledger, server_event!(ConnectionClosed { how: Left::WriteStall, .. })).await;
    sending.await.expect("the upstream is let go");
    crate::house::until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
}

#[tokio::test]
async fn i2_an_http2_request_that_names_two_hosts_is_refused() {
    let house = House::open(Origin::open().await.always(OK)).await;
    let mut sender = http2_client(&house).await;
    let mut request = get(&house, "/a");
    request.headers_mut().insert("host", "elsewhere".parse().unwrap());
    assert_eq!(sender.send_request(request).await.unwrap().status(), 400);
    let mut request = get(&house, "/a");
    let host = request.uri().authority().unwrap().as_str().parse().unwrap();
    request.headers_mut().insert("host", host);
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_and_no_body() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send("HEAD /only-get HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    assert!(upstream.until("\r\n\r\n").await.starts_with("HEAD /only-get HTTP/1.1\r\n"));
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    // The next request on the same connection is answered: nothing was in between.
    client.send("GET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
    upstream.until("\r\n\r\n").await;
    upstream.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client
        .send(
            "GET /a HTTP/1.1\r\nhost: h\r\nconnection: x-secret, upgrade\r\nupgrade: h2c\r\n\
             x-secret: 1\r\nx_forwarded_for: 1\r\nx-forwarded-for: 6.6.6.6\r\nte: gzip\r\n\
             accept: */*\r\nx-request-id: my-id\r\n\r\n",
        )
        .await;
    let mut upstream = origin.accept().await;
    let head = upstream.until("\r\n\r\n").await.to_ascii_lowercase();
    for gone in ["x-secret", "upgrade", "x_forwarded_for", "6.6.6.6", "te:"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    for there in ["accept: */*\r\n", "x-forwarded-for: 127.0.0.1\r\n", "x-request-id: my-id\r\n"] {
        assert!(head.contains(there), "{there}: {head}");
    }
    assert!(head.contains("seawall-timeout-ms: "), "{head}");
    upstream
        .send("HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nserver: s\r\ncontent-length: 0\r\n\r\n")
        .await;
    let head = client.until("\r\n\r\n").await;
    assert!(!head.contains("x-hop"), "{head}");
    assert!(head.contains("server: s\r\n") && head.contains("x-request-id: my-id\r\n"), "{head}");
}

#[tokio::test]
async fn a_deadline_of_the_client_shortens_the_call() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send("GET /a HTTP/1.1\r\nhost: h\r\nseawall-timeout-ms: 300\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    let head = upstream.until("\r\n\r\n").await;
    let left = head.split("seawall-timeout-ms: ").nth(1).unwrap().split("\r\n").next().unwrap();
    assert!(left.parse::<u64>().unwrap() <= 300, "{head}");
    let answer = client.until("}").await;
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
    assert!(answer.contains(r#""fate":"timed_out""#), "{answer}");
    let _reset_or_closed = upstream.end().await;
}

#[tokio::test]
async fn a_body_is_sent_again_when_the_policy_may_do_that() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send("PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello").await;
    let mut first = origin.accept().await;
    first.until("hello").await;
    drop(first);
    let mut second = origin.accept().await;
    second.until("\r\n\r\nhello").await;
    second.send(OK).await;
    let answer = client.until("\r\n\r\nok").await;
    assert!(answer.contains("seawall-outcome: ok_after_retry; upstream=origin; attempts=2;"));
}

#[tokio::test]
async fn a_large_body_streams_through_both_ways() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    const BYTES: usize = 4 << 20;
    client.send(&format!("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: {BYTES}\r\n\r\n")).await;
    let mut upstream = origin.accept().await;
    let (mut from_client, mut to_client) = client.0.split();
    let sending = async {
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..BYTES / piece.len() {
            tokio::io::AsyncWriteExt::write_all(&mut to_client, &piece).await.unwrap();
        }
    };
    let echoing = async {
        upstream.until("\r\n\r\n").await;
        let mut body = vec![0; BYTES];
        tokio::io::AsyncReadExt::read_exact(&mut upstream.0, &mut body).await.unwrap();
        upstream.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n")).await;
        tokio::io::AsyncWriteExt::write_all(&mut upstream.0, &body).await.unwrap();
    };
    let reading = async {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(tokio::io::AsyncReadExt::read_u8(&mut from_client).await.unwrap());
        }
        let mut body = vec![0; BYTES];
        tokio::io::AsyncReadExt::read_exact(&mut from_client, &mut body).await.unwrap();
        assert!(body.iter().all(|byte| *byte == b'x'));
    };
    tokio::join!(sending, echoing, reading);
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn http2_client(house: &House) -> http2::SendRequest<Empty<Bytes>> {
    let Client(stream) = house.client().await;
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(house: &House, path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("http://{}{path}", house.address)).body(Empty::new()).unwrap()
}

const EARLY: &str =
    "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x-own\r\nx-own: 1\r\n\r\n";
const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// Lets an upstream say something before its answer; returns what the client read of both.
async fn hinted(request: &str) -> (String, String) {
    let (_house, mut client, mut upstream) = asked(request).await;
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    upstream.send(EARLY).await;
    // An HTTP/1.0 client knows no interim answers: it is told nothing.
    let hints = match request.contains("HTTP/1.0") {
        true => String::new(),
        false => client.until("\r\n\r\n").await,
    };
    upstream.send(WHOLE).await;
    (hints, client.until("hello").await)
}

#[tokio::test]
async fn an_interim_answer_is_passed_on_at_once_without_what_is_for_one_hop() {
    let (hints, answer) = hinted(GET).await;
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn an_http_1_0_client_is_told_no_interim_answer() {
    let (_, answer) = hinted(GET_1_0).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_status_with_three_digits_and_its_reason_pass() {
    for line in ["299 Quite Well", "418 I'm a teapot", "600 Odd", "999 No\tWay", "200 "] {
        let (_house, mut client, mut upstream) = asked(GET).await;
        upstream.send(&format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n")).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn a_100_is_said_when_the_body_is_wanted_and_anything_else_is_not_expected() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    let put = "PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nexpect: ";
    client.send(&format!("{put}100-Continue\r\n\r\n")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    let mut upstream = origin.accept().await;
    let sent = upstream.until("hello").await;
    assert!(!sent.contains("expect"), "{sent}");
    upstream.send(WHOLE).await;
    assert!(client.until("hello").await.starts_with("HTTP/1.1 200 OK\r\n"));

    client.send(&format!("{put}the-unexpected\r\n\r\n")).await;
    let refused = client.until("\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 417 "), "{refused}");
}
