//! A connection that speaks HTTP/1: how it is served, and how it ends.
//!
//! Does not know routes or policies.

use std::sync::Arc;

use seawall_core::{HttpVersion, Left};
use seawall_http::Socket;
use seawall_http::server::{
    ClientLimits, ConnectionState, ConnectionTimer, ServedConnection, part, serve_http1,
};
use seawall_wire::{Refusal, StreamPosition};

use crate::answer::problem;
use crate::request::refused::Unread;
use crate::request::source;
use crate::shared::Shared;

/// Serves a connection whose first bytes have been read.
pub(super) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    socket: S,
    first: Vec<u8>,
    connection: Arc<ConnectionState>,
    limits: &ClientLimits,
    mut clock: ConnectionTimer<'_>,
) -> Left {
    let answer = |request| source::answer(&gateway, &connection, request);
    let (left, served) = serve_http1(socket, first, &connection, limits, &mut clock, answer).await;
    if let Some(served) = served
        && left != Left::Cut
    {
        end(served, left, &gateway, &connection).await;
    }
    left
}

/// Ends the connection: in order, unless that would say what is not so.
async fn end<S: Socket>(
    mut served: ServedConnection<S>,
    left: Left,
    gateway: &Shared,
    connection: &ConnectionState,
) {
    // A body that broke off must not look whole; what a client does not read must not be kept.
    if connection.must_reset() || left == Left::WriteStall {
        served.socket.reset_on_close();
        return;
    }
    let words = last_words(served.refusal, left, gateway, connection);
    let has_unread = served.has_unread || words.is_some() || connection.is_broken();
    part(&mut served.socket, &words.unwrap_or_default(), has_unread).await;
}

/// Returns the answer to what nobody was asked.
fn last_words(
    refusal: Option<Refusal>,
    left: Left,
    gateway: &Shared,
    connection: &ConnectionState,
) -> Option<Vec<u8>> {
    let refusal = refusal.filter(|refusal| refusal.place != StreamPosition::Body);
    let unread = match (left, refusal) {
        (Left::Refused, Some(refusal)) => Unread::refused(refusal, gateway),
        (Left::HeadTimeout, _) => Unread::HEAD_TIMEOUT,
        _ => return None,
    };
    Some(unread.tell(gateway, connection, HttpVersion::Http1, problem::last_words))
}
