//! Which numbers cannot work, alone or together.
//!
//! Does not know: what a setting is called in a file, or where it stands. Every problem is found
//! at once; none hides another.

use std::fmt;
use std::time::Duration;

use seawall_core::Priority;

use crate::{Params, backoff, breaker, budget, bulkhead, rate, retry, timeout};

mod parts;

/// A reason why numbers cannot work.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParamProblem {
    /// A number is zero where only more makes sense.
    Zero {
        /// Which.
        key: ParamKey,
    },
    /// A number is outside its range.
    OutOfRange {
        /// Which.
        key: ParamKey,
        /// What it is.
        value: f64,
        /// What it may be, in words.
        range: &'static str,
    },
    /// One attempt may take longer than everything together.
    AttemptOverTotal {
        /// For one attempt.
        attempt: Duration,
        /// For everything.
        total: Duration,
    },
    /// The attempts and their backoff take longer than everything may.
    RetriesDoNotFit {
        /// How many attempts there are to be.
        attempts_max: u32,
        /// How many fit.
        fitting: u32,
        /// For one attempt.
        attempt: Duration,
        /// The longest backoff between all of them.
        backoff: Duration,
        /// What they take together.
        sum: Duration,
        /// For everything.
        total: Duration,
    },
    /// The first wait may be longer than any may be.
    BaseOverCap {
        /// The upper end of the first wait.
        base: Duration,
        /// The upper end of all.
        cap: Duration,
    },
    /// The breaker forgets hung attempts as fast as they are found.
    WindowTooShort {
        /// The breaker's window.
        window: Duration,
        /// For one attempt; the window is to be twice as long.
        attempt: Duration,
    },
    /// The first time open is longer than the longest.
    OpenOverMax {
        /// The first.
        open: Duration,
        /// The longest.
        open_max: Duration,
    },
    /// A number is more than another one that bounds it.
    Over {
        /// Which.
        key: ParamKey,
        /// What it is.
        value: f64,
        /// Which one bounds it.
        bound: ParamKey,
        /// What that one is.
        bound_value: f64,
    },
    /// A duration is longer than another one that bounds it.
    Longer {
        /// Which.
        key: ParamKey,
        /// What it is.
        value: Duration,
        /// Which one bounds it.
        bound: ParamKey,
        /// What that one is.
        bound_value: Duration,
    },
    /// A part works only with another one, which is off.
    Needs {
        /// Which.
        key: ParamKey,
        /// What it needs.
        needs: ParamKey,
    },
    /// A hedged attempt would come when there is nothing left to send it beside.
    HedgeTooLate {
        /// After how long each is sent.
        after: Duration,
        /// How many are sent.
        extra_max: u32,
        /// For one attempt.
        attempt: Duration,
        /// For everything.
        total: Duration,
    },
    /// Calls that matter less would be served while others are shed that matter more.
    ShedUpsideDown {
        /// The priority that matters more.
        more: Priority,
        /// The one that matters less, and has more load or places to itself.
        less: Priority,
    },
}

