//! The demo's own traffic: a steady stream of requests through the real port.
//!
//! Does not know what becomes of them; the metrics tell. Invariant: the stream is open-loop, as
//! clients are, and bounded: a slow server meets more requests at once, but never more than
//! [`AT_ONCE_MAX`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use http::Request;
use http_body_util::BodyExt as _;
use seawall_core::{Attempt, Deadline};
use seawall_http::{Body, Options, Transport};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running traffic; it ends when dropped.
pub(crate) struct Traffic(CancellationToken);

/// How many requests a second.
pub(crate) const PER_SECOND: u32 = 20;

impl Traffic {
    /// Starts the stream to a port of this machine, on a thread of its own.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no thread left.
    pub(crate) fn start(to: SocketAddr) -> io::Result<Self> {
        let to = reachable(to);
        let upstream = Transport::new(&format!("http://{to}"), Options::default())
            .map_err(io::Error::other)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("seawall-traffic".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // The requests that are open are dropped: their clients go away.
                    () = stopped.cancelled() => {}
                    () = stream(upstream) => {}
                }
            });
        })?;
        Ok(Self(stop))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn stream(upstream: Transport) {
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let tasks = TaskTracker::new();
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for city in CITIES.iter().cycle() {
        ticks.tick().await;
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let upstream = upstream.clone();
        tasks.spawn(async move {
            // A client that gives up after ten seconds, as people do.
            drop(timeout(PATIENCE, ask(&upstream, city)).await);
            drop(place);
        });
    }
}

async fn ask(upstream: &Transport, city: &str) {
    let request = Request::get(format!("/api/weather/{city}"))
        .body(Body::empty())
        .expect("the cities are plain words");
    let now = Instant::now().into_std();
    let deadline = Deadline::after(now, PATIENCE);
    let attempt = Attempt::first(deadline, PATIENCE, PATIENCE);
    if let Ok(response) = upstream.send(request, &attempt).await {
        // Read to the end, so that the connection can be used again.
        drop(response.into_body().collect().await);
    }
}

/// Returns where a client of this machine reaches a listener: one on every address is on loopback.
fn reachable(to: SocketAddr) -> SocketAddr {
    if to.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), to.port())
    } else {
        to
    }
}

const CITIES: [&str; 8] = ["oslo", "lagos", "lima", "hanoi", "quito", "tunis", "perth", "bergen"];
const AT_ONCE_MAX: usize = 256;
const PATIENCE: Duration = Duration::from_secs(10);
