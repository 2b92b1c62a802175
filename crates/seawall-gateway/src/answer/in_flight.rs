//! A request that is in flight, its answer's body included.
//!
//! Does not know what is answered.

use std::sync::Arc;

use seawall_http::server::ConnectionState;

use crate::shared::Shared;

/// Counts a request as in flight until it is dropped.
pub(crate) struct InFlight {
    pub(crate) gateway: Arc<Shared>,
    pub(crate) connection: Arc<ConnectionState>,
}

impl InFlight {
    pub(crate) fn enter(gateway: &Arc<Shared>, connection: &Arc<ConnectionState>) -> (Self, u64) {
        gateway.enter();
        let number = connection.enter();
        (Self { gateway: Arc::clone(gateway), connection: Arc::clone(connection) }, number)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gateway.leave();
    }
}
