//! The endpoints of an upstream that has several: names, breakers, who is left out.
//!
//! Does not know: how an endpoint is reached. Invariant: an endpoint keeps its breaker for as long
//! as its name is among the endpoints.

use std::sync::Arc;
use std::time::Instant;

use seawall_policy::breaker::Breaker;
use seawall_policy::outlier::{ENDPOINTS_MAX, Endpoints};

/// Holds what is known of several endpoints.
pub(crate) struct Ends {
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) picker: Endpoints,
    pub(crate) breakers: Vec<Arc<Breaker>>,
}

impl Ends {
    /// Makes endpoints with these names; those that were there before keep their breakers.
    pub(crate) fn new(names: &[Arc<str>], before: Option<&Self>, epoch: Instant) -> Self {
        let names = &names[..names.len().min(usize::from(ENDPOINTS_MAX))];
        let breaker = |name: &Arc<str>| {
            let place = before.and_then(|before| before.names.iter().position(|old| old == name));
            match (before, place) {
                (Some(before), Some(place)) => before.breakers[place].clone(),
                _ => Arc::new(Breaker::new(epoch)),
            }
        };
        Self {
            names: names.to_vec(),
            picker: Endpoints::new(epoch, names.len() as u16),
            breakers: names.iter().map(breaker).collect(),
        }
    }
}
