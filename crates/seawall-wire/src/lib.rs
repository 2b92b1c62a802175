//! HTTP as bytes and names: strict heads, framing, paths, templates, header rules.
//!
//! Does not know: sockets, tokio, hyper, policies, settings files, clocks.
//!
//! Everything here is pure: bytes and names in, a decision out. The one invariant that matters:
//! what passes can be read in one way only, by us and by whoever reads it after us.

pub mod caching;
pub mod deadline;
mod digits;
mod fields;
pub mod headers;
pub mod host;
pub mod http1;
pub mod http2;
pub mod name;
pub mod path;
mod problem;
pub mod query;
pub mod retry_after;
pub mod template;
mod value;
pub mod verdict;

pub use digits::Digits;
pub use fields::{Field, Fields, Lookup};
pub use host::Host;
pub use http1::{HeadLimits, Refusal, StreamPosition};
pub use name::{Name, NameSet};
pub use path::PathFlaw;
pub use problem::ProblemDetails;
pub use template::{Pattern, Template};
pub use value::Value;
