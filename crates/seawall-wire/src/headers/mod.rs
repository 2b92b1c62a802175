//! What happens to headers on their way through: removed, set, kept.
//!
//! Order matters: first [`strip_request`], then [`forward`] and the rest, so that no `Connection`
//! header can remove what we say (`Connection: X-Forwarded-For`).
//!
//! `Expect` is dropped: the server in front has answered `100-continue` when the body is first read.

mod forward;
mod strip;
mod trace;

pub use forward::{Hop, asked, forward, forwarded, is_trusted};
pub use strip::{
    asks_for_websocket, join_cookies, say_websocket, strip_request, strip_request_trailers,
    strip_response, strip_response_trailers, takes_trailers,
};
pub use trace::{check_traceparent, request_id};
