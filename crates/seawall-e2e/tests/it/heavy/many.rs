//! Thousands of requests in flight: all answered, on the threads that were there before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::alone;
use crate::fixture::{Client, Exchange, Origin, Seawall};

fn settings(origin: &Origin, limit: usize) -> String {
    format!(
        "[upstream.origin]\nurl = \"{}\"\npolicy = \"wide\"\n\
         [policy.wide]\ntotal_timeout = \"60s\"\nattempt_timeout = \"60s\"\nretry = \"off\"\n\
         limit = {{ in_flight = {limit}, queue = 0 }}\n\
         [[route]]\nmatch = \"GET /{{*rest}}\"\nupstream = \"origin\"\n",
        origin.url()
    )
}

/// Raises the limit of open files as far as this process may.
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap())
}

/// Opens so many connections, a few hundred at a time.
async fn connected(seawall: &Seawall, count: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let mut some = JoinSet::new();
        for _ in 0..(count - clients.len()).min(500) {
            some.spawn(Client::connect(seawall.address));
        }
        clients.extend(some.join_all().await);
    }
    clients
}

/// Sends one request on each connection and returns the statuses, and how long all of it took.
async fn ask_all(clients: Vec<Client>) -> (Vec<Option<u16>>, Duration) {
    let start = Instant::now();
    let mut asking = JoinSet::new();
    for mut client in clients {
        asking.spawn(async move {
            client.send("GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            client.receive().await.map(|answer| answer.status)
        });
    }
    (asking.join_all().await, start.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_nine_thousand_proxied_requests_are_in_flight_and_one_too_many_is_told_at_once() {
    let _alone = alone().await;
    // Two sockets a request on both sides of each process, and some for everything else.
    let count = 9000.min((raise_file_limit() - 1000) / 2);
    let hold = Arc::new(tokio::sync::Notify::new());
    let held = Arc::clone(&hold);
    let origin = Origin::start(move |exchange: Exchange| {
        let held = Arc::clone(&held);
        async move {
            held.notified().await;
            exchange.answer(200, "ok").await
        }
    });
    let seawall = Seawall::start(&settings(&origin, count)).await;
    let clients = connected(&seawall, count).await;
    let threads = seawall.threads();
    let before = seawall.resident_bytes();

    let asking = tokio::spawn(ask_all(clients));
    let start = Instant::now();
    while origin.seen.now() < count {
        assert!(start.elapsed() < Duration::from_secs(60), "{} in flight", origin.seen.now());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let start = Instant::now();
    let too_many = seawall.get("/x").await;
    let refused = start.elapsed();
    let each = seawall.resident_bytes().saturating_sub(before) / count;
    let threads_during = seawall.threads();
    while origin.seen.now() > 0 {
        hold.notify_waiters();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let (statuses, _) = asking.await.unwrap();
    let lost = statuses.iter().filter(|status| **status != Some(200)).count();
    assert_eq!(lost, 0, "of {count}");
    assert_eq!(too_many.status, 503);
    assert!(refused < Duration::from_millis(500), "{refused:?}");
    assert_eq!(threads_during, threads, "threads must not grow with what is in flight");
    println!("{each} bytes for each of {count} requests in flight");
    assert!(each <= 64 * 1024, "{each} bytes each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_ten_thousand_requests_are_in_flight_to_an_upstream_of_half_a_second() {
    let _alone = alone().await;
    raise_file_limit();
    // Over HTTP/2 to us, so that 10,000 requests fit under the usual limit of 20,000 files with
    // their 10,000 connections to the upstream.
    const COUNT: usize = 10_000;
    const STREAMS: usize = 100;
    // Nobody is answered before all have arrived, and half a second has passed.
    let arrived = Arc::new(tokio::sync::Semaphore::new(0));
    let all = Arc::clone(&arrived);
    let origin = Origin::start(move |exchange: Exchange| {
        let all = Arc::clone(&all);
        async move {
            if exchange.target() == "/x" {
                if exchange.seen.now() >= COUNT {
                    all.add_permits(COUNT);
                }
                all.acquire().await.unwrap().forget();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            exchange.answer(200, "ok").await
        }
    });
    let seawall = Seawall::start(&settings(&origin, COUNT)).await;
    assert_eq!(seawall.get("/warm").await.status, 200);
    let threads = seawall.threads();
    let before = seawall.resident_bytes();

    let mut asking = JoinSet::new();
    for _ in 0..COUNT / STREAMS {
        let address = seawall.address;
        asking.spawn(async move { ask_over_http2(address, STREAMS).await });
    }
    let start = Instant::now();
    while origin.seen.most() < COUNT {
        assert!(start.elapsed() < Duration::from_secs(60), "{} in flight", origin.seen.now());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let threads_during = seawall.threads();
    let each = seawall.resident_bytes().saturating_sub(before) / COUNT;

    let statuses: Vec<u16> = asking.join_all().await.into_iter().flatten().collect();
    assert_eq!(statuses.len(), COUNT);
    assert!(statuses.iter().all(|status| *status == 200));
    assert_eq!(threads_during, threads, "threads must not grow with what is in flight");
    println!("{each} bytes for each of {COUNT} requests in flight");
    assert!(each <= 64 * 1024, "{each} bytes each");
}

/// Sends so many requests at once over one HTTP/2 connection and returns their statuses.
async fn ask_over_http2(address: std::net::SocketAddr, streams: usize) -> Vec<u16> {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let driven = tokio::spawn(connection);
    let mut asking = JoinSet::new();
    for _ in 0..streams {
        let mut sender = sender.clone();
        let request = http::Request::get(format!("http://{address}/x"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        asking.spawn(async move {
            sender.ready().await.unwrap();
            sender.send_request(request).await.unwrap().status().as_u16()
        });
    }
    let statuses = asking.join_all().await;
    driven.abort();
    statuses
}
