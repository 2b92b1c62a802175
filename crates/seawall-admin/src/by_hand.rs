//! What a person may have done to a running upstream, as documents: hold its breaker open or closed,
//! inject faults.
//!
//! Does not know: how it is done, or whether it may be.

use serde::{Deserialize, Serialize};

/// What a person wants.
#[derive(Clone, Debug, PartialEq)]
pub enum ByHand {
    /// Something of a breaker.
    Breaker(BreakerChange),
    /// Faults, or their end.
    Chaos(ChaosChange),
}

/// What is to become of an upstream's breakers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerChange {
    /// The upstream's name.
    pub upstream: String,
    /// What is to be done.
    pub action: BreakerAction,
    /// For how long; nothing for `release`.
    pub for_seconds: Option<f64>,
}

/// What is to be done to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerAction {
    /// Refuse every call.
    Open,
    /// Refuse none, whatever fails.
    Close,
    /// Decide by itself again.
    Release,
}

/// The faults that are to be injected into an upstream's attempts; all shares are from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChaosChange {
    /// The upstream's name.
    pub upstream: String,
    /// For how long; nothing ends what was begun before.
    pub for_seconds: Option<f64>,
    /// The share of attempts that begin later.
    pub latency: f64,
    /// By how much later.
    pub latency_seconds: f64,
    /// The share that is answered with an error.
    pub errors: f64,
    /// The share that is never answered.
    pub hangs: f64,
    /// The share whose connection is reset.
    pub resets: f64,
    /// Only calls of this caller: its address, or its value of the header that the policy's rate
    /// goes by.
    pub key: Option<String>,
}

impl ByHand {
    /// Returns the name of the upstream that is meant.
    pub fn upstream(&self) -> &str {
        match self {
            Self::Breaker(change) => &change.upstream,
            Self::Chaos(change) => &change.upstream,
        }
    }
}
