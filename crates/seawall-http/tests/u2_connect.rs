//! Connections that do not open. One test, alone in its process: it counts the open files.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::time::Duration;

use common::{attempt, get};
use seawall_core::{Cause, Sent, Step};
use seawall_http::{Options, Transport};

fn sockets() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn u2_a_connection_that_does_not_open_ends_at_its_own_limit() {
    // The queue of a listener that nobody accepts from: once full, the kernel answers nothing.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    loop {
        let connect = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(100), connect).await {
            Ok(stream) => fill.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    let upstream = Transport::new(&format!("http://{address}"), Options::default()).unwrap();
    let patient = attempt();
    let mut attempt = attempt();
    attempt.connect = Duration::from_millis(50);
    let before = sockets();
    // U15: a caller that leaves while connecting leaves no socket behind.
    let left = tokio::time::timeout(Duration::from_millis(20), upstream.send(get("/"), &patient));
    assert!(left.await.is_err());
    assert_eq!(sockets(), before);
    let fault = upstream.send(get("/"), &attempt).await.unwrap_err();
    assert_eq!((fault.step, fault.cause), (Step::Connect, Cause::TimedOut));
    assert_eq!(fault.sent, Sent::Unsent);
}
