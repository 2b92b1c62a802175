//! The admin port's thread: accepts, and gives each connection to the routes.
//!
//! Does not know what is answered. Invariant: it waits for nothing that the data path does, so it
//! answers while the data path is stuck; and it has a file left when there are none.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::guard::Key;
use super::routes::{self, Desk};
use super::runtime_file::{RuntimeFile, Whereabouts};
use crate::jobs;
use crate::state::{Orders, State};

/// Holds the running admin port.
pub(crate) struct Admin {
    stop: CancellationToken,
    /// `None` once it was awaited.
    thread: Option<thread::JoinHandle<()>>,
    /// Removed when the port closes.
    _file: Option<RuntimeFile>,
}

impl Admin {
    /// Starts the thread: when it returns, the port answers.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no thread left.
    pub(crate) fn start(
        listener: TcpListener,
        state: Arc<State>,
        key: Key,
        orders: Orders,
        jobs: Option<Arc<jobs::Desk>>,
        (listen, file): (SocketAddr, Option<PathBuf>),
    ) -> io::Result<Self> {
        let admin = listener.local_addr()?;
        let token = key.made_here().map(ToOwned::to_owned);
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
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("seawall-admin".to_owned()).spawn(move || {
            let ticking = state.clone();
            let router = routes::router(Arc::new(Desk { state, key, orders, jobs, served }));
            runtime.block_on(async {
                tokio::select! {
                    // Dropping the accept loop loses nothing that the stop does not end anyway.
                    () = stopped.cancelled() => {}
                    () = accept(listener, router) => {}
                    () = tick(&ticking) => {}
                }
            });
        })?;
        Ok(Self { stop, thread: Some(thread), _file: file })
    }

    /// Closes the port and awaits its thread.
    pub(crate) fn stop(mut self) {
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

async fn accept(listener: tokio::net::TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut reserve = File::open("/dev/null").ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if reserve.is_none() {
                    reserve = File::open("/dev/null").ok();
                }
                // Who finds no place is closed: sixty-four are connected, and none for long.
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let router = router.clone();
                tokio::spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            // No file is left: give the reserve for this client.
            Err(_) if reserve.take().is_some() => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection; none lives longer than [`CONNECTION_MAX`].
async fn serve(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What goes wrong on it is the client's business; there is nobody to tell.
    drop(timeout(CONNECTION_MAX, connection).await);
}

const CONNECTIONS_MAX: usize = 64;
const CONNECTION_MAX: Duration = Duration::from_secs(60);
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long to wait when the operating system gives us no connection at all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
