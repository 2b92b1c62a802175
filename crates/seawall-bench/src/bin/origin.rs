//! The upstream of the peer benchmarks: answers every GET with 1 KiB, after a delay if asked.
//!
//! Usage: `origin [DELAY_MS]`; prints its address and serves until it is killed. It reads heads
//! and nothing else of HTTP: it must cost less than every proxy in front of it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let delay = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A connection that breaks ends; the benchmark counts answers, not connections.
            let _ = serve(stream, Duration::from_millis(delay)).await;
        });
    }
}

/// Answers every head on one connection, in order.
async fn serve(mut stream: TcpStream, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = answer();
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        while let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            head.drain(..end + 4);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            stream.write_all(&answer).await?;
        }
    }
}

fn answer() -> Vec<u8> {
    let mut answer =
        b"HTTP/1.1 200 OK\r\nserver: origin\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n"
            .to_vec();
    answer.resize(answer.len() + 1024, b'x');
    answer
}

const BACKLOG: u32 = 4096;
