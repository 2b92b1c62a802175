use std::time::Duration;

use seawall_core::Silent;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::{Gateway, Settings};

const NOT_FOUND: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

/// A client, and the connection that serves it: it ends with how and after how long.
struct Scene {
    client: DuplexStream,
    link: Arc<Link>,
    served: JoinHandle<(Left, Duration)>,
}

impl Scene {
    /// Opens a connection whose pipe holds `room` bytes each way, to a gateway without routes.
    fn open(room: usize) -> Self {
        let gateway = Gateway::new(Settings::default(), Arc::new(Silent)).unwrap();
        let (client, socket) = tokio::io::duplex(room);
        let link = Arc::new(Link::new("192.0.2.1:1".parse().unwrap(), Phase::Serving));
        let served = tokio::spawn({
            let (gateway, link) = (gateway.shared(), Arc::clone(&link));
            async move {
                let opened = Instant::now();
                let left = serve(gateway, socket, link, TaskTracker::new()).await;
                (left, opened.elapsed())
            }
        });
        Self { client, link, served }
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
async fn a_stop_closes_an_idle_connection_after_a_second() {
    let mut scene = Scene::open(1024);
    scene.send(NOT_FOUND).await;
    scene.head().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    scene.link.advance(Phase::Draining);
    scene.check_left(Left::Finished, 5 + 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_closes_a_connection_that_never_spoke_after_a_second() {
    let scene = Scene::open(1024);
    tokio::time::sleep(Duration::from_secs(5)).await;
    scene.link.advance(Phase::Draining);
    scene.check_left(Left::Finished, 5 + 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_a_connection_at_once() {
    for first in [&b""[..], b"GET", NOT_FOUND, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut scene = Scene::open(4096);
        scene.send(first).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.link.advance(Phase::Cut);
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
