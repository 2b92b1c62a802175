//! What changes at an upstream, for all its calls.
//!
//! Does not know why anybody would want it so. A change that a call brought about says which.

use std::time::{Duration, Instant};

use crate::{BreakerState, CallId, EjectReason, EndpointId, LimitReason, TripReason, UpstreamId};

/// A change at an upstream.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamEvent<'a> {
    /// When.
    pub at: Instant,
    /// The upstream.
    pub upstream: UpstreamId,
    /// The call that brought it about; none for what was said by hand, by settings, or by a body
    /// that broke off after its call had ended.
    pub call: Option<CallId>,
    /// What changed.
    pub kind: UpstreamEventKind<'a>,
}

/// What changed at an upstream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum UpstreamEventKind<'a> {
    /// A circuit breaker changed its state.
    BreakerChanged {
        /// The endpoint that it guards; [`EndpointId::ALL`] for one that guards them all.
        endpoint: EndpointId,
        /// The address of that endpoint; empty for one that guards them all.
        address: &'a str,
        /// From which state.
        from: BreakerState,
        /// To which state.
        to: BreakerState,
        /// Why.
        why: TripReason,
    },
    /// An adaptive limit changed.
    LimitChanged {
        /// How many places there were.
        from: u32,
        /// How many there are.
        to: u32,
        /// Why.
        why: LimitReason,
    },
    /// An endpoint is no longer picked.
    EndpointEjected {
        /// The endpoint.
        endpoint: EndpointId,
        /// Its address.
        address: &'a str,
        /// For how long.
        ejected_for: Duration,
        /// Why.
        why: EjectReason,
    },
    /// An endpoint is picked again.
    EndpointReturned {
        /// The endpoint.
        endpoint: EndpointId,
        /// Its address.
        address: &'a str,
    },
}
