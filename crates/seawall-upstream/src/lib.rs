//! One guarded upstream of any kind: everything that calls a service does it through here.
//!
//! Does not know: routes, lines or hubs that call, settings files, metrics. An [`Upstream`] is a way
//! to a service ([`Protocol`]: HTTP, or another one's own) behind a [`Policy`](seawall_call::Policy).
//! An [`Operation`] is what a route calls: an upstream with the path that is asked for, what is
//! cached, and what stands in when the call fails. Both are called with a request and a
//! [`Context`](seawall_call::Context).

mod address;
mod cache;
mod cancellations;
mod fallback;
mod http;
mod operation;
mod problem;
mod protocol;
mod reply;
mod request;
mod responder;
mod upstream;

pub use address::{UpstreamHost, UpstreamNames, UpstreamUrl};
pub use cache::ResponseCache;
pub use cancellations::Cancellations;
pub use fallback::{Fallback, Prepared};
pub use http::Http;
pub use operation::{BadOperation, BadPath, Operation};
pub use problem::{in_full, to_problem};
pub use protocol::Protocol;
pub use reply::Reply;
pub use request::{AttemptListener, HttpRequest, Repeats};
pub use responder::{Responder, Responding, RoutedRequest, Upgrade};
pub use upstream::Upstream;
