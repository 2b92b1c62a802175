//! One client's connection, from its first byte to its last.
//!
//! Does not know routes or policies: `source` turns a request into an answer. One task does
//! everything; dropping that task drops every call that was made for this client.

mod clock;
mod first;
mod flood;
mod http1;
mod http2;
mod part;
mod pipe;
mod socket;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;

use seawall_core::Left;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use socket::{Socket, Tcp};

use crate::link::Link;
use crate::shared::Shared;
use clock::Clock;
use first::First;

/// Serves one connection to its end, and says how it ended.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and drops every call made for it.
pub(crate) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    mut socket: S,
    link: Arc<Link>,
    tasks: TaskTracker,
) -> Left {
    let limits = gateway.table().server.limits.clone();
    let opened = Instant::now();
    let sleep = pin!(tokio::time::sleep_until(opened + limits.first_byte_timeout));
    let mut clock = Clock::new(sleep);
    match first::read(&mut socket, &link, &limits, &mut clock).await {
        Ok(First::Http1(bytes)) => http1::serve(gateway, socket, bytes, link, &limits, clock).await,
        Ok(First::Http2(bytes)) => {
            http2::serve(gateway, socket, bytes, link, &limits, clock, tasks).await
        }
        Err(left) => left,
    }
}

/// How long a connection must have been quiet before a server that stops closes it: a client that
/// has just had an answer may be sending its next request at this moment, and would not know whether
/// it was heard. One that has been quiet for longer is closed at once.
pub(crate) const QUIET_BEFORE_END: std::time::Duration = std::time::Duration::from_secs(1);
