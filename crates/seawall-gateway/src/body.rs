//! Bodies on their way through: the request's, with its limits, and the answer's, with what
//! depends on its end.
//!
//! Does not know routes or policies. Nothing is kept of a body here.

mod answer;
mod intake;
mod passage;

pub(crate) use answer::{AnswerBody, Cut, InFlight};
pub(crate) use intake::{BodyLimits, Incoming, Intake};
