//! U15: a client that leaves takes its work with it, at every stage.

use std::time::{Duration, Instant};

use seawall_core::{CancelReason, Fate, Left, Phase};
use seawall_gateway::Server;
use seawall_policy::{Params, bulkhead};

use crate::house::{Client, House, Origin, told, until};
use seawall_testkit::{call_event, server_event};

const GET: &str = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";

/// How a client can leave.
#[derive(Clone, Copy, Debug)]
enum Way {
    Close,
    Reset,
    HalfClose,
}

const WAYS: [Way; 3] = [Way::Close, Way::Reset, Way::HalfClose];

/// Lets a client leave; what is returned must be kept, or a half-close is a close.
async fn leave(client: Client, way: Way) -> Option<Client> {
    match way {
        Way::Close => None,
        Way::Reset => {
            client.0.set_zero_linger().unwrap();
            None
        }
        Way::HalfClose => {
            let mut client = client;
            tokio::io::AsyncWriteExt::shutdown(&mut client.0).await.unwrap();
            Some(client)
        }
    }
}

/// Expects that the origin's connection ends, and that nothing is left behind.
async fn check_gone(mut upstream: Client, house: &House) {
    let _reset_or_closed = upstream.end().await;
    told(&house.ledger, server_event!(RequestEnded { status: 499, .. })).await;
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    assert_eq!(house.ledger.count(&server_event!(RequestEnded { fate: Fate::Failed, .. })), 0);
    assert_eq!(house.ledger.count(&call_event!(Ended { fate: Fate::Failed, .. })), 0);
}

#[tokio::test]
async fn u15_a_client_that_leaves_while_it_waits_is_seen_upstream() {
    for way in WAYS {
        let origin = Origin::open().await;
        let house = House::open(origin.address).await;
        let mut client = house.client().await;
        client.send(GET).await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        let _kept = leave(client, way).await;
        check_gone(upstream, &house).await;
        told(&house.ledger, server_event!(ConnectionClosed { how: Left::ClientGone, .. })).await;
    }
}

#[tokio::test]
async fn u15_the_upstream_sees_within_50_ms_that_the_client_left() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let mut client = house.client().await;
        client.send(GET).await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        let left = Instant::now();
        drop(client);
        let _reset_or_closed = upstream.end().await;
        fastest = fastest.min(left.elapsed());
    }
    // The fastest of five: the others may have waited for the machine.
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

#[tokio::test]
async fn u15_a_client_that_leaves_while_the_answer_streams_is_seen_upstream() {
    for way in WAYS {
        let origin = Origin::open().await;
        let house = House::open(origin.address).await;
        let mut client = house.client().await;
        client.send(GET).await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
        client.until("hello").await;
        let _kept = leave(client, way).await;
        let _reset_or_closed = upstream.end().await;
        until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
        told(&house.ledger, server_event!(ConnectionClosed { how: Left::ClientGone, .. })).await;
        assert_eq!(
            house.ledger.count(&server_event!(BodyCut { .. })),
            0,
            "a client that left is no fault of the body"
        );
    }
}

#[tokio::test]
async fn u15_a_client_that_leaves_with_unread_bytes_behind_it_is_seen() {
    for way in WAYS {
        let origin = Origin::open().await;
        let house = House::open(origin.address).await;
        let mut client = house.client().await;
        client.send(GET).await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        // A pipelined request, which nobody reads before the first one is answered.
        client.send(GET).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _kept = leave(client, way).await;
        check_gone(upstream, &house).await;
    }
}

#[tokio::test]
async fn u15_a_client_that_leaves_in_the_middle_of_a_body_that_nobody_reads_is_seen() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    // The origin reads no more: the body fills every buffer on the way, and the client's own.
    let piece = vec![b'x'; 64 * 1024];
    loop {
        let write = tokio::io::AsyncWriteExt::write(&mut client.0, &piece);
        if tokio::time::timeout(Duration::from_millis(200), write).await.is_err() {
            break;
        }
    }
    leave(client, Way::Reset).await;
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    told(&house.ledger, server_event!(RequestEnded { status: 499, .. })).await;
}

#[tokio::test]
async fn u15_a_client_that_leaves_the_queue_gives_its_turn_away() {
    let origin = Origin::open().await;
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 10,
        queue_wait_max: Duration::from_secs(20),
        ..Default::default()
    };
    let params = Params { limit: Some(limit), ..Params::standard() };
    let house = House::with(origin.address, params, Server::default()).await;
    let mut first = house.client().await;
    first.send(GET).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;

    let mut second = house.client().await;
    second.send(GET).await;
    told(&house.ledger, call_event!(Queued { .. })).await;
    drop(second);
    told(&house.ledger, server_event!(RequestEnded { status: 499, .. })).await;
    told(&house.ledger, call_event!(Dequeued { admitted: false, .. })).await;

    let mut third = house.client().await;
    third.send(GET).await;
    until(|| house.ledger.count(&call_event!(Queued { .. })) == 2, "the third waits").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    first.until("ok").await;
    upstream.until("\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    third.until("ok").await;
}

#[tokio::test]
async fn u15_a_client_that_leaves_between_two_attempts_is_the_end_of_them() {
    let origin = Origin::open().await;
    let mut params = Params::standard();
    params.timeout.total = Duration::from_secs(100_000);
    // Anything from nothing to this: so long that it cannot be over before the client leaves.
    let retry = params.retry.as_mut().unwrap();
    retry.backoff.base = Duration::from_secs(50_000);
    retry.backoff.cap = Duration::from_secs(50_000);
    let house = House::with(origin.address, params, Server::default()).await;
    let mut client = house.client().await;
    client.send(GET).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    drop(upstream);
    told(&house.ledger, call_event!(RetryScheduled { .. })).await;
    drop(client);
    told(&house.ledger, server_event!(RequestEnded { status: 499, .. })).await;
    told(
        &house.ledger,
        call_event!(Abandoned { phase: Phase::Backoff, reason: CancelReason::ClientGone }),
    )
    .await;
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    assert_eq!(house.ledger.count(&call_event!(AttemptStarted { .. })), 1);
}
