//! The words every part of Seawall shares: fates, faults, outcomes, deadlines, events.
//!
//! Does not know: tokio, a clock, sockets, settings, metrics, logs. Time and randomness are
//! arguments. What is here is data and the rules that hold for it wherever it travels.

mod attempt;
mod cancel;
mod chance;
mod code;
mod deadline;
mod event;
mod fate;
mod fault;
mod id;
mod observe;
mod outcome;
mod priority;
mod request;
mod secret;
mod trace;
mod words;

pub use attempt::{Attempt, Judge, Plain, Retrying};
pub use cancel::{CancelCell, CancelReason};
pub use chance::Chance;
pub use code::Code;
pub use deadline::Deadline;
pub use event::{
    BreakerState, CacheUse, CallEvent, CallEventKind, Chaos, EjectReason, Event, HttpVersion, Left,
    LimitReason, Origin, Phase, RefusedHead, RetryDenied, RetryReason, ServerEvent, ShedReason,
    TripReason, UpstreamEvent, UpstreamEventKind,
};
pub use fate::Fate;
pub use fault::{Cause, Fault, Sent, Side, Step};
pub use id::{AttemptId, CallId, EndpointId, RouteId, UpstreamId};
pub use observe::{Observer, Observers, Silent};
pub use outcome::{Failure, Neutral, Outcome};
pub use priority::Priority;
pub use request::{RequestEnd, RequestRecord};
pub use secret::Secret;
pub use trace::TraceContext;
pub use words::Words;
