//! The demo: simulated upstreams with a script, traffic of its own, and nothing that leaves the
//! machine.

mod scenario;
mod traffic;

use seawall_settings::Source;

pub(crate) use scenario::built_in;
pub(crate) use traffic::{PER_SECOND, Traffic};

/// Returns the demo's settings.
pub(crate) fn source() -> Source {
    Source::Text { name: "demo.toml (built in)".into(), text: SETTINGS.into() }
}

const SETTINGS: &str = include_str!("../../scenarios/demo.toml");
