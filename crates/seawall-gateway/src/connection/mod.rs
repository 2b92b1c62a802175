//! One client's connection, from its first byte to its last.
//!
//! Does not know routes or policies: `request` turns what comes into an answer. One task does
//! everything; dropping that task drops every call that was made for this client.

pub(crate) mod crowd;
pub(crate) mod drain;
mod http1;
mod http2;
pub(crate) mod listener;
pub(crate) mod shield;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;

use seawall_core::Left;
use seawall_http::server::{Clock, First, Socket, read_first};
use tokio::time::Instant;

use crate::shared::Shared;
use seawall_http::server::ConnectionState;

/// Serves one connection to its end, and says how it ended.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and drops every call made for it.
pub(crate) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    mut socket: S,
    link: Arc<ConnectionState>,
) -> Left {
    let limits = gateway.table().server.limits.on_the_wire();
    let opened = Instant::now();
    let sleep = pin!(tokio::time::sleep_until(opened + limits.first_byte_timeout));
    let mut clock = Clock::new(sleep);
    match read_first(&mut socket, &link, &limits, &mut clock).await {
        Ok(First::Http1(bytes)) => http1::serve(gateway, socket, bytes, link, &limits, clock).await,
        // Boxed: most connections would carry the room for it.
        Ok(First::Http2(bytes)) => {
            Box::pin(http2::serve(gateway, socket, bytes, link, &limits, clock)).await
        }
        Err(left) => left,
    }
}
