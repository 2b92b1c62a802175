//! The way in: accepts connections, and goes on accepting whatever happens.
//!
//! Does not know HTTP. An error of `accept` is never the end: most mean that the machine is short
//! of something, and the clients that are already here still deserve their answers.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use seawall_core::{Event, Left};
use seawall_http::server::Tcp;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::problem::Problem;
use crate::connection;
use crate::connection::crowd::Seat;
use crate::connection::drain::Drain;
use crate::connection::shield::Shield;
use crate::shared::Shared;
use seawall_http::server::Phase;

/// Accepts until `stop`, and then whoever is already waiting.
pub(crate) async fn accept_until(
    gateway: &Arc<Shared>,
    listener: TcpListener,
    drain: &Drain,
    stop: &CancellationToken,
) {
    let mut hardship = Hardship::new();
    loop {
        let accepted = tokio::select! {
            biased;
            // Nothing is lost: what `accept` would have returned is still in the backlog.
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                hardship.is_over();
                welcome(gateway, stream, peer, drain);
            }
            Err(error) => {
                hardship.note(gateway, &error);
                hardship.turn_some_away(&listener, &error);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(hardship.wait) => {}
                }
            }
        }
    }
    // The kernel has told these clients that they are connected.
    while let Some(stream) = accept_now(&listener) {
        if let Ok(peer) = stream.peer_addr() {
            welcome(gateway, stream, peer, drain);
        }
    }
}

/// Awaits the connections, and cuts those that are left at `cut`.
pub(crate) async fn finish(drain: &Drain, cut: &CancellationToken) {
    drain.advance(Phase::Draining);
    drain.tasks.close();
    tokio::select! {
        biased;
        () = drain.tasks.wait() => return,
        () = cut.cancelled() => {}
    }
    drain.advance(Phase::Cut);
    drain.tasks.wait().await;
}

/// Begins to serve a client, unless there are too many.
fn welcome(gateway: &Arc<Shared>, stream: TcpStream, peer: SocketAddr, drain: &Drain) {
    let table = gateway.table();
    let Some(seat) = Seat::take(&gateway.crowd, peer.ip(), &table.server.limits) else {
        gateway.say(&Event::ConnectionRefused);
        turn_away(&stream);
        return;
    };
    // Answers are written whole; waiting for more to send only adds to their latency.
    let _ = stream.set_nodelay(true);
    let member = drain.join(peer);
    let gateway = Arc::clone(gateway);
    drain.tasks.spawn(async move {
        let opened = Instant::now();
        gateway.say(&Event::ConnectionOpened { peer });
        let link = Arc::clone(&member.link);
        let serving = connection::serve(Arc::clone(&gateway), Tcp::new(stream), link);
        let how = Shield::new(serving).await.unwrap_or_else(|| {
            gateway.say(&Event::Panicked);
            Left::Cut
        });
        drop(member);
        drop(seat);
        gateway.say(&Event::ConnectionClosed { how, open_for: opened.elapsed() });
    });
}

/// Tells a client that there is no room, if it can be told without waiting.
fn turn_away(stream: &TcpStream) {
    let words = Problem {
        word: "too-many-connections",
        title: "no more connections are taken right now".into(),
        status: 503,
        retry_after: Some(Duration::from_secs(1)),
        ..Problem::default()
    };
    // A socket that is closed with unread bytes is reset, and the words could be lost with it.
    let mut request = [0; 4096];
    let _ = rustix::net::recv(stream, &mut request, RecvFlags::DONTWAIT);
    let _ = rustix::net::send(stream, &words.last_words(), SendFlags::DONTWAIT);
}

/// Accepts a connection if one is waiting, whatever tokio knows of it.
fn accept_now(listener: &TcpListener) -> Option<TcpStream> {
    loop {
        match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(fd) => return TcpStream::from_std(fd.into()).ok(),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => return None,
        }
    }
}

/// Carries the loop through a time in which `accept` fails.
struct Hardship {
    /// How long to wait before the next try.
    wait: Duration,
    /// A file that can be closed to make room for the connection that is turned away: otherwise
    /// it would stay in the backlog, and its client would wait for nothing.
    reserve: Option<File>,
    said: Option<Instant>,
}

impl Hardship {
    fn new() -> Self {
        Self { wait: Duration::ZERO, reserve: File::open("/dev/null").ok(), said: None }
    }

    fn is_over(&mut self) {
        if self.wait != Duration::ZERO {
            self.wait = Duration::ZERO;
            self.reserve = self.reserve.take().or_else(|| File::open("/dev/null").ok());
        }
    }

    /// Says what is wrong, at most once a second, and waits longer each time.
    fn note(&mut self, gateway: &Shared, error: &io::Error) {
        self.wait = (self.wait * 2).clamp(WAIT_MIN, WAIT_MAX);
        let now = Instant::now();
        if self.said.is_none_or(|said| now.duration_since(said) >= WAIT_MAX) {
            self.said = Some(now);
            gateway.say(&Event::AcceptFailed { errno: error.raw_os_error().unwrap_or(0) });
        }
    }

    /// Uses the reserve to tell those who wait that there is no room: they would wait for nothing.
    fn turn_some_away(&mut self, listener: &TcpListener, error: &io::Error) {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if !matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
            return;
        }
        drop(self.reserve.take());
        for _ in 0..TURNED_AWAY_MAX {
            let Some(stream) = accept_now(listener) else { break };
            turn_away(&stream);
            self.wait = WAIT_MIN;
        }
        self.reserve = File::open("/dev/null").ok();
    }
}

const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How many are turned away in a row, before others get their turn.
const TURNED_AWAY_MAX: usize = 64;
