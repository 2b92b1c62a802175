//! How long to wait before the next attempt.
//!
//! Does not know: why an attempt failed. Invariant: no wait is longer than the cap.

use std::time::Duration;

use seawall_core::Chance;

/// Holds the numbers of a backoff.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The upper end of the first wait; how it grows says `growth`.
    pub base: Duration,
    /// The upper end that no wait passes.
    pub cap: Duration,
    /// How waits grow.
    pub growth: Growth,
    /// How waits are spread.
    pub jitter: Jitter,
}

/// Says how the wait grows from one retry to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// Not at all.
    Constant,
    /// By the base each time.
    Linear,
    /// It doubles.
    #[default]
    Exponential,
}

seawall_core::words!(Growth {
    Exponential => "exponential",
    Linear => "linear",
    Constant => "constant",
});

/// Says how waits are spread, so that callers that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all: only for tests and for callers that are alone.
    None,
    /// Anything from zero to the upper end ("Exponential Backoff And Jitter", AWS 2015).
    #[default]
    Full,
    /// Half of the upper end, and anything up to the other half (the same).
    Equal,
    /// Anything from the base to three times the last wait (the same).
    Decorrelated,
    /// Up to a quarter more or less than the upper end (Polly, for constant and linear growth).
    Quarter,
    /// Polly's "decorrelated jitter backoff v2": a smooth spread whose median doubles.
    Smooth,
}

seawall_core::words!(Jitter {
    Full => "full",
    Equal => "equal",
    Decorrelated => "decorrelated",
    Smooth => "smooth",
    Quarter => "quarter",
    None => "none",
});

impl Default for Params {
    /// 50 ms doubling up to 2 s.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(50),
            cap: Duration::from_secs(2),
            growth: Growth::default(),
            jitter: Jitter::default(),
        }
    }
}

/// Draws the waits of one call, one after the other.
///
/// For why full jitter is the default see "Exponential Backoff And Jitter" (AWS, 2015).
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    /// The last wait, in seconds, before the cap; for [`Jitter::Smooth`] the last point of its
    /// curve.
    last: f64,
}

impl Backoff {
    /// Draws the wait before retry number `retry` (from 1).
    pub fn next(&mut self, params: &Params, retry: u32, chance: &mut Chance) -> Duration {
        let upper = upper(params, retry);
        let wait = match params.jitter {
            Jitter::None => upper,
            Jitter::Full => crate::scaled(upper, chance.unit()),
            Jitter::Equal => crate::scaled(upper, 0.5 + chance.unit() / 2.0),
            Jitter::Quarter => crate::scaled(upper, 0.75 + chance.unit() / 2.0),
            Jitter::Decorrelated => self.decorrelated(params, chance),
            Jitter::Smooth => self.smooth(params, retry, chance),
        };
        wait.min(params.cap)
    }

    fn decorrelated(&mut self, params: &Params, chance: &mut Chance) -> Duration {
        let base = params.base.as_secs_f64();
        let end = (self.last * 3.0).max(base);
        self.last = (base + (end - base) * chance.unit()).min(params.cap.as_secs_f64());
        crate::seconds(self.last)
    }

    /// Polly's formula: differences of a curve that doubles at each whole step and starts smoothly.
    fn smooth(&mut self, params: &Params, retry: u32, chance: &mut Chance) -> Duration {
        let t = f64::from(retry.saturating_sub(1)) + chance.unit();
        let point = t.exp2() * (4.0 * t).sqrt().tanh();
        if point.is_infinite() {
            // Two such points have no difference.
            return Duration::MAX;
        }
        let step = (point - self.last) / SMOOTH_SCALE;
        self.last = point;
        crate::seconds(step * params.base.as_secs_f64())
    }
}

/// Scales the curve so that the median of the first wait is near the base.
const SMOOTH_SCALE: f64 = 1.4;

/// Returns the upper end of the wait before retry number `retry` (from 1), before the cap's cut
/// for [`Jitter::Quarter`]; the cap for the jitters that have no end of their own.
pub fn upper(params: &Params, retry: u32) -> Duration {
    if matches!(params.jitter, Jitter::Decorrelated | Jitter::Smooth) {
        return params.cap;
    }
    let retry = retry.max(1);
    let grown = match params.growth {
        Growth::Constant => params.base,
        Growth::Linear => params.base.saturating_mul(retry),
        Growth::Exponential => params.base.saturating_mul(1 << (retry - 1).min(31)),
    };
    grown.min(params.cap)
}
