//! An HTTP/2 server that says frame by frame what the test tells it.

use seawall_http::{Options, Transport};
use seawall_testkit::frames::{self, Frame, kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::SOON;

/// Listens, and speaks no HTTP/2 by itself.
pub(crate) struct Server {
    pub(crate) upstream: Transport,
    listener: TcpListener,
}

/// One connection to it.
pub(crate) struct Connection(TcpStream);

impl Server {
    pub(crate) async fn open() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = Transport::new(&url, Options { http2: true, ..options }).unwrap();
        Self { upstream, listener }
    }

    /// Takes a connection and reads its preface; says nothing itself yet.
    pub(crate) async fn accept(&self) -> Connection {
        let (mut stream, _) = timeout(SOON, self.listener.accept()).await.unwrap().unwrap();
        let mut preface = [0; frames::PREFACE.len()];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, frames::PREFACE);
        Connection(stream)
    }
}

impl Connection {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads until a frame of this kind has come.
    pub(crate) async fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = timeout(SOON, frames::read(&mut self.0)).await.unwrap().unwrap();
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads a request's head; returns its stream.
    pub(crate) async fn request(&mut self) -> u32 {
        self.until(kind::HEADERS).await.stream
    }
}

impl Connection {
    /// Counts the heads that come until settings are acknowledged.
    pub(crate) async fn heads_until_ack(&mut self) -> usize {
        let mut heads = 0;
        loop {
            let frame = timeout(SOON, frames::read(&mut self.0)).await.unwrap().unwrap();
            heads += usize::from(frame.kind == kind::HEADERS);
            if frame.kind == kind::SETTINGS && frame.flags & frames::ACK != 0 {
                return heads;
            }
        }
    }
}
