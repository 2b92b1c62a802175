//! P1 and P3: stopping and reloading lose nothing that was accepted.

use std::time::Duration;

use seawall_core::{CancelReason, Left};
use seawall_gateway::{Server, Settings};
use seawall_policy::Params;
use seawall_testkit::{call_event, server_event};
use tokio::time::timeout;

use crate::house::{House, Origin, route, told, until, upstream};

const GET: &str = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

async fn ended(house: House) {
    timeout(Duration::from_secs(5), house.served).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn p1_what_is_in_flight_is_finished_and_the_connection_closed() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send(GET).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    house.stop.cancel();
    until(|| std::net::TcpStream::connect(house.address).is_err(), "no one is let in").await;
    upstream.send(HELLO).await;
    let answer = client.rest().await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    ended(house).await;
}

#[tokio::test]
async fn p1_a_request_that_crosses_the_stop_is_answered() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let mut idle = house.client().await;
    idle.send(GET).await;
    idle.until("hello").await;
    let mut fresh = house.client().await;
    until(|| house.gateway.connections() == 2, "both are connected").await;
    house.stop.cancel();
    until(|| std::net::TcpStream::connect(house.address).is_err(), "no one is let in").await;
    for client in [&mut idle, &mut fresh] {
        client.send(GET).await;
        let answer = client.rest().await;
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("hello"), "{answer}");
    }
    ended(house).await;
}

#[tokio::test]
async fn p1_who_waits_in_the_backlog_is_served() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    // On this one thread nobody accepts before the next await.
    let client = std::net::TcpStream::connect(house.address).unwrap();
    house.stop.cancel();
    client.set_nonblocking(true).unwrap();
    let mut client = crate::house::Client(tokio::net::TcpStream::from_std(client).unwrap());
    client.send(GET).await;
    let answer = client.rest().await;
    assert!(answer.ends_with("hello"), "{answer}");
    ended(house).await;
}

#[tokio::test]
async fn p1_idle_connections_do_not_hold_the_stop_up() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let mut idle = house.client().await;
    idle.send(GET).await;
    idle.until("hello").await;
    let _silent = house.client().await;
    until(|| house.gateway.connections() == 2, "both are connected").await;
    house.stop.cancel();
    ended(house).await;
}

#[tokio::test]
async fn what_is_left_at_the_cut_is_dropped() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = house.client().await;
    client.send(GET).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    house.stop.cancel();
    house.cut.cancel();
    assert_eq!(client.rest().await, "");
    let _reset_or_closed = upstream.end().await;
    told(&house.ledger, server_event!(ConnectionClosed { how: Left::Cut, .. })).await;
    told(&house.ledger, call_event!(Abandoned { reason: CancelReason::Shutdown, .. })).await;
    ended(house).await;
}

#[tokio::test]
async fn p3_a_reload_leaves_what_is_in_flight_alone() {
    let old = Origin::open().await;
    let house = House::open(old.address).await;
    let mut first = house.client().await;
    first.send(GET).await;
    let mut upstream = old.accept().await;
    upstream.until("\r\n\r\n").await;

    let new = Origin::open().await.always("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnew");
    let other = crate::house::upstream(new, Params::standard(), &house.ledger);
    let routes = vec![route("GET /{*rest}", &other)];
    house.gateway.reload(Settings { server: Server::default(), routes }).unwrap();

    upstream.send(HELLO).await;
    first.until("hello").await;
    first.send(GET).await;
    first.until("new").await;
}

#[tokio::test]
async fn a_reload_that_is_refused_changes_nothing() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let origin = Origin::open().await.address;
    let upstream = upstream(origin, Params::standard(), &house.ledger);
    let routes = vec![route("GET /{a}", &upstream), route("GET /{b}", &upstream)];
    let bad = house.gateway.reload(Settings { server: Server::default(), routes }).unwrap_err();
    assert_eq!(bad.to_string(), "route `GET /{b}`: is the same as route `GET /{a}`");
    let mut client = house.client().await;
    client.send(GET).await;
    client.until("hello").await;
}
