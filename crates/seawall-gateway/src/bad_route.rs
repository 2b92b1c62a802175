//! A set of routes that cannot be served.
//!
//! Does not know how routes are found.

use seawall_upstream::BadOperation;
use thiserror::Error;

/// Why a set of routes cannot be served.
#[derive(Debug, Error)]
#[error("route `{route}`: {why}")]
pub struct BadRoute {
    /// The route as written.
    pub route: String,
    /// What is wrong with it.
    pub why: String,
}

impl From<BadOperation> for BadRoute {
    fn from(bad: BadOperation) -> Self {
        Self { route: bad.name.to_string(), why: bad.why }
    }
}
