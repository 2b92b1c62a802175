//! What goes wrong with a connection to an upstream, in our words.
//!
//! Does not know: what becomes of a fault. Anything that came after the request began to be
//! written may have been seen by the upstream.

use seawall_core::{Cause, Fault, RefusedHead, Side, Step};
use seawall_wire::{Refusal, StreamPosition};

use super::heads::TooLong;
use super::inbound::Broken;
use super::outbound::Unsent;
use crate::fault::is_end;
use crate::head::HeadTooLarge;

/// Says what went wrong before the answer's head was whole.
pub(super) fn at_head(broken: Broken, head_max: HeadTooLarge) -> Fault {
    match broken {
        Broken::Closed => Fault::upstream(Step::Head, Cause::Reset),
        Broken::Failed(error) => {
            let cause = if is_end(error.kind()) { Cause::Reset } else { Cause::Io };
            Fault::upstream(Step::Head, cause).because(error)
        }
        Broken::Refused(Refusal {
            why: RefusedHead::TooLarge,
            place: StreamPosition::Head,
            ..
        }) => head_max.fault(),
        Broken::Refused(refusal) => Fault::upstream(Step::Head, cause_of(refusal)).because(refusal),
        Broken::TooLong(error) => too_long(error),
    }
}

/// Says what went wrong in the answer's body.
pub(super) fn at_body(broken: Broken) -> Fault {
    match broken {
        Broken::Closed => Fault::upstream(Step::Body, Cause::Truncated),
        Broken::Failed(error) => {
            let cause = if is_end(error.kind()) { Cause::Truncated } else { Cause::Io };
            Fault::upstream(Step::Body, cause).because(error)
        }
        Broken::Refused(refusal) => Fault::upstream(Step::Body, cause_of(refusal)).because(refusal),
        Broken::TooLong(error) => Fault::upstream(Step::Body, Cause::Malformed).because(error),
    }
}

pub(super) fn too_long(error: TooLong) -> Fault {
    Fault::upstream(Step::Head, Cause::Malformed).because(error)
}

/// Says why a request could not be sent whole.
pub(super) fn not_sent(unsent: Unsent) -> Fault {
    match unsent {
        Unsent::Body(fault) => fault,
        Unsent::WrongLength => {
            Fault { side: Side::Us, ..Fault::upstream(Step::Send, Cause::Malformed) }
        }
        Unsent::Failed(error) => Fault::upstream(Step::Send, Cause::Reset).because(error),
    }
}

const fn cause_of(refusal: Refusal) -> Cause {
    match refusal.why {
        RefusedHead::TooLarge | RefusedHead::BodyTooLarge => Cause::TooLarge,
        _ => Cause::Malformed,
    }
}
