//! Where a call stands in a distributed trace.
//!
//! Does not know headers or exporters. Invariant: neither id is zero, which W3C Trace Context
//! (2.2.2.3 and 2.2.2.4) keeps for "none".

/// Where a caller stands in a distributed trace, in the words of W3C Trace Context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// Makes a context of the trace's id, the id of the caller's span and the flags; `None` if one
    /// of the ids is zero.
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], flags: u8) -> Option<Self> {
        let is_valid = trace_id != [0; 16] && parent_id != [0; 8];
        is_valid.then_some(Self { trace_id, parent_id, flags })
    }

    /// Returns the id of the whole trace.
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// Returns the id of the caller's span, which is the parent of the call's.
    pub const fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Returns the flags as they came.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Returns whether the caller records its part of the trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_zero_are_no_ids() {
        assert_eq!(TraceContext::new([0; 16], [1; 8], 1), None);
        assert_eq!(TraceContext::new([1; 16], [0; 8], 1), None);
        let trace = TraceContext::new([1; 16], [2; 8], 3).expect("both are there");
        assert!(trace.is_sampled());
        assert_eq!((trace.trace_id(), trace.parent_id(), trace.flags()), ([1; 16], [2; 8], 3));
    }
}
