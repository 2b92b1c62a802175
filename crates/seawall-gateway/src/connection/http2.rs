//! A connection that speaks HTTP/2, with prior knowledge.
//!
//! Does not know routes or policies.

use std::sync::Arc;

use seawall_core::{HttpVersion, Left};
use seawall_http::Response;
use seawall_http::Socket;
use seawall_http::server::{ClientLimits, ConnectionState, ConnectionTimer, serve_http2};
use seawall_wire::Refusal;

use crate::answer::body::AnswerBody;
use crate::answer::in_flight::InFlight;
use crate::request::refused::Unread;
use crate::request::source;
use crate::shared::Shared;

/// Serves a connection whose preface has been read.
pub(super) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    socket: S,
    first: Vec<u8>,
    connection: Arc<ConnectionState>,
    limits: &ClientLimits,
    mut clock: ConnectionTimer<'_>,
) -> Left {
    let answer = |request| source::answer(&gateway, &connection, request);
    let refuse = |refusal| refuse(refusal, &gateway, &connection);
    serve_http2(socket, first, &connection, limits, &mut clock, answer, refuse).await
}

/// Answers what is not fit to be a request.
fn refuse(
    refusal: Refusal,
    gateway: &Arc<Shared>,
    connection: &Arc<ConnectionState>,
) -> Response<AnswerBody> {
    let (in_flight, _) = InFlight::enter(gateway, connection);
    let unread = Unread::refused(refusal, gateway);
    let response = unread.tell(gateway, connection, HttpVersion::Http2, Response::problem);
    response.map(|body| AnswerBody::ours(body, in_flight))
}
