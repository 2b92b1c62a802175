//! A connection that speaks HTTP/1: how it is served, and how it ends.
//!
//! Does not know routes or policies.

use std::sync::Arc;

use seawall_core::{Event, Left};
use seawall_http::server::{Clock, ConnectionState, Limits, Served, Socket, part, serve_http1};
use seawall_wire::{Fields, Place, Refusal};

use crate::answer::problem::Problem;
use crate::answer::record;
use crate::request::headers;
use crate::request::source;
use crate::shared::Shared;

/// Serves a connection whose first bytes have been read.
pub(super) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    socket: S,
    first: Vec<u8>,
    link: Arc<ConnectionState>,
    limits: &Limits,
    mut clock: Clock<'_>,
) -> Left {
    let answer = |request| source::answer(&gateway, &link, request);
    let (left, served) = serve_http1(socket, first, &link, limits, &mut clock, answer).await;
    if let Some(served) = served
        && left != Left::Cut
    {
        end(served, left, &gateway, &link).await;
    }
    left
}

/// Ends the connection: in order, unless that would say what is not so.
async fn end<S: Socket>(
    mut served: Served<S>,
    left: Left,
    gateway: &Shared,
    link: &ConnectionState,
) {
    // A body that broke off must not look whole; what a client does not read must not be kept.
    if link.must_reset() || left == Left::WriteStall {
        served.socket.reset_on_close();
        return;
    }
    let words = last_words(served.refusal, left, gateway, link);
    let has_unread = served.has_unread || words.is_some() || link.is_broken();
    part(&mut served.socket, &words.unwrap_or_default(), has_unread).await;
}

/// Returns the answer to what nobody was asked.
fn last_words(
    refusal: Option<Refusal>,
    left: Left,
    gateway: &Shared,
    link: &ConnectionState,
) -> Option<Vec<u8>> {
    let refusal = refusal.filter(|refusal| refusal.place != Place::Body);
    let (refused, word, title, status, detail) = match (left, refusal) {
        (Left::Refused, Some(refusal)) => {
            gateway.say(&Event::RequestRefused { why: refusal.why, status: refusal.status });
            let word = match refusal.status {
                405 => "method-not-allowed",
                413 | 414 | 431 => "too-large",
                _ => "malformed-request",
            };
            let why = refusal.why.as_str();
            (why, word, "the request was refused", refusal.status, refusal.detail)
        }
        (Left::HeadTimeout, _) => {
            let detail = "its head was not whole in time";
            let why = Left::HeadTimeout.as_str();
            (why, "head-timeout", "the request took too long", 408, detail)
        }
        _ => return None,
    };
    let id = headers::request_id(&mut Fields::default());
    record::tell_unread(gateway, link, &id, (refused, status, detail));
    let (title, detail, request_id) = (title.into(), detail.into(), id.to_str().ok());
    Some(Problem { word, title, status, detail, request_id, ..Problem::default() }.last_words())
}
