//! HTTP routes that call upstreams through a policy.
//!
//! Does not know: TOML, flags, signals, Prometheus. It is given settings as they are meant, a
//! listener and an observer.

mod answer;
mod connection;
mod gateway;
mod request;
mod route;
mod settings;
mod shared;

pub use gateway::Gateway;
pub use request::caller::{KeySource, PrioritySource, key_of};
pub use route::BadRoute;
pub use route::explain::{Explained, Explainer, NotTaken};
pub use settings::{Logged, Route, RouteEnd, Server, ServerLimits, Settings};
