//! Upstreams: HTTP services, and simulated ones behind the same face.
//!
//! Does not know: routes, settings files, metrics. It is the only crate that knows HTTP clients.

mod body;
mod upstream;

pub use body::Body;
pub use upstream::{BadAddress, Options, Upstream};
