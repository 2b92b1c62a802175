//! Numbers that nobody chose give way to those that somebody did.
//!
//! Does not know: who chose. A number counts as chosen if it is another one than in the policy that
//! was begun with. Invariant: what was chosen is never changed.

use std::time::Duration;

use crate::plan::backoff_sum;
use crate::{Params, adaptive, bulkhead, rate, timeout};

impl Params {
    /// Makes the numbers that are still those of `before` fit the others: whoever asks for two
    /// seconds in all gets attempts, waits and a breaker's window that fit into them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use seawall_policy::Params;
    ///
    /// let mut params = Params::standard();
    /// params.timeout.total = Duration::from_secs(2);
    /// assert!(!params.check().is_empty());
    /// params.follow(&Params::standard());
    /// assert_eq!(params.timeout.attempt, Duration::from_millis(600));
    /// assert!(params.check().is_empty());
    /// ```
    pub fn follow(&mut self, before: &Self) {
        self.follow_total(before);
        let (total, attempt) = (self.timeout.total, self.timeout.attempt);
        if self.timeout.connect == before.timeout.connect {
            self.timeout.connect = before.timeout.connect.min(attempt);
        }
        if let Some(breaker) = &mut self.breaker {
            let model = before.breaker.clone().unwrap_or_default();
            if breaker.window == model.window {
                breaker.window = breaker.window.max(attempt.saturating_mul(2));
            }
            if breaker.open_max == model.open_max {
                breaker.open_max = breaker.open_max.max(breaker.open);
            }
        }
        // Whoever says how many at once, or that there is no limit, has no need to learn it.
        let in_flight = |params: &Self| params.limit.as_ref().map(|limit| limit.in_flight_max);
        if in_flight(self) != in_flight(before) && self.adaptive == before.adaptive {
            self.adaptive = None;
        }
        let mut places = u32::MAX;
        let is_fixed =
            self.adaptive.is_none() && (before.adaptive.is_some() || before.limit.is_none());
        if let Some(limit) = &mut self.limit {
            let model = before.limit.clone().unwrap_or_default();
            if limit.queue_wait_max != model.queue_wait_max && limit.order == model.order {
                // Whoever says how long to wait means everyone.
                limit.order = bulkhead::QueueOrder::Fifo;
            }
            if is_fixed {
                follow_fixed(limit, &model);
            }
            if limit.queue_wait_max == model.queue_wait_max {
                limit.queue_wait_max = limit.queue_wait_max.min(total);
            }
            places = limit.in_flight_max;
        }
        if let Some(learned) = &mut self.adaptive {
            let model = before.adaptive.clone().unwrap_or_default();
            follow_places(learned, &model, places);
        }
        if let Some(limit) = &mut self.rate {
            let model = before.rate.clone().unwrap_or_default();
            follow_rate(limit, &model);
        }
    }

    /// Shares the total among attempts and the waits between them: nine tenths and one.
    fn follow_total(&mut self, before: &Self) {
        let attempts = |params: &Self| params.retry.as_ref().map_or(1, |retry| retry.attempts_max);
        let (is_same_total, count) =
            (self.timeout.total == before.timeout.total, attempts(self).max(1));
        let has_limit = self.timeout.total != timeout::NONE;
        if !has_limit || (is_same_total && attempts(self) == attempts(before)) {
            return;
        }
        let total = self.timeout.total;
        let model = before.retry.clone().unwrap_or_default().backoff;
        if let Some(retry) = &mut self.retry
            && retry.backoff == model
            && count > 1
            && backoff_sum(&model, count - 1) > total / 10
        {
            let cap = rounded(total / 10 / (count - 1)).max(Duration::from_micros(1));
            retry.backoff.cap = model.cap.min(cap);
            retry.backoff.base = model.base.min(cap);
        }
        if self.timeout.attempt == before.timeout.attempt {
            let share = rounded(crate::scaled(total, 0.9) / count);
            self.timeout.attempt = if count == 1 { total } else { share };
        }
    }
}

/// A limit that is not learned must be one by itself.
fn follow_fixed(limit: &mut bulkhead::Params, model: &bulkhead::Params) {
    let fixed = bulkhead::Params::fixed();
    if limit.in_flight_max == model.in_flight_max {
        limit.in_flight_max = fixed.in_flight_max;
    }
    if limit.queue_max == model.queue_max {
        limit.queue_max = fixed.queue_max;
    }
    if limit.queue_wait_max == model.queue_wait_max {
        limit.queue_wait_max = fixed.queue_wait_max;
    }
    if limit.holds_abandoned == model.holds_abandoned {
        limit.holds_abandoned = fixed.holds_abandoned;
    }
}

