//! HTTP/1.1 over real sockets: what is used again, and what is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt;
use seawall_core::{Attempt, Deadline};
use seawall_upstream::{Body, Options, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn attempt() -> Attempt {
    let deadline = Deadline::after(Instant::now(), Duration::from_secs(10));
    Attempt {
        number: 1,
        deadline,
        call_deadline: deadline,
        connect: Duration::from_secs(2),
        idle: Duration::from_secs(5),
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_second_request_uses_the_first_ones_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/base", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heads = Vec::new();
        for _ in 0..3 {
            heads.push(read_head(&mut stream).await);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
        }
        heads
    });
    let upstream = Upstream::new(&address, Options::default()).unwrap();
    for n in 0..3 {
        let request = Request::get(format!("/{n}")).body(Body::empty()).unwrap();
        let response = upstream.send(request, &attempt()).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
    }
    let heads = server.await.unwrap();
    assert!(heads[2].starts_with("GET /base/2 HTTP/1.1\r\n"), "{}", heads[2]);
}
