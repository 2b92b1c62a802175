//! Routes that call no upstream, but something that answers by itself: a hub.
//!
//! Does not know upstreams, or what answers.

use http::{StatusCode, Version};
use seawall_core::{Fate, RouteId};
use seawall_upstream::{Responder, RoutedRequest};
use seawall_wire::headers as rules;

use crate::answer::answered::Answered;
use crate::request::refused::broken;

/// Answers a request here; says how that ended.
///
/// # Cancel safety
///
/// Dropping the future drops whatever the responder has begun.
pub(crate) async fn respond(
    responder: &dyn Responder,
    route: RouteId,
    request: RoutedRequest<'_>,
) -> (Answered, Fate) {
    let has_upgrade = request.upgrade.is_some();
    let mut response = responder.respond(request).await;
    rules::strip_response(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        match has_upgrade {
            true => rules::say_websocket(response.headers_mut()),
            // Nobody has asked for another protocol: the client would take it for an answer's head.
            false => return (Answered::Ours { response: broken(), unread: None }, Fate::Failed),
        }
    }
    response.head_mut().version = Version::HTTP_11;
    let fate = if response.status().is_server_error() { Fate::Failed } else { Fate::Ok };
    (Answered::Streaming { response, route, permit: None, record: None }, fate)
}
