//! WebSockets: a connection that goes on as a tunnel, on the wire.

use seawall_gateway::Server;
use seawall_policy::{Params, bulkhead};

use crate::house::{Client, House, Origin, until};

const ASK: &str = "GET /a HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
    connection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Opens a tunnel through which the upstream has said `hello` at once.
async fn open() -> (House, Origin, Client, Client) {
    let origin = Origin::open().await;
    let params = Params {
        // One place: what kept it would keep the next one waiting.
        limit: Some(bulkhead::Params { in_flight_max: 1, ..Default::default() }),
        adaptive: None,
        ..Params::standard()
    };
    let house = House::with(origin.address, params, Server::default()).await;
    let mut client = house.client().await;
    client.send(ASK).await;
    let mut upstream = origin.accept().await;
    let asked = upstream.until("\r\n\r\n").await;
    for line in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-key: dGhl"] {
        assert!(asked.contains(line), "{asked}");
    }
    upstream.send(&format!("{AGREE}hello")).await;
    let answer = client.until("hello").await;
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    for line in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-accept: s3pP"]
    {
        assert!(answer.contains(line), "{answer}");
    }
    assert!(!answer.contains("content-length") && !answer.contains("chunked"), "{answer}");
    (house, origin, client, upstream)
}

#[tokio::test]
async fn bytes_pass_both_ways_as_they_are_and_the_place_is_free() {
    let (house, origin, mut client, mut upstream) = open().await;
    for _ in 0..3 {
        // What would be a request, were it not a tunnel.
        client.send("GET / HTTP/1.1\n\u{0}").await;
        assert_eq!(upstream.until("\u{0}").await, "GET / HTTP/1.1\n\u{0}");
        upstream.send("5\r\nworld").await;
        assert_eq!(client.until("world").await, "5\r\nworld");
    }
    let mut beside = house.client().await;
    beside.send("GET /b HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut other = origin.accept().await;
    other.until("\r\n\r\n").await;
    other.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(beside.until("\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_tunnel_ends_with_its_upstream_or_its_client() {
    let (house, _origin, mut client, upstream) = open().await;
    drop(upstream);
    assert_eq!(client.end().await.expect("an orderly end"), 0);
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;

    let (house, _origin, client, mut upstream) = open().await;
    drop(client);
    let _closed_or_reset = upstream.end().await;
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
}

#[tokio::test]
async fn an_upstream_that_does_not_agree_is_answered_for_as_ever() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    for _ in 0..2 {
        client.send(ASK).await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        upstream
            .send("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno")
            .await;
        let answer = client.until("no").await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn no_other_protocol_is_asked_for() {
    for other in [
        ASK.replace("websocket\r\n", "h2c\r\n"),
        ASK.replace("keep-alive, Upgrade", "keep-alive"),
        ASK.replace("HTTP/1.1", "HTTP/1.0"),
    ] {
        let origin = Origin::open().await;
        let params = Params { retry: None, ..Params::standard() };
        let house = House::with(origin.address, params, Server::default()).await;
        let mut client = house.client().await;
        client.send(&other).await;
        let mut upstream = origin.accept().await;
        let asked = upstream.until("\r\n\r\n").await;
        assert!(!asked.contains("upgrade"), "{asked}");
        upstream.send(AGREE).await;
        let answer = client.until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
}
