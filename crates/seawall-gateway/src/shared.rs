//! What every connection and every request of a gateway share.
//!
//! Does not know who uses it: sockets, requests, listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use seawall_core::{Event, Observers, ServerEvent};
use seawall_http::server::ConnectionLimit;

use crate::route::Table;

/// Holds the settings in force, the observers and the counts.
pub(crate) struct Shared {
    table: ArcSwap<Table>,
    observers: Observers,
    in_flight: AtomicUsize,
    pub(crate) connections: Arc<ConnectionLimit>,
    /// Whether the end of the next request meets a bug of ours.
    #[cfg(test)]
    pub(crate) has_bug: std::sync::atomic::AtomicBool,
}

impl Shared {
    pub(crate) fn new(table: Table, observers: Observers) -> Self {
        let table = ArcSwap::from_pointee(table);
        Self {
            table,
            observers,
            in_flight: AtomicUsize::new(0),
            connections: Arc::default(),
            #[cfg(test)]
            has_bug: false.into(),
        }
    }

    /// Puts new settings in force.
    pub(crate) fn put_in_force(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// Returns the settings in force.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Tells the observers.
    #[inline]
    pub(crate) fn say(&self, event: &ServerEvent<'_>) {
        self.observers.tell(&Event::Server(event));
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
