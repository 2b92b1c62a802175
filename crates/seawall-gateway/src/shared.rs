//! What every connection and every request of a gateway share.
//!
//! Does not know who uses it: sockets, requests, listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use seawall_core::{Event, Observer};
use seawall_http::server::ConnectionLimit;

use crate::route::Table;

/// Holds the settings in force, the observer and the counts.
pub(crate) struct Shared {
    table: ArcSwap<Table>,
    observer: Arc<dyn Observer>,
    in_flight: AtomicUsize,
    pub(crate) connections: Arc<ConnectionLimit>,
}

impl Shared {
    pub(crate) fn new(table: Table, observer: Arc<dyn Observer>) -> Self {
        let table = ArcSwap::from_pointee(table);
        Self { table, observer, in_flight: AtomicUsize::new(0), connections: Arc::default() }
    }

    /// Puts new settings in force.
    pub(crate) fn put_in_force(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// Returns the settings in force.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Tells the observer.
    pub(crate) fn say(&self, event: &Event<'_>) {
        self.observer.on(event);
    }

    /// Returns how many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
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
