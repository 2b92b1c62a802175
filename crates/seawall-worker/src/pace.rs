//! How fast lines begin: so many in a second, so much weight in a second, or both.
//!
//! Does not know: calls. Each line is given the moment at which it may begin, in the order in which
//! they ask. Invariant: over any time, no more begins than the rate gives for it, and a tenth of a
//! second more; a line that weighs more than that begins all the same, and those after it wait
//! until it is paid for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::json;

/// Says how fast lines begin.
#[derive(Debug)]
pub struct Pace {
    lines: Option<Bucket>,
    weight: Option<(Bucket, WeightOf)>,
}

/// Limits lines by what they weigh.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// How much begins in a second.
    pub per_second: f64,
    /// What a line weighs.
    pub of: WeightOf,
}

/// Says what a line weighs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightOf {
    /// Its bytes.
    Bytes,
    /// The number that this member of a JSON object holds, such as `usage.tokens`; 1 if there is no
    /// such number.
    Field(String),
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// When what was given away is paid for; nothing before the first line.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// Limits lines, their weight, or both; a rate that is not above zero limits nothing.
    pub fn new(per_second: Option<f64>, weight: Option<Weight>) -> Self {
        let bucket = |per_second: f64| {
            let is_rate = per_second.is_finite() && per_second > 0.0;
            is_rate.then(|| Bucket { per_second, paid_at: Mutex::new(None) })
        };
        Self {
            lines: per_second.and_then(bucket),
            weight: weight.and_then(|Weight { per_second, of }| Some((bucket(per_second)?, of))),
        }
    }

    /// Waits until a line may begin.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the line's turn: those that asked after it do not begin sooner.
    pub async fn begin(&self, line: &[u8]) {
        let now = Instant::now();
        let by_lines = self.lines.as_ref().map(|bucket| bucket.turn(1.0, now));
        let by_weight = self.weight.as_ref().map(|(bucket, of)| bucket.turn(of.weight(line), now));
        if let Some(turn) = by_lines.max(by_weight).filter(|turn| *turn > now) {
            sleep_until(turn).await;
        }
    }
}

impl Bucket {
    /// Returns when the next one may begin, and takes that turn.
    fn turn(&self, weight: f64, now: Instant) -> Instant {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let turn = paid_at.map_or(now, |paid| paid.max(earliest));
        let price = (weight / self.per_second).min(PRICE_SECONDS_MAX);
        *paid_at = Some(turn + Duration::from_secs_f64(price));
        turn
    }
}

impl WeightOf {
    fn weight(&self, line: &[u8]) -> f64 {
        match self {
            Self::Bytes => line.len() as f64,
            Self::Field(path) => json::member(line, path)
                .and_then(|raw| raw.get().parse::<f64>().ok())
                .filter(|weight| weight.is_finite() && *weight >= 0.0)
                .unwrap_or(1.0),
        }
    }
}

/// How much may begin at once after a while in which nothing did.
const BURST: Duration = Duration::from_millis(100);
/// A day: a line that weighs more holds the others up no longer.
const PRICE_SECONDS_MAX: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use futures_util::stream::{FuturesUnordered, StreamExt};

    use super::*;

    /// Lets lines begin and stay for a while, so many at once; returns when each began.
    async fn begun(pace: &Pace, lines: &[&str], at_once: usize, stay: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let (mut begun, mut calls) = (Vec::new(), FuturesUnordered::new());
        let call = async |line: &str| {
            pace.begin(line.as_bytes()).await;
            let at = start.elapsed();
            tokio::time::sleep(stay).await;
            at
        };
        let mut left = lines.iter();
        loop {
            calls.extend(left.by_ref().take(at_once - calls.len()).map(|line| call(line)));
            match calls.next().await {
                Some(at) => begun.push(at),
                None => return begun,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_a_second_are_a_hundred_a_second() {
        let pace = Pace::new(Some(100.0), None);
        let mut begun = begun(&pace, &["x"; 1000], 16, Duration::from_millis(50)).await;
        begun.sort();
        let took = begun[999].as_secs_f64();
        assert!((9.89..=10.1).contains(&took), "1000 lines took {took} s");
        for second in 0..9 {
            let within = |at: &&Duration| at.as_millis() / 1000 == second;
            let lines = begun.iter().filter(within).count();
            assert!((99..=110).contains(&lines), "{lines} lines in second {second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_saves_up_a_tenth_of_a_second_and_no_more() {
        let pace = Pace::new(Some(100.0), None);
        begun(&pace, &["x"], 1, Duration::from_secs(60)).await;
        let after = begun(&pace, &["x"; 50], 50, Duration::ZERO).await;
        let at_once = after.iter().filter(|at| at.is_zero()).count();
        assert!((10..=11).contains(&at_once), "{at_once} began at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_heavy_line_begins_and_those_after_it_pay() {
        let of = WeightOf::Field("usage.tokens".to_owned());
        let pace = Pace::new(None, Some(Weight { per_second: 1000.0, of }));
        let heavy = r#"{"usage":{"tokens":5000}}"#;
        let lines = [heavy, r#"{"usage":{"tokens":100}}"#, "no json", heavy];
        let begun = begun(&pace, &lines, 4, Duration::ZERO).await;
        let seconds: Vec<f64> = begun.iter().map(|at| at.as_secs_f64()).collect();
        let expected = [0.0, 5.0, 5.1, 5.101];
        for (is, expected) in seconds.iter().zip(expected) {
            assert!((is - expected).abs() < 0.003, "{seconds:?} are not {expected:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn both_limits_hold() {
        let weight = Weight { per_second: 100.0, of: WeightOf::Bytes };
        let pace = Pace::new(Some(50.0), Some(weight));
        let mut begun = begun(&pace, &["1234567890"; 50], 16, Duration::ZERO).await;
        begun.sort();
        assert!((4.7..5.0).contains(&begun[49].as_secs_f64()), "{:?}", begun[49]);
    }
}
