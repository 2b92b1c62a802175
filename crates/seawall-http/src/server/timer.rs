//! One timer for a connection, armed as rarely as possible.
//!
//! Does not know what it is for. A deadline that moves away costs nothing: the timer fires at the
//! old one, looks at the clock and is armed again.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use seawall_core::Left;
use seawall_wire::http1::Wake;
use tokio::time::{Instant, Sleep};

use super::left_at;

/// The timer of a connection, whose deadline moves.
pub struct ConnectionTimer<'a>(Pin<&'a mut Sleep>);

impl<'a> ConnectionTimer<'a> {
    /// Makes a clock of a timer that its connection holds.
    pub fn new(sleep: Pin<&'a mut Sleep>) -> Self {
        Self(sleep)
    }

    /// Is ready with how the connection ends once something is due.
    pub(super) fn poll_wake(
        &mut self,
        cx: &mut Context<'_>,
        due: Option<(std::time::Instant, Wake)>,
    ) -> Poll<Left> {
        let (at, wake) = due.unzip();
        ready!(self.poll(cx, at.map(Instant::from_std)));
        // Without one it is never ready.
        Poll::Ready(wake.map_or(Left::Finished, left_at))
    }

    /// Is ready once `deadline` has passed; without one, never.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        loop {
            if let Some(deadline) = deadline
                && deadline < self.0.deadline()
            {
                self.0.as_mut().reset(deadline);
            }
            ready!(self.0.as_mut().poll(cx));
            let now = Instant::now();
            match deadline {
                Some(deadline) if deadline <= now => return Poll::Ready(()),
                Some(deadline) => self.0.as_mut().reset(deadline),
                None => self.0.as_mut().reset(now + RARELY),
            }
        }
    }
}

/// How often the timer fires while nothing is due.
const RARELY: Duration = Duration::from_secs(60);
