//! What is asked of an upstream, what is kept of its answers, and what stands in for them.
//!
//! Does not know clients' connections, or how an answer is told.

pub(crate) mod cache;
pub(crate) mod ended;
pub(crate) mod fallback;
pub(crate) mod forward;
