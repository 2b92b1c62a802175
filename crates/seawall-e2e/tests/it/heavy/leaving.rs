//! U15: a client that leaves takes its call with it, at every stage, within 50 ms.
//!
//! The bound is the issue's own. What is compared is the median of several tries with the median
//! of the same without Seawall in between: how long a busy machine takes to notice anything.

use std::time::{Duration, Instant};

use super::alone;
use crate::fixture::{BlackHole, Client, Exchange, Origin, PATIENCE, Seawall};

const BOUND: Duration = Duration::from_millis(50);
const TRIES: usize = 9;

fn settings(url: &str, policy: &str) -> String {
    format!(
        "[upstream.origin]\nurl = \"{url}\"\npolicy = \"test\"\n[policy.test]\n{policy}\n\
         [[route]]\nmatch = \"GET /{{*rest}}\"\nupstream = \"origin\"\n"
    )
}

const LONG: &str = "total_timeout = \"60s\"\nattempt_timeout = \"60s\"\nconnect_timeout = \"60s\"\n\
    retry = \"off\"\nbreaker = \"off\"";

async fn asks(seawall: &Seawall, path: &str) -> Client {
    let mut client = Client::connect(seawall.address).await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    client
}

/// Waits for something that this process can see at once, and says when it came.
async fn when(what: &str, holds: impl Fn() -> bool) -> Instant {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Instant::now()
}

async fn assert_soon(mut took: Vec<Duration>) {
    took.sort();
    let mut without = without_seawall().await;
    without.sort();
    let (with, alone) = (took[TRIES / 2], without[TRIES / 2]);
    assert!(with <= alone + BOUND, "{took:?}, and without Seawall {without:?}");
}

/// Measures how long it takes an upstream to notice that its own client has left.
async fn without_seawall() -> Vec<Duration> {
    let origin = Origin::silent();
    let mut took = Vec::new();
    for number in 0..TRIES {
        let mut client = Client::connect(origin.address).await;
        client.send("GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await;
        when("the request is at the upstream", || origin.seen.now() == 1).await;
        let left = leave(client, number);
        when("the upstream sees it", || origin.seen.gone().len() > number).await;
        took.push(origin.seen.gone()[number] - left);
        when("the exchange has ended", || origin.seen.now() == 0).await;
    }
    took
}

/// Leaves with a goodbye and with a reset in turn: an upstream must hear of both.
fn leave(client: Client, number: usize) -> Instant {
    let now = Instant::now();
    if number.is_multiple_of(2) {
        drop(client)
    } else {
        client.reset()
    }
    now
}

async fn waiting_for(origin: Origin, path: &str, after_head: bool) {
    let seawall = Seawall::start(&settings(&origin.url(), LONG)).await;
    let mut took = Vec::new();
    for number in 0..TRIES {
        let mut client = asks(&seawall, path).await;
        when("the request is at the upstream", || origin.seen.now() == 1).await;
        if after_head {
            client.receive_head().await.unwrap();
        }
        let left = leave(client, number);
        when("the upstream sees it", || origin.seen.gone().len() > number).await;
        took.push(origin.seen.gone()[number] - left);
        when("the exchange has ended", || origin.seen.now() == 0).await;
    }
    assert_soon(took).await;
    let abandoned = ["client_gone"];
    let counted = seawall.metric("seawall_call_abandoned_total", &abandoned).await;
    if !after_head {
        assert!(counted >= TRIES as f64 - 0.5, "{counted} abandoned calls were counted");
    }
    let failed = seawall.metric("seawall_call_ended_total", &["\"failed\""]).await;
    assert!(failed < 0.5, "a client that leaves is no failure of the upstream");
}

#[tokio::test]
async fn u15_a_client_that_leaves_while_it_waits_for_the_head_ends_the_call() {
    let _alone = alone().await;
    waiting_for(Origin::silent(), "/x", false).await;
}

#[tokio::test]
async fn u15_a_client_that_leaves_while_a_body_streams_ends_the_call() {
    let _alone = alone().await;
    let streaming = Origin::start(async |mut exchange: Exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhalf").await;
        exchange.wait_until_gone().await
    });
    waiting_for(streaming, "/x", true).await;
}

