//! Opening a connection: find the addresses of a name, try every one.
//!
//! Does not know: HTTP. Whatever goes wrong here was not sent, so any request may be tried again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use seawall_core::{Cause, Fault, Step};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::Address;
use crate::{Socket, Tcp};

/// Opens a connection within `limit`, looking the name up included.
///
/// # Cancel safety
///
/// Dropping the future closes what it has opened so far.
pub(crate) async fn connect(address: &Address, limit: Duration) -> Result<Box<dyn Socket>, Fault> {
    let stream = match address.fixed {
        Some(fixed) => timeout(limit, TcpStream::connect(fixed))
            .await
            .map_err(|_| timed_out(Step::Connect))?
            .map_err(not_connected)?,
        None => connect_by_name(address, limit).await?,
    };
    // Nagle's algorithm would hold back the last piece of a body until the upstream has
    // acknowledged the one before.
    stream.set_nodelay(true).map_err(not_connected)?;
    Ok(Box::new(Tcp::new(stream)))
}

async fn connect_by_name(address: &Address, limit: Duration) -> Result<TcpStream, Fault> {
    let end = Instant::now() + limit;
    let found: Vec<SocketAddr> =
        timeout_at(end, lookup_host((address.host.as_str(), address.port)))
            .await
            .map_err(|_| timed_out(Step::Resolve))?
            .map_err(|error| {
                Fault::upstream(Step::Resolve, Cause::Unreachable).unsent().because(error)
            })?
            .take(ADDRESSES_MAX)
            .collect();
    let mut last = Fault::upstream(Step::Resolve, Cause::Unreachable).unsent();
    for (tried, candidate) in found.iter().enumerate() {
        // Each address gets its share of what is left, so that one that swallows packets cannot
        // use up the time of the others.
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - tried).unwrap_or(1);
        last = match timeout(share, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => not_connected(error),
            Err(_) => timed_out(Step::Connect),
        };
    }
    Err(last)
}

fn timed_out(step: Step) -> Fault {
    Fault::upstream(step, Cause::TimedOut).unsent()
}

fn not_connected(error: io::Error) -> Fault {
    let fault = match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::upstream(Step::Connect, Cause::Refused),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Fault::upstream(Step::Connect, Cause::Reset)
        }
        io::ErrorKind::TimedOut => Fault::upstream(Step::Connect, Cause::TimedOut),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Fault::upstream(Step::Connect, Cause::Unreachable)
        }
        // No local port is left: every one is in use or waits for its last packets.
        io::ErrorKind::AddrNotAvailable => Fault::ours(Step::Connect, Cause::Exhausted),
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM)) => {
            Fault::ours(Step::Connect, Cause::Exhausted)
        }
        _ => Fault::upstream(Step::Connect, Cause::Io),
    };
    fault.unsent().because(error)
}

/// A name that has more addresses than this is tried at the first ones only.
const ADDRESSES_MAX: usize = 8;

// Linux numbers; std has no `ErrorKind` for "too many open files".
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOMEM: i32 = 12;
const ENOBUFS: i32 = 105;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn u3_a_refused_connection_is_unsent_and_says_so() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = Address::parse(&format!("http://{closed}")).unwrap();
        let fault = connect(&address, Duration::from_secs(1)).await.err().unwrap();
        assert_eq!((fault.step, fault.cause), (Step::Connect, Cause::Refused));
        assert_eq!(fault.sent, seawall_core::Sent::Unsent);
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_tried() {
        // `localhost` is ::1 and 127.0.0.1 on most machines; only one of them listens here.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::parse(&format!("http://localhost:{port}")).unwrap();
        assert!(connect(&address, Duration::from_secs(1)).await.is_ok());
    }

    #[tokio::test]
    async fn u2_a_name_without_an_address_is_unreachable() {
        let address = Address::parse("http://nobody.invalid:80").unwrap();
        let fault = connect(&address, Duration::from_secs(5)).await.err().unwrap();
        assert_eq!(fault.step, Step::Resolve);
    }
}
