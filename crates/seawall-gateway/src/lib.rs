//! HTTP routes that call upstreams through a policy.
//!
//! Does not know: TOML, flags, signals, Prometheus. It is given settings as they are meant, a
//! listener and an observer.

mod gateway;
mod settings;

pub use gateway::{BadRoute, Gateway};
pub use settings::{Limits, Route, Server, Settings, Target};
