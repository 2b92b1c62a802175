//! Who is told of events.

use crate::Event;

/// Is told of every event, on the task where it happened.
///
/// An observer must be quick and must not block: it stands on the path of every call.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of one event.
    fn on(&self, event: &Event<'_>);
}

/// Takes note of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: &Event<'_>) {}
}
