//! The gateway: the settings in force, the counts, and the way in.
//!
//! Does not know sockets beyond handing a listener on. A request takes one look at the settings
//! and keeps what it saw until its answer has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use seawall_core::{Event, Observer};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listener::{self, Crowd};
use crate::route::Table;
use crate::{Settings, drain::Drain};

/// Serves routes; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

/// Holds what every connection and every request of a gateway share.
pub(crate) struct Shared {
    table: ArcSwap<Table>,
    observer: Arc<dyn Observer>,
    in_flight: AtomicUsize,
    pub(crate) crowd: Crowd,
}

/// Says why a set of routes cannot be served.
#[derive(Debug, Error)]
#[error("route `{route}`: {why}")]
pub struct BadRoute {
    /// The route as written.
    pub route: String,
    /// What is wrong with it.
    pub why: String,
}

impl Gateway {
    /// Makes a gateway; nothing listens yet.
    ///
    /// # Errors
    ///
    /// Names the route whose path cannot be read, or that stands in another one's way.
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Result<Self, BadRoute> {
        let table = ArcSwap::from_pointee(Table::new(settings)?);
        let in_flight = AtomicUsize::new(0);
        Ok(Self(Arc::new(Shared { table, observer, in_flight, crowd: Crowd::default() })))
    }

    /// Puts new settings in force; requests in flight finish on the old ones, and a connection
    /// keeps the limits it began with.
    ///
    /// # Errors
    ///
    /// As [`Gateway::new`]; the old settings stay in force.
    pub fn reload(&self, settings: Settings) -> Result<(), BadRoute> {
        self.0.table.store(Arc::new(Table::new(settings)?));
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// Returns how many requests are in flight, answers that are still being sent included.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Returns how many clients are connected.
    pub fn connections(&self) -> usize {
        self.0.crowd.len()
    }

    /// Accepts clients on the current runtime until `stop`, then finishes what is in flight;
    /// connections that are still open at `cut` are cut.
    ///
    /// May be called once per worker thread, each with its own `SO_REUSEPORT` listener; whoever
    /// makes the listener chooses its backlog (4096 does; the usual 128 overflows).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listener; connections live on as tasks of the runtime.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
        cut: CancellationToken,
    ) {
        let drain = Drain::default();
        listener::accept_until(&self.0, listener, &drain, &stop).await;
        listener::finish(&drain, &cut).await;
    }
}

impl Shared {
    /// Returns the settings in force.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Tells the observer.
    pub(crate) fn say(&self, event: &Event<'_>) {
        self.observer.on(event);
    }

    /// Counts a request in.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request out.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
