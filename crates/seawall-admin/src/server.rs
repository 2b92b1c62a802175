//! The admin port's thread: accepts, and gives each connection to the routes.
//!
//! Does not know what is answered. Invariant: it waits for nothing that the data path does, so it
//! answers while the data path is stuck; and it has a file left when there are none.

use std::fs::File;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use seawall_core::{Cause, Fault, Left, Step};
use seawall_http::Tcp;
use seawall_http::server::{
    self, ClientLimits, ConnectionState, ConnectionTimer, DrainPhase, serve_http1,
};
use tokio::net::{TcpStream, UnixListener};
use tokio::runtime::Builder;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tracing::warn;

use super::guard::Guard;
use super::handover::{Offer, SocketFile};
use super::jobs::Jobs;
use super::room::{Place, Room};
use super::routes::{self, RouterState};
use super::runtime_file::{self, RuntimeFile, Whereabouts};
use super::state::{Orders, State};

/// The running admin port.
pub struct Admin {
    stop: CancellationToken,
    /// Clients of this port are no longer taken: another process has it.
    hand_over: CancellationToken,
    offer: Offer,
    /// `None` once it was awaited.
    thread: Option<thread::JoinHandle<()>>,
    /// Removed when the port closes, or is another process's.
    file: Option<RuntimeFile>,
    /// Removed when the port closes.
    _socket: Option<SocketFile>,
}