#[tokio::test]
async fn u15_a_client_that_leaves_the_queue_gives_its_place_to_the_next() {
    let _alone = alone().await;
    let origin = Origin::start(async |exchange: Exchange| {
        if exchange.target() == "/hold" {
            return exchange.wait_until_gone().await;
        }
        exchange.answer(200, "ok").await
    });
    let policy = format!("{LONG}\nlimit = {{ in_flight = 1, queue = 1, queue_wait = \"30s\" }}");
    let seawall = Seawall::start(&settings(&origin.url(), &policy)).await;
    let holder = asks(&seawall, "/hold").await;
    when("the place is taken", || origin.seen.now() == 1).await;

    for number in 0..TRIES {
        let queued = asks(&seawall, "/queued").await;
        while seawall.metric("seawall_upstream_waiting", &["origin"]).await < 0.5 {}
        leave(queued, number);
        // The queue has one place: until the one who left is out, nobody else can wait.
        let left = Instant::now();
        while seawall.metric("seawall_upstream_waiting", &["origin"]).await > 0.5 {
            assert!(left.elapsed() < Duration::from_millis(500), "still in the queue");
        }
    }
    let last = asks(&seawall, "/last").await;
    while seawall.metric("seawall_upstream_waiting", &["origin"]).await < 0.5 {}
    drop(holder);
    let mut last = last;
    assert_eq!(last.receive().await.unwrap().text(), "ok");
    let targets: Vec<_> =
        origin.seen.heads().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(targets, ["/hold", "/last"], "a call that left the queue was made all the same");
}

#[tokio::test]
async fn u15_a_client_that_leaves_while_we_connect_ends_the_attempt() {
    let _alone = alone().await;
    let hole = BlackHole::open();
    let seawall = Seawall::start(&settings(&hole.url(), LONG)).await;
    let mut refused = Client::connect(seawall.address).await;
    refused.send("DELETE / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(refused.receive().await.unwrap().status, 405);
    drop(refused);
    let mut took = Vec::new();
    for number in 0..TRIES {
        assert_eq!(connecting(hole.port), 0, "the last attempt goes on");
        let idle = seawall.files();
        let client = asks(&seawall, "/x").await;
        when("we are connecting", || connecting(hole.port) == 1).await;
        // The kernel's table takes long to read; the process's own files do not.
        let left = leave(client, number);
        took.push(when("the attempt is given up", || seawall.files() <= idle).await - left);
    }
    assert_soon(took).await;
}

#[tokio::test]
async fn u15_a_client_that_leaves_during_backoff_is_not_called_for_again() {
    let _alone = alone().await;
    let origin = Origin::start(async |mut exchange: Exchange| {
        exchange.answer_with(503, "retry-after: 1\r\n", b"").await;
        Some(exchange)
    });
    let policy = "total_timeout = \"60s\"\nattempt_timeout = \"10s\"\nbreaker = \"off\"\n\
        retry = { attempts = 2, backoff = \"10ms..100ms\" }";
    let seawall = Seawall::start(&settings(&origin.url(), policy)).await;
    for number in 0..3 {
        let client = asks(&seawall, "/x").await;
        while seawall.metric("seawall_call_retries_total", &[]).await < number as f64 + 0.5 {}
        let left = leave(client, number);
        while seawall.metric("seawall_call_in_flight", &[]).await > 0.5 {
            assert!(left.elapsed() < Duration::from_millis(500), "still in backoff");
        }
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(origin.seen.requests(), 3, "somebody was called for after they had left");
}

/// Counts the connections to a port that have sent their SYN and heard nothing.
fn connecting(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(2);
            Some((words.next()?, words.next()?))
        })
        .filter(|(address, state)| address.ends_with(&remote) && *state == "02")
        .count()
}
