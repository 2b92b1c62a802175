//! Who is told of events.

use crate::Event;

/// Is told of every event, on the task where it happened.
///
/// An observer must be quick and must not block: it stands on the path of every call. If it panics,
/// a policy goes on as if it had not: nothing but that event is lost.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of one event.
    fn on(&self, event: &Event<'_>);

    /// Returns whether it takes note of anything at all; asked once, when a policy is made. One
    /// that does not is never called.
    fn listens(&self) -> bool {
        true
    }
}

/// Takes note of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: &Event<'_>) {}

    fn listens(&self) -> bool {
        false
    }
}
