//! What goes back to a client: an upstream's answer or a problem, its body, and what is told of it.
//!
//! Does not know how an answer was come by.

pub(crate) mod answered;
pub(crate) mod body;
pub(crate) mod in_flight;
mod passage;
pub(crate) mod problem;
pub(crate) mod record;
pub(crate) mod redirect;
pub(crate) mod sink;
