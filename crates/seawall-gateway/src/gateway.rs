//! The gateway: the settings in force, the counts, and the way in.
//!
//! Does not know sockets beyond handing a listener on. A request takes one look at the settings
//! and keeps what it saw until its answer has ended.

use std::sync::Arc;

use seawall_core::Observers;
use seawall_http::server::listen;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connection::Connections;
use crate::route::Table;
use crate::shared::Shared;
use crate::{BadRoute, Settings};

/// Serves routes; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

impl Gateway {
    /// Makes a gateway; nothing listens yet.
    ///
    /// # Errors
    ///
    /// Names the route whose path cannot be read, or that stands in another one's way.
    pub fn new(settings: Settings, observers: impl Into<Observers>) -> Result<Self, BadRoute> {
        Ok(Self(Arc::new(Shared::new(Table::new(settings)?, observers.into()))))
    }

    /// Puts new settings in force; requests in flight finish on the old ones, and a connection
    /// keeps the limits it began with.
    ///
    /// # Errors
    ///
    /// As [`Gateway::new`]; the old settings stay in force.
    pub fn reload(&self, settings: Settings) -> Result<(), BadRoute> {
        self.0.put_in_force(Table::new(settings)?);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// Returns how many requests are in flight, answers that are still being sent included.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    /// Returns how many clients are connected.
    pub fn connections(&self) -> usize {
        self.0.connections.count()
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
        let host = Connections(Arc::clone(&self.0));
        listen(&host, listener, &stop, &cut).await;
    }
}
