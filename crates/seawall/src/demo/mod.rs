//! The demo: simulated upstreams with a script, traffic of its own, and nothing that leaves the
//! machine.

mod scenario;
mod traffic;

pub(crate) use scenario::Script;
pub(crate) use traffic::{PER_SECOND, Traffic};

use crate::settings::Source;

/// Returns the demo's settings.
pub(crate) fn source() -> Source {
    Source::Text { name: "demo.toml (built in)".into(), text: SETTINGS.into() }
}

const SETTINGS: &str = include_str!("../../scenarios/demo.toml");
