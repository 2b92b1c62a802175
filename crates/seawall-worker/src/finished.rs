//! The outcome of a line, on its way from the call to the disk.
//!
//! Does not know: whether it may be written yet, and where.

use crate::record::Kind;

/// An outcome that waits to be written.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) sequence: u64,
    pub(crate) next_offset: u64,
    pub(crate) kind: Kind,
    pub(crate) attempts: u8,
    pub(crate) status: u16,
    /// What is written, its newline included.
    pub(crate) body: Vec<u8>,
}
