//! One client's connection, from its first byte to its last.
//!
//! Does not know routes or policies: `request` turns what comes into an answer. One task does
//! everything; dropping that task drops every call that was made for this client.

mod http1;
mod http2;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Left, ServerEvent};
use seawall_http::server::{
    ConnectionLimit, ConnectionService, ConnectionState, ConnectionTimer, First, read_first,
};
use seawall_http::{Socket, Tcp};
use seawall_wire::ProblemDetails;
use tokio::time::Instant;

use crate::answer::problem::last_words;
use crate::shared::Shared;

/// The connections of a gateway, whichever listener they come from.
#[derive(Clone)]
pub(crate) struct Connections(pub(crate) Arc<Shared>);

impl ConnectionService for Connections {
    fn connections(&self) -> &Arc<ConnectionLimit> {
        &self.0.connections
    }

    fn connections_max(&self) -> (usize, usize) {
        let limits = &self.0.table().server.limits;
        (limits.connections_max, limits.connections_per_address_max)
    }

    fn observe(&self, event: &ServerEvent<'_>) {
        self.0.say(event);
    }

    fn no_room(&self) -> Vec<u8> {
        last_words(&ProblemDetails {
            word: "too-many-connections",
            title: "connection limit reached".into(),
            status: 503,
            retry_after: Some(Duration::from_secs(1)),
            ..ProblemDetails::default()
        })
    }

    fn serve(
        &self,
        socket: Tcp,
        state: Arc<ConnectionState>,
    ) -> impl Future<Output = Left> + Send + 'static {
        serve(Arc::clone(&self.0), socket, state)
    }
}

/// Serves one connection to its end, and says how it ended.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and drops every call made for it.
pub(crate) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    mut socket: S,
    connection: Arc<ConnectionState>,
) -> Left {
    let limits = gateway.table().server.limits.on_the_wire();
    let opened = Instant::now();
    let sleep = pin!(tokio::time::sleep_until(opened + limits.first_byte_timeout));
    let mut clock = ConnectionTimer::new(sleep);
    match read_first(&mut socket, &connection, &limits, &mut clock).await {
        Ok(First::Http1(bytes)) => {
            http1::serve(gateway, socket, bytes, connection, &limits, clock).await
        }
        // Boxed: most connections would carry the room for it.
        Ok(First::Http2(bytes)) => {
            Box::pin(http2::serve(gateway, socket, bytes, connection, &limits, clock)).await
        }
        Err(left) => left,
    }
}