fn follow_places(learned: &mut adaptive::Params, model: &adaptive::Params, places: u32) {
    if learned.initial == model.initial {
        learned.initial = learned.initial.max(learned.min).min(places);
    }
    if learned.min == model.min {
        learned.min = learned.min.min(learned.initial);
    }
}

fn follow_rate(limit: &mut rate::Params, model: &rate::Params) {
    if limit.burst == model.burst && limit.per_second != model.per_second {
        // What comes in a second may come at once. The cast saturates.
        limit.burst = (limit.per_second as u32).clamp(1, 1_000_000);
    }
}

/// Cuts a duration to whole milliseconds, or to whole microseconds below 10 ms.
fn rounded(duration: Duration) -> Duration {
    let nanos = crate::saturated(duration);
    let unit = if nanos < 10_000_000 { 1_000 } else { 1_000_000 };
    Duration::from_nanos(nanos - nanos % unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParamProblem, retry};

    fn follow(change: impl FnOnce(&mut Params)) -> Params {
        let standard = Params::standard();
        let mut params = standard.clone();
        change(&mut params);
        params.follow(&standard);
        params
    }

    #[test]
    fn a_policy_in_which_nothing_was_chosen_stays_as_it_is() {
        for preset in
            [Params::standard(), Params::bare(), Params::polly_standard(), Params::envoy_like()]
        {
            let mut params = preset.clone();
            params.follow(&preset);
            assert_eq!(params, preset);
        }
    }

    #[test]
    fn every_total_alone_makes_a_sound_policy() {
        for micros in (100..1_000_000).step_by(997) {
            let params = follow(|params| params.timeout.total = Duration::from_micros(micros));
            assert_eq!(params.check(), [], "{micros} us");
        }
        let long = follow(|params| params.timeout.total = Duration::from_secs(3600));
        assert_eq!(long.check(), []);
        assert_eq!(long.timeout.attempt, Duration::from_secs(1080));
    }

    #[test]
    fn every_number_of_attempts_alone_makes_a_sound_policy() {
        for attempts in 1..50 {
            let params = follow(|params| params.retry.as_mut().unwrap().attempts_max = attempts);
            assert_eq!(params.check(), [], "{attempts} attempts");
        }
        let once = follow(|params| params.retry = None);
        assert_eq!(once.timeout.attempt, once.timeout.total);
    }

    #[test]
    fn what_was_chosen_is_not_changed() {
        let params = follow(|params| {
            params.timeout.total = Duration::from_secs(2);
            params.timeout.attempt = Duration::from_secs(1);
            params.retry = Some(retry::Params { attempts_max: 2, ..Default::default() });
        });
        assert_eq!(params.timeout.attempt, Duration::from_secs(1));
        assert!(matches!(params.check()[..], [ParamProblem::RetriesDoNotFit { .. }]));
    }

    #[test]
    fn without_a_learned_limit_there_is_a_fixed_one() {
        let params = follow(|params| params.adaptive = None);
        assert_eq!(params.limit, Some(bulkhead::Params::fixed()));
        let params = follow(|params| {
            params.adaptive = None;
            params.limit.as_mut().unwrap().in_flight_max = 7;
        });
        assert_eq!(params.limit.unwrap().in_flight_max, 7);
    }

    #[test]
    fn whoever_chooses_how_long_to_wait_gets_first_come_first_served() {
        let wait = Duration::from_secs(1);
        let params = follow(|params| params.limit.as_mut().unwrap().queue_wait_max = wait);
        assert_eq!(params.limit.unwrap().order, bulkhead::QueueOrder::Fifo);
    }

    #[test]
    fn places_and_bursts_follow_what_bounds_them() {
        let params = follow(|params| {
            params.limit = Some(bulkhead::Params { in_flight_max: 3, ..Default::default() });
            params.adaptive = Some(adaptive::Params { min: 2, ..Default::default() });
            params.rate = Some(rate::Params { per_second: 0.5, ..Default::default() });
        });
        assert_eq!(params.adaptive, Some(adaptive::Params { min: 2, initial: 3 }));
        assert_eq!(params.rate.as_ref().unwrap().burst, 1);
        assert_eq!(params.check(), []);
    }
}