macro_rules! keys {
    ($($variant:ident => $word:literal),+ $(,)?) => {
        /// Names a number of a policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ParamKey {
            $(#[doc = concat!("`", $word, "`.")] $variant,)+
        }

        impl ParamKey {
            /// Lists every key.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the path of the number within [`Params`].
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

keys! {
    Total => "timeout.total",
    Attempt => "timeout.attempt",
    Connect => "timeout.connect",
    Idle => "timeout.idle",
    StreamIdle => "timeout.stream_idle",
    AttemptsMax => "retry.attempts_max",
    BackoffBase => "retry.backoff.base",
    BackoffCap => "retry.backoff.cap",
    BudgetRatio => "budget.ratio",
    BudgetFloor => "budget.floor_per_second",
    BudgetInFlight => "budget.in_flight_ratio",
    HedgeAfter => "hedge.after",
    HedgeExtra => "hedge.extra_max",
    HedgeRatio => "hedge.ratio_max",
    OutlierInterval => "outlier.interval",
    OutlierDeviations => "outlier.deviations",
    OutlierFailures => "outlier.failures_max",
    OutlierOut => "outlier.out",
    OutlierOutMax => "outlier.out_max",
    OutlierKeep => "outlier.keep_min",
    BreakerRatio => "breaker.ratio",
    CallsMin => "breaker.calls_min",
    Window => "breaker.window",
    Slow => "breaker.slow",
    Open => "breaker.open",
    OpenMax => "breaker.open_max",
    Probes => "breaker.probes",
    Multiple => "breaker.mode.multiple",
    Limit => "limit",
    InFlightMax => "limit.in_flight_max",
    QueueWaitMax => "limit.queue_wait_max",
    PerSecond => "rate.per_second",
    Burst => "rate.burst",
    RateWindow => "rate.kind.window",
    KeysMax => "rate.keyed.keys_max",
    Adaptive => "adaptive",
    AdaptiveMin => "adaptive.min",
    AdaptiveInitial => "adaptive.initial",
    LoadMax => "shed.load_max",
    ShedPlaces => "shed.places",
    Endpoints => "endpoints",
    ChaosLatency => "chaos.latency",
    ChaosErrors => "chaos.errors",
    ChaosHangs => "chaos.hangs",
    ChaosResets => "chaos.resets",
    CacheEntries => "cache.entries_max",
    CacheBytes => "cache.bytes_max",
    CacheAnswerBytes => "cache.answer_bytes_max",
}

impl Params {
    /// Returns every impossible combination of numbers, all at once; empty for a sound policy.
    pub fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        let found = &mut problems;
        if let Some(cache) = &self.cache {
            parts::caches(cache, found);
        }
        timeouts(&self.timeout, found);
        if let Some(shed) = &self.shed {
            parts::sheds(shed, found);
        }
        if let Some(rate) = &self.rate {
            rates(rate, found);
        }
        if let Some(retry) = &self.retry {
            retries(self, retry, found);
        }
        if let Some(hedge) = &self.hedge {
            parts::hedges(&self.timeout, hedge, found);
        }
        if let Some(budget) = &self.budget {
            budgets(budget, found);
        }
        if let Some(outlier) = &self.outlier {
            parts::outliers(outlier, found);
        }
        if let Some(breaker) = &self.breaker {
            breakers(&self.timeout, breaker, found);
        }
        if let Some(limit) = &self.limit {
            limits(limit, found);
        }
        if let Some(adaptive) = &self.adaptive {
            parts::adaptives(adaptive, self.limit.as_ref(), found);
        }
        problems
    }
}

fn timeouts(timeout: &timeout::Params, found: &mut Vec<ParamProblem>) {
    let &timeout::Params { total, attempt, connect, idle, stream_idle } = timeout;
    zero(ParamKey::Total, total.is_zero(), found);
    zero(ParamKey::Attempt, attempt.is_zero(), found);
    zero(ParamKey::Connect, connect.is_zero(), found);
    zero(ParamKey::Idle, idle.is_zero(), found);
    zero(ParamKey::StreamIdle, stream_idle.is_zero(), found);
    if attempt > total && !total.is_zero() {
        found.push(ParamProblem::AttemptOverTotal { attempt, total });
    }
}

fn rates(rate: &rate::Params, found: &mut Vec<ParamProblem>) {
    let is_rate = rate.per_second > 0.0 && rate.per_second.is_finite();
    range(ParamKey::PerSecond, rate.per_second, is_rate, "above 0", found);
    zero(ParamKey::Burst, rate.burst == 0, found);
    if let rate::RateAlgorithm::FixedWindow(length) | rate::RateAlgorithm::SlidingWindow(length) =
        rate.kind
    {
        zero(ParamKey::RateWindow, length.is_zero(), found);
        // Half a call in a window would be rounded up to a whole one, and be more than was asked.
        let calls = rate.per_second * length.as_secs_f64();
        if is_rate && !length.is_zero() && calls < 1.0 {
            range(
                ParamKey::RateWindow,
                length.as_secs_f64(),
                false,
                "long enough for one call",
                found,
            );
        }
    }
    zero(ParamKey::KeysMax, rate.keyed.is_some_and(|keyed| keyed.keys_max == 0), found);
}

fn retries(params: &Params, retry: &retry::Params, found: &mut Vec<ParamProblem>) {
    let &backoff::Params { base, cap, .. } = &retry.backoff;
    zero(ParamKey::AttemptsMax, retry.attempts_max == 0, found);
    zero(ParamKey::BackoffBase, base.is_zero(), found);
    zero(ParamKey::BackoffCap, cap.is_zero(), found);
    if base > cap && !cap.is_zero() {
        found.push(ParamProblem::BaseOverCap { base, cap });
    }
    let worst = params.worst_case();
    let sum = worst.attempts.saturating_add(worst.backoff);
    let timeout::Params { total, attempt, .. } = params.timeout;
    // An attempt that alone takes too long has been said already.
    if sum > total && attempt <= total {
        found.push(ParamProblem::RetriesDoNotFit {
            attempts_max: retry.attempts_max,
            fitting: fitting(&retry.backoff, attempt, total),
            attempt,
            backoff: worst.backoff,
            sum,
            total,
        });
    }
}

fn budgets(budget: &budget::Params, found: &mut Vec<ParamProblem>) {
    let &budget::Params { ratio, floor_per_second: floor, in_flight_ratio, .. } = budget;
    range(ParamKey::BudgetRatio, ratio, (0.0..=1.0).contains(&ratio), "from 0 to 1", found);
    range(ParamKey::BudgetFloor, floor, floor >= 0.0 && floor.is_finite(), "at least 0", found);
    let is_share = in_flight_ratio > 0.0 && in_flight_ratio <= 1.0;
    range(ParamKey::BudgetInFlight, in_flight_ratio, is_share, "above 0, at most 1", found);
}

fn breakers(timeout: &timeout::Params, breaker: &breaker::Params, found: &mut Vec<ParamProblem>) {
    let &breaker::Params { ratio, calls_min, window, open, open_max, probes, .. } = breaker;
    let is_ratio = ratio > 0.0 && ratio <= 1.0;
    range(ParamKey::BreakerRatio, ratio, is_ratio, "above 0, at most 1", found);
    zero(ParamKey::CallsMin, calls_min == 0, found);
    zero(ParamKey::Window, window.is_zero(), found);
    zero(ParamKey::Slow, breaker.slow.is_some_and(|slow| slow.is_zero()), found);
    zero(ParamKey::Open, open.is_zero(), found);
    zero(ParamKey::OpenMax, open_max.is_zero(), found);
    zero(ParamKey::Probes, probes == 0, found);
    let has_limit = timeout.attempt != timeout::NONE;
    if has_limit && !window.is_zero() && window < timeout.attempt.saturating_mul(2) {
        found.push(ParamProblem::WindowTooShort { window, attempt: timeout.attempt });
    }
    if open > open_max && !open_max.is_zero() {
        found.push(ParamProblem::OpenOverMax { open, open_max });
    }
    if let breaker::Mode::Throttle { multiple } = breaker.mode {
        let is_multiple = multiple >= 1.0 && multiple.is_finite();
        range(ParamKey::Multiple, multiple, is_multiple, "at least 1", found);
    }
}

fn limits(limit: &bulkhead::Params, found: &mut Vec<ParamProblem>) {
    zero(ParamKey::InFlightMax, limit.in_flight_max == 0, found);
    // Without a queue nobody waits, so how long does not matter.
    zero(ParamKey::QueueWaitMax, limit.queue_max > 0 && limit.queue_wait_max.is_zero(), found);
}

fn zero(key: ParamKey, is_zero: bool, found: &mut Vec<ParamProblem>) {
    if is_zero {
        found.push(ParamProblem::Zero { key });
    }
}

fn range(
    key: ParamKey,
    value: f64,
    is_in: bool,
    range: &'static str,
    found: &mut Vec<ParamProblem>,
) {
    if !is_in {
        found.push(ParamProblem::OutOfRange { key, value, range });
    }
}

fn over(
    (key, value): (ParamKey, f64),
    (bound, bound_value): (ParamKey, f64),
    found: &mut Vec<ParamProblem>,
) {
    // A bound of zero has been said already.
    if value > bound_value && bound_value > 0.0 {
        found.push(ParamProblem::Over { key, value, bound, bound_value });
    }
}

fn longer(
    (key, value): (ParamKey, Duration),
    (bound, bound_value): (ParamKey, Duration),
    found: &mut Vec<ParamProblem>,
) {
    if value > bound_value && !bound_value.is_zero() {
        found.push(ParamProblem::Longer { key, value, bound, bound_value });
    }
}

/// Returns how many attempts fit, with the longest backoff between them; at least 1, and no more
/// than anyone would set: nobody waits for this loop because of a number in a file.
fn fitting(backoff: &backoff::Params, attempt: Duration, total: Duration) -> u32 {
    let mut sum = attempt;
    let mut attempts = 1;
    while attempts < 1000 {
        let step = backoff::upper(backoff, attempts).saturating_add(attempt);
        sum = sum.saturating_add(step);
        if sum > total {
            break;
        }
        attempts += 1;
    }
    attempts
}

impl fmt::Display for ParamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero { key } => write!(f, "{} is zero", key.as_str()),
            Self::OutOfRange { key, value, range } => {
                write!(f, "{} is {value}, it must be {range}", key.as_str())
            }
            Self::AttemptOverTotal { attempt, total } => {
                write!(f, "one attempt may take {attempt:?}, everything together only {total:?}")
            }
            Self::RetriesDoNotFit { attempts_max, attempt, backoff, sum, total, .. } => write!(
                f,
                "{attempts_max} × {attempt:?} + up to {backoff:?} of backoff = {sum:?} do not fit \
                 into {total:?}"
            ),
            Self::BaseOverCap { base, cap } => {
                write!(f, "the first backoff, {base:?}, is longer than the longest, {cap:?}")
            }
            Self::WindowTooShort { window, attempt } => write!(
                f,
                "a breaker's window of {window:?} is shorter than two attempts of {attempt:?}"
            ),
            Self::OpenOverMax { open, open_max } => {
                write!(f, "open for {open:?} at first, but {open_max:?} at most")
            }
            Self::Over { key, value, bound, bound_value } => {
                let (key, bound) = (key.as_str(), bound.as_str());
                write!(f, "{key} is {value}, more than {bound}, {bound_value}")
            }
            Self::Longer { key, value, bound, bound_value } => {
                let (key, bound) = (key.as_str(), bound.as_str());
                write!(f, "{key} is {value:?}, longer than {bound}, {bound_value:?}")
            }
            Self::Needs { key, needs } => {
                write!(f, "{} does nothing without {}", key.as_str(), needs.as_str())
            }
            Self::HedgeTooLate { after, extra_max, attempt, total } => write!(
                f,
                "{extra_max} × {after:?} until the last hedged attempt is too late: an attempt \
                 ends after {attempt:?}, everything after {total:?}"
            ),
            Self::ShedUpsideDown { more, less } => write!(
                f,
                "calls of {} priority would be shed before those of {} priority",
                more.as_str(),
                less.as_str()
            ),
        }
    }
}

impl std::error::Error for ParamProblem {}
