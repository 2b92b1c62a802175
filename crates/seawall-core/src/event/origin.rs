//! What a call brings along for those who are told of it.
//!
//! Does not know who they are, nor what they make of it.

use std::any::Any;

use crate::{CallId, TraceContext};

/// Where a call comes from: what observers get with each of its events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The call for which this one is made: the one that began a shared flight, or that another
    /// upstream stands in for.
    pub parent: Option<CallId>,
    /// Where the caller stands in a distributed trace.
    pub trace: Option<TraceContext>,
    /// A bag of the caller's own, with anything in it.
    pub bag: Option<&'a (dyn Any + Send + Sync)>,
}

impl<'a> Origin<'a> {
    /// An origin of which nothing is known.
    pub const UNKNOWN: Self = Self { parent: None, trace: None, bag: None };

    /// Returns what the caller has put into the bag, if it is of this type.
    pub fn bag<T: Any>(&self) -> Option<&'a T> {
        self.bag?.downcast_ref()
    }
}
