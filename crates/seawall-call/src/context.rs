//! What a caller tells a policy.

use seawall_core::{CancelCell, Deadline};

/// Says what a call brings with it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The caller's own deadline; it only ever shortens the policy's.
    pub deadline: Option<Deadline>,
    /// Why the call ends, if its future is dropped.
    pub cancel: &'a CancelCell,
}
