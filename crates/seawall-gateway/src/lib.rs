//! HTTP routes that call upstreams through a policy.
//!
//! Does not know: TOML, flags, signals, Prometheus. It is given settings as they are meant, a
//! listener and an observer.

mod answer;
mod bad_route;
mod connection;
mod gateway;
mod request;
mod route;
mod settings;
mod shared;

pub use bad_route::BadRoute;
pub use gateway::Gateway;
pub use request::caller::{KeySource, PrioritySource, key_of};
pub use route::explain::{Explained, Explainer, NotTaken};
pub use settings::{Logged, Route, RouteEnd, Server, ServerLimits, Settings};
