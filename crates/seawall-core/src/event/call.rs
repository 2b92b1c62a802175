//! What happens to a call, from its start to its end.
//!
//! Does not know how calls are made. A span of a call goes from `Started` to `Ended`, that of an
//! attempt from `AttemptStarted` to `AttemptEnded`, a wait in the queue from `Queued` to `Dequeued`;
//! each of these ends exactly once, also where the call is dropped.

use std::time::{Duration, Instant};

use crate::{
    AttemptId, CacheUse, CallId, CancelReason, Chaos, EndpointId, Fate, Fault, Origin, Outcome,
    Phase, Priority, RetryDenied, RetryReason, ShedReason, UpstreamId,
};

/// Something that happened to a call.
#[derive(Clone, Copy, Debug)]
pub struct CallEvent<'a> {
    /// When.
    pub at: Instant,
    /// The call.
    pub call: CallId,
    /// The upstream that it is for.
    pub upstream: UpstreamId,
    /// The attempt that it happened to, or for which the call waits; none for what concerns the
    /// call as a whole.
    pub attempt: Option<AttemptId>,
    /// What the call brought along.
    pub origin: &'a Origin<'a>,
    /// What happened.
    pub kind: CallEventKind<'a>,
}

/// What happened to a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CallEventKind<'a> {
    /// The call entered its policy.
    Started,
    /// The call left its policy. What comes after it is only said of the answer: `CacheUsed`,
    /// `FellBack`.
    Ended {
        /// How it ended.
        fate: Fate,
        /// How many attempts were made.
        attempts: u32,
        /// From entry to end.
        took: Duration,
    },
    /// The attempt began.
    AttemptStarted {
        /// The endpoint that it goes to.
        endpoint: EndpointId,
    },
    /// The attempt ended.
    AttemptEnded {
        /// The endpoint that it went to.
        endpoint: EndpointId,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
    },
    /// The attempt failed with a fault.
    AttemptFaulted {
        /// The address of the endpoint that it went to; empty if it is not known.
        address: &'a str,
        /// What went wrong.
        fault: &'a Fault,
    },
    /// The attempt that is to come has to wait for a place in the bulkhead.
    Queued {
        /// How many were waiting, this one included.
        waiting: u32,
    },
    /// The attempt that waited got its place, left or was turned away.
    Dequeued {
        /// How long it waited.
        waited: Duration,
        /// Whether it got its place.
        admitted: bool,
    },
    /// The call was refused by a strategy.
    Rejected {
        /// One of the `rejected_*` fates.
        fate: Fate,
    },
    /// A retry was decided; the attempt is the one to come.
    RetryScheduled {
        /// How long to wait before it.
        delay: Duration,
        /// Why.
        reason: RetryReason,
    },
    /// A retry would have been made, but something stood against it.
    RetryDenied {
        /// What stood against it.
        why: RetryDenied,
    },
    /// A time limit passed: that of the attempt, or where there is none, that of the call.
    TimedOut {
        /// Which.
        phase: Phase,
    },
    /// The call was given up before it had an outcome.
    Abandoned {
        /// Where it stood.
        phase: Phase,
        /// Why.
        reason: CancelReason,
    },
    /// A breaker in a dry run let the attempt that is to come through, which it would have refused.
    BreakerSpared,
    /// The call was shed because of its priority.
    Shed {
        /// The priority of the call.
        priority: Priority,
        /// What there was too much of.
        why: ShedReason,
    },
    /// The hedged attempts of the call are over.
    HedgeEnded {
        /// Whether a hedged attempt answered first.
        won: bool,
    },
    /// The answer came from the cache.
    CacheUsed {
        /// How it was used.
        how: CacheUse,
        /// How old the answer is.
        age: Duration,
    },
    /// The call took part in the answer of another one instead of asking for its own.
    Coalesced {
        /// The call that was made for all who asked the same.
        flight: CallId,
        /// How long it waited for that one's answer.
        waited: Duration,
    },
    /// The call failed, and was answered with something prepared.
    FellBack {
        /// What it ended with before.
        fate: Fate,
    },
    /// A fault was put into the attempt on purpose.
    ChaosInjected {
        /// What.
        what: Chaos,
    },
}
