//! An observer that follows every call, and knows which order of events cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_core::{
    AttemptId, CallEvent, CallEventKind as Kind, CallId, Event, Fate, Observer, Origin,
};

/// Follows every call, by its id.
#[derive(Default)]
pub(crate) struct Checker(Mutex<BTreeMap<CallId, Story>>);

/// Is what one call has told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    has_begun: bool,
    /// How it ended, and after how many attempts.
    pub(crate) end: Option<(Fate, u32)>,
    pub(crate) attempts: u32,
    pub(crate) hedges: u32,
    under_way: BTreeSet<u32>,
    is_queued: bool,
    /// A refusal is the last word before the end.
    rejected: Option<Fate>,
    is_abandoned: bool,
    /// The first event that cannot be, and why.
    wrong: Option<String>,
}

impl Checker {
    /// Returns what one call has told; panics if that cannot be.
    #[track_caller]
    pub(crate) fn story(&self, call: CallId) -> Story {
        let story = self.lock().get(&call).cloned().unwrap_or_default();
        assert_eq!(story.wrong, None, "{story:?}");
        story
    }

    /// Returns what all calls have told; panics if that cannot be.
    #[track_caller]
    pub(crate) fn stories(&self) -> Vec<Story> {
        let stories: Vec<Story> = self.lock().values().cloned().collect();
        let wrong = stories.iter().find(|story| story.wrong.is_some());
        assert!(wrong.is_none(), "{wrong:?}");
        stories
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallId, Story>> {
        // A test that has failed already must not hide why.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Checker {
    fn on(&self, event: &Event<'_>) {
        let Event::Call(event) = event else { return };
        let mut stories = self.lock();
        let story = stories.entry(event.call).or_default();
        // Kept for later: events are told in destructors too, where a panic would end the process.
        if let Err(why) = story.follow(event) {
            story.wrong.get_or_insert(format!("{event:?}: {why}"));
        }
    }
}

impl Story {
    /// Takes note of an event of this call; says why if it cannot be.
    fn follow(&mut self, event: &CallEvent<'_>) -> Result<(), &'static str> {
        let attempt = event.attempt.ok_or("it says of no attempt");
        let is_start = matches!(event.kind, Kind::Started);
        demand(self.has_begun != is_start, "the start comes first, and once")?;
        demand(self.end.is_none(), "nothing comes after the end")?;
        let is_end = matches!(event.kind, Kind::Ended { .. });
        demand(is_end || self.rejected.is_none(), "only the end comes after a refusal")?;
        match event.kind {
            Kind::Started => self.has_begun = true,
            Kind::AttemptStarted { .. } => {
                let AttemptId { number, is_hedge } = attempt?;
                self.begin(number, is_hedge)?;
            }
            Kind::AttemptEnded { .. } => {
                demand(self.under_way.remove(&attempt?.number), "this attempt is not under way")?;
            }
            Kind::Queued { .. } => {
                self.demand_idle()?;
                demand(!self.is_queued, "it is queued already")?;
                self.is_queued = true;
            }
            Kind::Dequeued { .. } => {
                demand(std::mem::take(&mut self.is_queued), "it was not queued")?;
            }
            Kind::RetryScheduled { .. } => {
                self.demand_idle()?;
                demand(attempt?.number == self.attempts + 1, "another attempt is next")?;
            }
            Kind::RetryDenied { .. } => self.demand_idle()?,
            Kind::HedgeEnded { .. } => {
                self.demand_idle()?;
                demand(self.hedges > 0, "no attempt was hedged")?;
            }
            Kind::Rejected { fate, .. } => {
                self.demand_idle()?;
                self.rejected = Some(fate);
            }
            Kind::Abandoned { .. } => self.is_abandoned = true,
            Kind::Ended { fate, attempts, .. } => self.finish(fate, attempts)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, number: u32, is_hedge: bool) -> Result<(), &'static str> {
        demand(number == self.attempts + 1, "attempts are numbered in order")?;
        demand(self.under_way.is_empty() != is_hedge, "only a hedge begins beside another")?;
        demand(!self.is_queued, "who waits does not begin")?;
        demand(!self.is_abandoned, "what was given up does not begin")?;
        self.attempts = number;
        self.hedges += u32::from(is_hedge);
        self.under_way.insert(number);
        Ok(())
    }

    fn finish(&mut self, fate: Fate, attempts: u32) -> Result<(), &'static str> {
        self.demand_idle()?;
        demand(!self.is_queued, "it is still queued")?;
        demand(attempts == self.attempts, "more or fewer attempts were begun")?;
        demand(self.is_abandoned == (fate == Fate::Cancelled), "a cancelled call was given up")?;
        demand(self.rejected.is_none_or(|said| said == fate), "the refusal said another fate")?;
        self.end = Some((fate, attempts));
        Ok(())
    }

    fn demand_idle(&self) -> Result<(), &'static str> {
        demand(self.under_way.is_empty(), "attempts are under way")
    }
}

fn demand(holds: bool, why: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(why) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use seawall_core::{EndpointId, UpstreamId};

    use super::*;

    fn event(attempt: Option<AttemptId>, kind: Kind<'static>) -> CallEvent<'static> {
        let (at, call) = (crate::scene::now(), CallId(NonZeroU64::MIN));
        CallEvent { at, call, upstream: UpstreamId(1), attempt, origin: &Origin::UNKNOWN, kind }
    }

    fn started() -> CallEvent<'static> {
        event(None, Kind::Started)
    }

    fn ended(attempts: u32) -> CallEvent<'static> {
        event(None, Kind::Ended { fate: Fate::Ok, attempts, took: Duration::ZERO })
    }

    fn attempt(number: u32, is_hedge: bool) -> CallEvent<'static> {
        let kind = Kind::AttemptStarted { endpoint: EndpointId(0) };
        event(Some(AttemptId { number, is_hedge }), kind)
    }

    #[test]
    fn what_cannot_be_is_found() {
        for story in [
            &[ended(0)][..],
            &[started(), started()],
            &[started(), ended(0), ended(0)],
            &[started(), ended(1)],
            &[started(), attempt(2, false)],
            &[started(), attempt(1, false), attempt(2, false)],
            &[started(), attempt(1, true)],
            &[started(), attempt(1, false), ended(1)],
        ] {
            let mut seen = Story::default();
            let told = story.iter().try_for_each(|event| seen.follow(event));
            assert!(told.is_err(), "{story:?} is legal");
        }
    }
}
