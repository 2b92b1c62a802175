//! Answers that hold a place while their callers take them, and which of them must give it back.
//!
//! Does not know: bodies, connections. A place is not held for a caller who does not read while
//! others wait. Invariant: nothing is taken back while nobody waits, and not from a caller who has
//! just taken something.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use seawall_policy::bulkhead::ClientId;

/// An answer on its way to its caller, whose place can be taken back.
pub trait Revocable: Send + Sync {
    /// Returns since when it has waited for its caller to take what is there; `None` while it does
    /// not.
    fn waits_since(&self) -> Option<Instant>;

    /// Returns how many answers wait on the same connection, this one included.
    fn waiting_beside(&self) -> u32;

    /// Gives the place back: what is left of the answer is lost to its caller. Returns whether
    /// there was still something to give back.
    fn revoke(&self) -> bool;
}

/// Holds the answers of one upstream that can be made to give their places back.
#[derive(Default)]
pub(crate) struct Readers(Mutex<List>);

#[derive(Default)]
struct List {
    answers: Vec<(ClientId, Weak<dyn Revocable>)>,
    /// Until then nobody looks again: the last look was in vain, and many may be waiting.
    quiet_until: Option<Instant>,
}

/// An answer, and how many places its client has.
pub(crate) struct Reader {
    pub(crate) client: ClientId,
    pub(crate) held: u32,
    pub(crate) answer: Arc<dyn Revocable>,
}

impl Readers {
    /// Adds an answer.
    pub(crate) fn add(&self, client: ClientId, answer: Weak<dyn Revocable>) {
        let mut list = self.lock();
        if list.answers.len() == list.answers.capacity() {
            // Those that have ended make room before more is asked for.
            list.answers.retain(|(_, answer)| answer.strong_count() > 0);
        }
        list.answers.push((client, answer));
    }

    /// Returns the answers that are there, unless somebody has just looked in vain.
    pub(crate) fn there(&self, now: Instant) -> Vec<Reader> {
        let list = self.lock();
        if list.quiet_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let there = list.answers.iter().filter_map(|(client, answer)| {
            Some(Reader { client: *client, held: 0, answer: answer.upgrade()? })
        });
        there.collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().answers.is_empty()
    }

    /// Lets nobody look for a moment.
    pub(crate) fn be_quiet(&self, now: Instant) {
        self.lock().quiet_until = Some(now + QUIET);
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Picks the answer that has to give its place to a client, if there is one: of those that have
/// waited for long enough the one that has waited longest, of others' first and then of the client
/// with the most places.
pub(crate) fn pick(
    readers: &[Reader],
    client: ClientId,
    places: u32,
    now: Instant,
) -> Option<&Arc<dyn Revocable>> {
    let share = (places / SHARE).max(2);
    let slow = readers.iter().filter_map(|Reader { client: of, held, answer }| {
        let waited = now.saturating_duration_since(answer.waits_since()?);
        let is_others = *of != client;
        let is_large = (is_others && *held > share) || answer.waiting_beside() > share;
        let patience = if is_large { PATIENCE_SHORT } else { PATIENCE };
        (waited >= patience).then_some(((is_others, *held, waited), answer))
    });
    slow.max_by_key(|(rank, _)| *rank).map(|(_, answer)| answer)
}

/// How long a caller may take nothing while others wait for a place.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// The same for a client, or a connection, that has more than its share of the places.
const PATIENCE_SHORT: Duration = Duration::from_millis(100);
/// Whoever has more than this part of the places has more than its share.
const SHARE: u32 = 8;
/// How long nobody looks after a look in vain.
const QUIET: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    struct Answer(Instant, u32);

    impl Revocable for Answer {
        fn waits_since(&self) -> Option<Instant> {
            Some(self.0)
        }

        fn waiting_beside(&self) -> u32 {
            self.1
        }

        fn revoke(&self) -> bool {
            true
        }
    }

    fn client(number: u64) -> ClientId {
        ClientId::of(number)
    }

    /// Asks for a place for client 2 while client 1 has some and an answer of it waits.
    fn is_taken_back(of: u64, has: u32, waited: Duration, beside: u32) -> bool {
        let now = Instant::now() + Duration::from_secs(60);
        let answer: Arc<dyn Revocable> = Arc::new(Answer(now - waited, beside));
        let reader = Reader { client: client(of), held: has, answer };
        pick(&[reader], client(2), 64, now).is_some()
    }

    #[test]
    fn a_client_that_takes_nothing_loses_its_place_after_its_patience() {
        let (short, long) = (PATIENCE_SHORT, PATIENCE);
        assert!(!is_taken_back(1, 1, long - short, 1) && is_taken_back(1, 1, long, 1));
    }

    #[test]
    fn one_with_more_than_its_share_loses_it_sooner() {
        assert!(is_taken_back(1, 9, PATIENCE_SHORT, 1), "by address");
        assert!(is_taken_back(1, 1, PATIENCE_SHORT, 9), "by connection");
        assert!(!is_taken_back(1, 8, PATIENCE_SHORT, 8));
    }

    #[test]
    fn the_share_does_not_hold_against_the_only_address() {
        assert!(!is_taken_back(2, 64, PATIENCE_SHORT, 1));
        assert!(is_taken_back(2, 64, PATIENCE, 1));
    }
}