impl Admin {
    /// Starts the thread: when it returns, the port answers. Whoever replaces this process is
    /// given copies of `sockets`, and of this port.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no thread left.
    pub fn start(
        listener: TcpListener,
        state: Arc<State>,
        guard: Guard,
        orders: Orders,
        jobs: Option<Arc<dyn Jobs>>,
        (listen, file): (SocketAddr, Option<PathBuf>),
        mut sockets: Vec<TcpListener>,
    ) -> io::Result<Self> {
        let admin = listener.local_addr()?;
        sockets.push(listener.try_clone()?);
        let offer = Offer::new(sockets);
        let token = guard.made_here().map(ToOwned::to_owned);
        let served = file.clone();
        let whereabouts = Whereabouts { pid: std::process::id(), listen, admin, file, token };
        let file = match RuntimeFile::write(&whereabouts) {
            Ok(file) => Some(file),
            Err(error) => {
                warn!(event = "runtime_file.failed", "`seawall reload` will not find us: {error}");
                None
            }
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (listener, offered) = {
            let _inside = runtime.enter();
            let path = runtime_file::socket_path(admin.port(), std::process::id());
            // Without a runtime file nobody could find it.
            let bound = file.as_ref().map(|_| SocketFile::bind(path));
            let offered = match bound.transpose() {
                Ok(offered) => offered.unzip(),
                Err(error) => {
                    warn!(event = "handover.failed", "cannot offer the listening sockets: {error}");
                    (None, None)
                }
            };
            (tokio::net::TcpListener::from_std(listener)?, offered)
        };
        let (socket, offered) = offered;
        let [stop, hand_over] = [(); 2].map(|()| CancellationToken::new());
        let (stopped, handed_over, offering) = (stop.clone(), hand_over.clone(), offer.clone());
        let thread = thread::Builder::new().name("seawall-admin".to_owned()).spawn(move || {
            let (ticking, taking) = (state.clone(), orders.clone());
            let router =
                routes::router(Arc::new(RouterState { host: state, guard, orders, jobs, served }));
            runtime.block_on(async {
                tokio::select! {
                    // Dropping the accept loop loses nothing that the stop does not end anyway.
                    () = stopped.cancelled() => {}
                    () = accept(listener, router, &handed_over) => {}
                    () = tick(&ticking) => {}
                    () = stand(&offering, offered, &whereabouts, &taking) => {}
                }
            });
        })?;
        Ok(Self { stop, hand_over, offer, thread: Some(thread), file, _socket: socket })
    }

    /// Offers the listening sockets but this port's to nobody any more, and closes its copies of
    /// them.
    pub fn withdraw_offer(&self) {
        self.offer.withdraw_clients();
    }

    /// Leaves the port to another process: takes no client any more, finishes with those it has,
    /// and is no longer found.
    pub fn leave_port(&mut self) {
        self.offer.withdraw();
        self.hand_over.cancel();
        self.file = None;
    }

    /// Closes the port and awaits its thread.
    pub fn stop(mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed by the hook.
            drop(thread.join());
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Samples the counters once a second, for as long as it is polled.
async fn tick(state: &State) {
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        state.recorder().tick(Instant::now().into_std());
    }
}

/// Offers the listening sockets, for as long as it is polled.
async fn stand(
    offer: &Offer,
    listener: Option<UnixListener>,
    whereabouts: &Whereabouts,
    orders: &Orders,
) {
    if let Some(listener) = listener {
        offer.stand(&listener, whereabouts, orders).await;
    }
    pending().await
}

/// Accepts until the port is another process's.
async fn accept(listener: tokio::net::TcpListener, router: Router, leave: &CancellationToken) {
    let room = Room::new(CONNECTIONS_MAX);
    let mut reserve = File::open("/dev/null").ok();
    loop {
        let accepted = tokio::select! {
            // Nothing is lost: who is not accepted here is accepted there.
            () = leave.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if reserve.is_none() {
                    reserve = File::open("/dev/null").ok();
                }
                let (router, leave) = (router.clone(), leave.clone());
                let place = room.enter(peer.ip());
                tokio::spawn(async move { serve(stream, peer, router, place, &leave).await });
                // Whoever waits to be accepted must not displace one that was not heard yet.
                tokio::task::yield_now().await;
            }
            // No file is left: give the reserve for this client.
            Err(_) if reserve.take().is_some() => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    // Those who are here are served to the end of the process.
    pending().await
}

/// Serves one connection; none lives longer than [`CONNECTION_MAX`] or than its place, or asks for
/// more once the port is another process's.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
    leave: &CancellationToken,
) {
    let state = ConnectionState::new(peer, DrainPhase::Serving);
    let served = async {
        let mut clock = pin!(sleep(HEAD_TIMEOUT));
        let mut clock = ConnectionTimer::new(clock.as_mut());
        let answer = |request: seawall_http::Request<server::RequestBody>| {
            let (busy, mut router) = (place.busy(), router.clone());
            async move {
                let request = request.into_http().expect("a map holds what `LIMITS` allows");
                let request = request.map(Body::new);
                let answer = router.call(request).await.unwrap_or_else(|never| match never {});
                drop(busy);
                seawall_http::Response::from(answer).map(|body| {
                    body.map_err(|error| Fault::ours(Step::Body, Cause::Io).because(error))
                })
            }
        };
        let socket = Tcp::new(stream);
        let served = serve_http1(socket, Vec::new(), &state, &LIMITS, &mut clock, answer).await;
        if let (left, Some(mut served)) = served {
            let words = match (left, served.refusal) {
                (Left::Refused, Some(refusal)) => refused(refusal.status),
                (Left::HeadTimeout, _) => refused(408),
                _ => String::new(),
            };
            let has_unread = served.has_unread || !words.is_empty();
            server::part(&mut served.socket, words.as_bytes(), has_unread).await;
        }
    };
    let mut served = pin!(served);
    let served = async {
        tokio::select! {
            () = &mut served => {}
            () = leave.cancelled() => {
                state.advance(DrainPhase::Draining);
                served.await;
            }
        }
    };
    tokio::select! {
        // What goes wrong on it is the client's business; there is nobody to tell.
        _ended = timeout(CONNECTION_MAX, served) => {}
        // The connection is dropped with what it had to say: it has asked nothing for longest.
        () = place.is_needed() => {}
    }
}

/// Answers what cannot be read, or did not come in time.
fn refused(status: u16) -> String {
    format!("HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

const CONNECTIONS_MAX: usize = 64;
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// How long a head may take, and how long a connection is kept for the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const LIMITS: ClientLimits = ClientLimits {
    line_bytes_max: 8 * 1024,
    head_bytes_max: 16 * 1024,
    headers_max: 100,
    // HTTP/2 is not spoken here.
    streams_max: 0,
    first_byte_timeout: HEAD_TIMEOUT,
    head_timeout: HEAD_TIMEOUT,
    keep_alive_timeout: HEAD_TIMEOUT,
    write_stall_timeout: CONNECTION_MAX,
};
/// How long to wait when the operating system gives us no connection at all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
