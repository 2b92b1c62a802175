//! What comes from a client: what of it may pass, who asks, and where it goes.
//!
//! Does not know attempts or sockets. A request leaves here for its route's end, or with its refusal.

pub(crate) mod caller;
pub(crate) mod claims;
pub(crate) mod head;
pub(crate) mod headers;
pub(crate) mod intake;
pub(crate) mod refused;
pub(crate) mod respond;
pub(crate) mod source;
pub(crate) mod underway;
