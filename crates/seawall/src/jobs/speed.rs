//! How fast a run is, and how long it still takes.
//!
//! Does not know: who shows it. Invariant: only what this session has done counts, over this
//! session's time: a run that goes on does not boast with what others have done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use seawall_worker::ProgressSnapshot;

/// The speed of a run over the last half minute.
#[derive(Debug, Default)]
pub(crate) struct Speed(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    bytes: u64,
    lines: u64,
}

impl Speed {
    /// Takes a snapshot; one from before the run has begun counts for nothing.
    pub(crate) fn take(&mut self, now: Instant, snapshot: &ProgressSnapshot) {
        if !snapshot.has_begun {
            return;
        }
        if self.0.back().is_none_or(|last| now - last.at >= SAMPLE_EVERY) {
            let (bytes, lines) = (snapshot.session_bytes, snapshot.session_lines());
            self.0.push_back(Sample { at: now, bytes, lines });
        }
        while self.0.len() > 2 && now - self.0[1].at >= SPEED_OVER {
            self.0.pop_front();
        }
    }

    /// Returns for how long the run is looked at.
    pub(crate) fn looked(&self, now: Instant) -> Duration {
        self.0.front().map_or(Duration::ZERO, |first| now - first.at)
    }

    /// Returns how many lines end in a second.
    pub(crate) fn lines(&self, now: Instant, snapshot: &ProgressSnapshot) -> Option<f64> {
        self.since(now, |first| snapshot.session_lines().saturating_sub(first.lines))
    }

    /// Returns how many seconds what is left takes, by how much of the input it is.
    pub(crate) fn seconds_left(&self, now: Instant, snapshot: &ProgressSnapshot) -> Option<f64> {
        let bytes = self.since(now, |first| snapshot.session_bytes.saturating_sub(first.bytes))?;
        let left = snapshot.input_length.checked_sub(snapshot.done_bytes)?;
        (snapshot.input_length > 0 && bytes > 0.0).then(|| left as f64 / bytes)
    }

    fn since(&self, now: Instant, more: impl FnOnce(&Sample) -> u64) -> Option<f64> {
        let first = self.0.front()?;
        let seconds = (now - first.at).as_secs_f64();
        (seconds >= 0.5).then(|| more(first) as f64 / seconds)
    }
}

/// Returns how much of the input is done, if it is known how long that is.
pub(crate) fn share(snapshot: &ProgressSnapshot) -> Option<f64> {
    let length = snapshot.input_length;
    (length > 0).then(|| snapshot.done_bytes.min(length) as f64 / length as f64)
}

/// How often speed is sampled, and over how long it is taken.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
const SPEED_OVER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use seawall_worker::LineCounts;

    use super::*;

    fn snapshot(bytes: u64, lines: u64) -> ProgressSnapshot {
        let counts = |output| LineCounts { output, dead: 2, filtered: 0 };
        ProgressSnapshot {
            counts: counts(1_000_000 + lines),
            has_begun: true,
            begun_with: counts(1_000_000),
            done_bytes: 400 + bytes,
            session_bytes: bytes,
            input_length: 1000,
            ..ProgressSnapshot::default()
        }
    }

    #[test]
    fn speed_and_time_left_are_those_of_the_last_half_minute_of_this_session() {
        let (mut speed, began) = (Speed::default(), Instant::now());
        for second in 0..=100_u64 {
            let bytes = second.min(50) + (second.saturating_sub(50)) * 4;
            speed.take(began + Duration::from_secs(second), &snapshot(bytes, second * 10));
            assert!(speed.0.len() <= 62, "{}", speed.0.len());
        }
        let (now, last) = (began + Duration::from_secs(100), snapshot(250, 1000));
        assert_eq!(speed.lines(now, &last), Some(10.0));
        assert_eq!(speed.seconds_left(now, &last), Some(87.5));
        assert_eq!(share(&last), Some(0.65));
    }

    #[test]
    fn right_after_a_resume_the_speed_is_that_of_the_lines_that_came_since() {
        let (mut speed, began) = (Speed::default(), Instant::now());
        let not_begun = ProgressSnapshot { input_length: 0, ..ProgressSnapshot::default() };
        speed.take(began, &not_begun);
        // It took a minute to find the place; then a million lines are there at once.
        let begun = began + Duration::from_secs(60);
        speed.take(begun, &snapshot(0, 0));
        assert_eq!(speed.lines(begun, &snapshot(0, 0)), None, "nothing is known yet");
        let now = begun + Duration::from_secs(1);
        assert_eq!(speed.lines(now, &snapshot(60, 30)), Some(30.0));
        assert_eq!(speed.seconds_left(now, &snapshot(60, 30)), Some(9.0));
    }
}
