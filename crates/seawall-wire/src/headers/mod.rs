//! What happens to headers on their way through: removed, set, kept.
//!
//! Order matters: first [`strip_request`], then [`forward`] and the rest, so that no `Connection`
//! header can remove what we say (`Connection: X-Forwarded-For`).
//!
//! Trailers have no function here: they are dropped, both ways, and `Trailer` with them. `Expect`
//! is dropped too: the server in front has answered `100-continue` when the body is first read.

mod forward;
mod strip;
mod trace;

pub use forward::{Hop, forward, is_trusted};
pub use strip::{strip_request, strip_response};
pub use trace::{REQUEST_ID, TRACEPARENT, TRACESTATE, check_traceparent, request_id};
