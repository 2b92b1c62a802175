//! Streams: bodies that are slow on purpose and silent for long, in both directions.

use std::sync::Arc;
use std::time::Duration;

use seawall_gateway::{Server, ServerLimits, Settings};
use seawall_policy::Params;
use seawall_testkit::Events;

use crate::house::{House, Origin, calling, route, upstream};

/// Silences after which an ordinary body is cut.
const SHORT: Duration = Duration::from_millis(30);
const SILENCE: Duration = Duration::from_millis(200);

fn params(stream_idle: Duration) -> Params {
    let mut params = Params::standard();
    params.timeout.idle = SHORT;
    params.timeout.stream_idle = stream_idle;
    params
}

/// Passes two events on, with a silence between them; returns what the client saw.
async fn events(media: &str, stream_idle: Duration, is_marked: bool) -> String {
    let origin = Origin::open().await;
    let ledger = Arc::new(Events::default());
    let upstream = upstream(origin.address, params(stream_idle), &ledger);
    let route = calling(route("GET /events", &upstream), |call| call.is_stream = is_marked);
    let settings = Settings { server: Server::default(), routes: vec![route] };
    let house = House::serving(settings, ledger).await;
    let mut client = house.client().await;
    client.send("GET /events HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: 6\r\n\r\n");
    upstream.send(&format!("{head}one")).await;
    let mut seen = client.until("one").await;
    tokio::time::sleep(SILENCE).await;
    // It may be cut by now.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut upstream.0, b"two").await;
    seen += &match tokio::time::timeout(SILENCE, client.rest()).await {
        Ok(rest) => rest,
        Err(_still_open) => "and stays open".to_owned(),
    };
    seen
}

#[tokio::test]
async fn events_and_grpc_may_be_silent_for_longer_than_other_bodies() {
    let long = Duration::from_secs(60);
    for (media, is_marked, is_whole) in [
        ("text/event-stream", false, true),
        ("application/grpc", false, true),
        ("application/x-ndjson", true, true),
        ("application/x-ndjson", false, false),
    ] {
        let seen = events(media, long, is_marked).await;
        assert_eq!(seen.ends_with("and stays open"), is_whole, "{media} {is_marked}: {seen}");
    }
}

#[tokio::test]
async fn a_stream_that_is_silent_for_too_long_is_cut() {
    let seen = events("text/event-stream", SHORT, false).await;
    assert!(seen.ends_with("one"), "{seen}");
}

/// Uploads ten bytes slowly; returns what came at the origin, or what the client was told.
async fn upload(media: &str) -> String {
    let limits =
        ServerLimits { body_rate_min: 1 << 20, body_grace: SHORT, ..ServerLimits::default() };
    let origin = Origin::open().await;
    let server = Server { limits, ..Server::default() };
    let house = House::with(origin.address, params(Duration::from_secs(60)), server).await;
    let mut client = house.client().await;
    let head = "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\ncontent-type: ";
    client.send(&format!("{head}{media}\r\n\r\n")).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    let sending = async {
        for _ in 0..10 {
            let _may_be_cut = tokio::io::AsyncWriteExt::write_all(&mut client.0, b"x").await;
            tokio::time::sleep(SHORT).await;
        }
    };
    let (seen, ()) = tokio::join!(
        async {
            let mut seen = String::new();
            let mut byte = [0];
            while seen.len() < 10 {
                match tokio::io::AsyncReadExt::read(&mut upstream.0, &mut byte).await {
                    Ok(1) => seen.push(char::from(byte[0])),
                    _ => break,
                }
            }
            seen
        },
        sending
    );
    seen
}

#[tokio::test]
async fn a_grpc_upload_may_be_slow_and_another_one_may_not() {
    assert_eq!(upload("application/grpc+proto").await, "xxxxxxxxxx");
    assert!(upload("text/plain").await.len() < 10);
}
