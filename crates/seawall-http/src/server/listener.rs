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
use seawall_core::{Left, ServerEvent};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::catch_panic::CatchPanic;
use super::connection_limit::{ConnectionLimit, ConnectionPermit};
use super::drain::Drain;
use super::{ConnectionState, DrainPhase};
use crate::Tcp;

/// A service for the connections of a listener; clones share everything.
pub trait ConnectionService: Clone + Send + Sync + 'static {
    /// Counts those who are connected, over all listeners.
    fn connections(&self) -> &Arc<ConnectionLimit>;

    /// Returns how many may be connected in all, and from one address.
    fn connections_max(&self) -> (usize, usize);

    /// Tells of what happens to connections.
    fn observe(&self, event: &ServerEvent<'_>);

    /// Returns what a client is told for whom there is no room.
    fn no_room(&self) -> Vec<u8>;

    /// Serves one connection to its end, and says how it ended.
    fn serve(
        &self,
        socket: Tcp,
        state: Arc<ConnectionState>,
    ) -> impl Future<Output = Left> + Send + 'static;
}

/// Serves those who come until `stop`, then finishes what is in flight; connections that are still
/// open at `cut` are cut.
///
/// # Cancel safety
///
/// Dropping the future closes the listener; connections live on as tasks of the runtime.
pub async fn listen(
    host: &impl ConnectionService,
    listener: TcpListener,
    stop: &CancellationToken,
    cut: &CancellationToken,
) {
    let drain = Drain::default();
    accept_until(host, listener, &drain, stop).await;
    finish(&drain, cut).await;
}

/// Accepts until `stop`, and then whoever is already waiting.
async fn accept_until(
    host: &impl ConnectionService,
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
                welcome(host, stream, peer, drain);
            }
            Err(error) => {
                hardship.note(host, &error);
                hardship.turn_some_away(host, &listener, &error);
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
            welcome(host, stream, peer, drain);
        }
    }
}

/// Awaits the connections, and cuts those that are left at `cut`.
async fn finish(drain: &Drain, cut: &CancellationToken) {
    drain.advance(DrainPhase::Draining);
    drain.tasks.close();
    tokio::select! {
        biased;
        () = drain.tasks.wait() => return,
        () = cut.cancelled() => {}
    }
    drain.advance(DrainPhase::Cut);
    drain.tasks.wait().await;
}

/// Begins to serve a client, unless there are too many.
fn welcome(host: &impl ConnectionService, stream: TcpStream, peer: SocketAddr, drain: &Drain) {
    let (max, per_address_max) = host.connections_max();
    let permit = ConnectionPermit::take(host.connections(), peer.ip(), max, per_address_max);
    let Some(permit) = permit else {
        host.observe(&ServerEvent::ConnectionRefused);
        turn_away(host, &stream);
        return;
    };
    // Answers are written whole; waiting for more to send only adds to their latency.
    let _ = stream.set_nodelay(true);
    let member = drain.join(peer);
    let host = host.clone();
    drain.tasks.spawn(async move {
        let opened = Instant::now();
        host.observe(&ServerEvent::ConnectionOpened { peer });
        let serving = host.serve(Tcp::new(stream), Arc::clone(&member.state));
        let how = CatchPanic::new(serving).await.unwrap_or_else(|| {
            host.observe(&ServerEvent::Panicked);
            Left::Cut
        });
        drop(member);
        drop(permit);
        host.observe(&ServerEvent::ConnectionClosed { how, open_for: opened.elapsed() });
    });
}

/// Tells a client that there is no room, if it can be told without waiting.
fn turn_away(host: &impl ConnectionService, stream: &TcpStream) {
    // A socket that is closed with unread bytes is reset, and the words could be lost with it.
    let mut request = [0; 4096];
    let _ = rustix::net::recv(stream, &mut request, RecvFlags::DONTWAIT);
    let _ = rustix::net::send(stream, &host.no_room(), SendFlags::DONTWAIT);
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
    fn note(&mut self, host: &impl ConnectionService, error: &io::Error) {
        self.wait = (self.wait * 2).clamp(WAIT_MIN, WAIT_MAX);
        let now = Instant::now();
        if self.said.is_none_or(|said| now.duration_since(said) >= WAIT_MAX) {
            self.said = Some(now);
            host.observe(&ServerEvent::AcceptFailed { errno: error.raw_os_error().unwrap_or(0) });
        }
    }

    /// Uses the reserve to tell those who wait that there is no room: they would wait for nothing.
    fn turn_some_away(
        &mut self,
        host: &impl ConnectionService,
        listener: &TcpListener,
        error: &io::Error,
    ) {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if !matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
            return;
        }
        drop(self.reserve.take());
        for _ in 0..TURNED_AWAY_MAX {
            let Some(stream) = accept_now(listener) else { break };
            turn_away(host, &stream);
            self.wait = WAIT_MIN;
        }
        self.reserve = File::open("/dev/null").ok();
    }
}

const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How many are turned away in a row, before others get their turn.
const TURNED_AWAY_MAX: usize = 64;
