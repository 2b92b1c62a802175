//! HTTP routes that call upstreams through a policy.
//!
//! Does not know: TOML, flags, signals, Prometheus. It is given settings as they are meant, a
//! listener and an observer.

mod body;
mod cache;
mod claims;
mod connection;
mod crowd;
mod drain;
mod ended;
mod explain;
mod fallback;
mod forward;
mod gateway;
mod head;
mod headers;
mod listener;
mod problem;
mod record;
mod redirect;
mod refused;
mod route;
mod settings;
mod shared;
mod shield;
mod sink;
mod source;
mod who;

pub use explain::{Explained, Explainer, NotTaken};
pub use gateway::Gateway;
pub use route::BadRoute;
pub use settings::{
    Fallback, Limits, Logged, Prepared, Route, Server, Settings, Target, UpstreamHost,
};
pub use who::{KeySource, PrioritySource, key_of};
