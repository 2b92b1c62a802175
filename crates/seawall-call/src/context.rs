//! What a caller tells a policy.

use std::time::Duration;

use seawall_core::{CallId, CancelCell, Deadline, Origin, Priority};
use seawall_policy::bulkhead::ClientId;

use crate::{clock, draw_call_id};

/// Says what a call brings with it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The call's id; where there is none, one is drawn when the call enters its policy. Whoever
    /// speaks of the call before then draws it with [`draw_call_id`], for this one call.
    pub call: Option<CallId>,
    /// What its observers are to get with each of its events. A shared call has its own: it is
    /// made for the call that began it, in that one's trace, and has no bag.
    pub origin: Option<&'a Origin<'a>>,
    /// The caller's own deadline; it only ever shortens the policy's.
    pub deadline: Option<Deadline>,
    /// Why the call ends, if its future is dropped.
    pub cancel: &'a CancelCell,
    /// How much it matters.
    pub priority: Priority,
    /// Who it is for, as a number: what keyed rate limits tell apart, and chaos picks by. Whoever
    /// makes it from a name hashes with a seed that callers cannot know.
    pub key: Option<u64>,
    /// How many times the caller has tried already, this time included; 1 if it did not say.
    pub caller_attempt: u32,
    /// Whose place it takes: while calls wait, those of the clients with the fewest places go
    /// first. All who do not say are one client.
    pub client: ClientId,
}

impl<'a> Context<'a> {
    /// Brings nothing along but a reason to end.
    pub const fn new(cancel: &'a CancelCell) -> Self {
        Self {
            call: None,
            origin: None,
            deadline: None,
            cancel,
            priority: Priority::Normal,
            key: None,
            caller_attempt: 1,
            client: ClientId::NOBODY,
        }
    }

    /// Returns the call's id, and draws one if it has none yet.
    #[inline]
    pub fn enter(&mut self) -> CallId {
        *self.call.get_or_insert_with(draw_call_id)
    }

    /// Ends the call `limit` from now at the latest, on the clock that policies go by; an earlier
    /// deadline stays.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        let own = Deadline::after(clock::now(), limit);
        self.deadline = Some(self.deadline.map_or(own, |before| before.earlier(own)));
        self
    }
}

impl Default for Context<'_> {
    /// Brings nothing along; a call that is dropped counts as given up by its caller.
    fn default() -> Self {
        static UNWRITTEN: CancelCell = CancelCell::new();
        Self::new(&UNWRITTEN)
    }
}
