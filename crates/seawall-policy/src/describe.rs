//! A policy in words: one line a strategy, in the order in which a call meets them.
//!
//! Does not know: how a plan is carried out. A part that is off is said to be off: whoever reads
//! it is to see the whole pipeline, not to guess what is missing.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use seawall_core::{Code, Priority};

use crate::backoff::{Growth, Jitter};
use crate::{
    Params, adaptive, backoff, breaker, budget, bulkhead, cache, hedge, outlier, rate, retry, shed,
    timeout,
};

impl Params {
    /// Writes the policy down for people, one line a strategy, outermost first, and how long a
    /// call can take at worst.
    ///
    /// ```
    /// let text = seawall_policy::Params::standard().describe();
    /// assert!(text.contains("at worst  30s: 27s of attempts, 150ms of backoff, 15s of queue"));
    /// ```
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.describe_to(&mut text);
        text
    }

    fn describe_to(&self, f: &mut String) -> fmt::Result {
        let timeout::Params { total, attempt, connect, idle, .. } = self.timeout;
        line(f, "cache", self.cache.as_ref(), cached)?;
        line(f, "coalesce", self.coalesce.then_some(&()), |(), f| {
            f.write_str("calls that ask the same at the same time share one answer")
        })?;
        writeln!(f, "deadline  {total:?} for everything until the answer's head")?;
        line(f, "shed", self.shed.as_ref(), shed)?;
        line(f, "rate", self.rate.as_ref(), rate)?;
        line(f, "retry", self.retry.as_ref(), retry)?;
        line(f, "hedge", self.hedge.as_ref(), hedge)?;
        line(f, "budget", self.budget.as_ref(), budget)?;
        line(f, "outlier", self.outlier.as_ref(), outlier)?;
        line(f, "breaker", self.breaker.as_ref(), breaker)?;
        line(f, "limit", self.limit.as_ref(), |limit, f| {
            limited(limit, self.adaptive.is_some(), f)
        })?;
        line(f, "adaptive", self.adaptive.as_ref(), adaptive)?;
        let connect = connect.min(attempt);
        writeln!(f, "attempt   {attempt:?}, {connect:?} of it to connect; {idle:?} of silence")?;
        writeln!(f, "at worst  {}", self.worst_case())
    }
}

/// Writes one line; `off` for a part that is not there.
fn line<T>(
    f: &mut String,
    word: &str,
    part: Option<&T>,
    say: impl FnOnce(&T, &mut String) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{word:<10}")?;
    match part {
        Some(part) => say(part, f)?,
        None => f.write_str("off")?,
    }
    f.write_char('\n')
}

fn cached(cache: &cache::Params, f: &mut String) -> fmt::Result {
    let &cache::Params {
        fresh_for,
        stale_while_revalidate: revalidated,
        stale_on_error,
        entries_max,
        bytes_max,
        answer_bytes_max,
    } = cache;
    match fresh_for {
        Duration::ZERO => f.write_str("answers are fresh as long as they say")?,
        fresh_for => write!(f, "answers are fresh for {fresh_for:?} unless they say otherwise")?,
    }
    if !revalidated.is_zero() {
        write!(f, ", {revalidated:?} more while a newer one is fetched")?;
    }
    if !stale_on_error.is_zero() {
        write!(f, ", {stale_on_error:?} more if the upstream fails")?;
    }
    write!(f, "; {entries_max} answers, {bytes_max} bytes, {answer_bytes_max} for one",)
}

fn shed(shed: &shed::Params, f: &mut String) -> fmt::Result {
    let mut separator = "";
    for priority in Priority::ALL.into_iter().rev() {
        let load_max = shed.load_max[priority.index()];
        if load_max <= 1.0 {
            let word = priority.as_str();
            write!(f, "{separator}{word} at {} of load", Percent(load_max))?;
            separator = ", ";
        }
    }
    if separator.is_empty() {
        f.write_str("nothing at any load")?;
    }
    let mut separator = "; ";
    for priority in Priority::ALL.into_iter().rev() {
        let share = shed.places[priority.index()];
        if share < 1.0 {
            write!(f, "{separator}{} takes {} of places", priority.as_str(), Percent(share))?;
            separator = ", ";
        }
    }
    Ok(())
}

fn rate(rate: &rate::Params, f: &mut String) -> fmt::Result {
    let rate::Params { per_second, burst, kind, keyed } = rate;
    write!(f, "{per_second} calls a second, ")?;
    match kind {
        rate::RateAlgorithm::TokenBucket => write!(f, "{burst} at once")?,
        rate::RateAlgorithm::FixedWindow(length) => write!(f, "counted in windows of {length:?}")?,
        rate::RateAlgorithm::SlidingWindow(length) => {
            write!(f, "counted over the last {length:?}")?
        }
    }
    match keyed {
        Some(keyed) => write!(f, ", each of {} callers apart", keyed.keys_max),
        None => Ok(()),
    }
}

fn retry(retry: &retry::Params, f: &mut String) -> fmt::Result {
    let retry::On { connect, reset, timeout, codes } = &retry.on;
    write!(f, "{} attempts on", retry.attempts_max)?;
    for (word, is_on) in [("connect", connect), ("reset", reset), ("timeout", timeout)] {
        if *is_on {
            write!(f, " {word}")?;
        }
    }
    // A row of numbers is said as its ends: `500-599`.
    for row in codes.chunk_by(|one, next| is_next(*one, *next)) {
        match row {
            [first, _, .., last] => write!(f, " {first}-{last}")?,
            row => row.iter().try_for_each(|code| write!(f, " {code}"))?,
        }
    }
    let methods = match (retry.any_method, retry.idempotency_key) {
        (true, _) => "any method",
        (false, true) => "idempotent methods or an idempotency key",
        (false, false) => "idempotent methods",
    };
    let backoff::Params { base, cap, growth, jitter } = retry.backoff;
    let jitter = match jitter {
        Jitter::None => "no jitter",
        Jitter::Full => "full jitter",
        Jitter::Equal => "equal jitter",
        Jitter::Decorrelated => "decorrelated jitter",
        Jitter::Quarter => "a quarter of jitter",
        Jitter::Smooth => "smooth jitter",
    };
    let growth = match growth {
        Growth::Constant => "each time, at most",
        Growth::Linear => "growing by as much to",
        Growth::Exponential => "doubling to",
    };
    write!(f, "; {base:?} {growth} {cap:?}, {jitter}; {methods}")
}

/// Returns whether two codes are numbers, one after the other.
fn is_next(one: Code, next: Code) -> bool {
    let number = |code: Code| code.to_string().parse::<u32>().ok();
    number(one).is_some_and(|one| number(next) == Some(one + 1))
}

fn hedge(hedge: &hedge::Params, f: &mut String) -> fmt::Result {
    let &hedge::Params { after, min, extra_max, ratio_max } = hedge;
    write!(f, "{extra_max} more ")?;
    match after {
        hedge::After::AtOnce => f.write_str("at once")?,
        hedge::After::Fixed(after) => write!(f, "after {:?}", after.max(min))?,
        hedge::After::Quantile(share) => {
            let share = Percent(share);
            write!(f, "once slower than {share} of attempts and {min:?}")?;
        }
    }
    write!(f, "; for {} of calls", Percent(ratio_max))
}

fn budget(budget: &budget::Params, f: &mut String) -> fmt::Result {
    let &budget::Params { ratio, floor_per_second: floor, in_flight_ratio, in_flight_min } = budget;
    write!(f, "retries for {} of calls, and {floor} a second; ", Percent(ratio))?;
    write!(f, "under way for {} of attempts, and {in_flight_min}", Percent(in_flight_ratio))
}

fn outlier(outlier: &outlier::Params, f: &mut String) -> fmt::Result {
    let &outlier::Params { consecutive, interval, deviations, failures_max, .. } = outlier;
    let outlier::Params { out, out_max, keep_min, .. } = outlier;
    let mut separator = "an endpoint is out";
    if consecutive > 0 {
        write!(f, "{separator} after {consecutive} failures in a row")?;
        separator = ", or";
    }
    if failures_max <= 1.0 {
        write!(f, "{separator} at {} of failures in {interval:?}", Percent(failures_max))?;
        separator = ", or";
    }
    if deviations > 0.0 {
        write!(f, "{separator} {deviations} deviations below the others in {interval:?}")?;
    }
    write!(f, "; {out:?} growing to {out_max:?}; {} stay in", Percent(*keep_min))
}

fn breaker(breaker: &breaker::Params, f: &mut String) -> fmt::Result {
    let breaker::Params { calls_min, window, consecutive, open, open_max, probes, .. } = breaker;
    match breaker.mode {
        breaker::Mode::Throttle { multiple } => write!(
            f,
            "refuses a share beyond {multiple} times what succeeds of at least {calls_min} \
             attempts in {window:?}"
        )?,
        breaker::Mode::Break => {
            let percent = Percent(breaker.ratio);
            write!(f, "opens at {percent} of at least {calls_min} attempts in {window:?}")?;
            if *consecutive > 0 {
                write!(f, " or {consecutive} in a row")?;
            }
            write!(f, "; {open:?} doubling to {open_max:?}; {probes} probes")?;
            if !breaker.recovery.is_zero() {
                write!(f, ", then by steps in {:?}", breaker.recovery)?;
            }
        }
    }
    if let Some(slow) = breaker.slow {
        write!(f, "; answers after {slow:?} count as failures")?;
    }
    if breaker.per_endpoint {
        f.write_str("; one for each endpoint")?;
    }
    f.write_str(if breaker.is_dry_run { "; dry run: refuses nothing" } else { "" })
}

fn limited(limit: &bulkhead::Params, is_adaptive: bool, f: &mut String) -> fmt::Result {
    let bulkhead::Params { in_flight_max, queue_max, queue_wait_max, order, holds_abandoned } =
        limit;
    let is_learned = is_adaptive && *order == bulkhead::QueueOrder::Adaptive;
    let most = if is_adaptive { "at most " } else { "" };
    write!(f, "{most}{in_flight_max} attempts in flight, ")?;
    match (queue_max, is_learned) {
        (0, _) => f.write_str("nobody waits")?,
        (max, false) => write!(f, "{max} waiting up to {queue_wait_max:?}, oldest first")?,
        (max, true) => write!(
            f,
            "{max} waiting as long as their callers would and up to {queue_wait_max:?}, oldest first"
        )?,
    }
    if *queue_max > 0 && *order == bulkhead::QueueOrder::Adaptive {
        f.write_str(" unless it has waited too long")?;
    }
    f.write_str(match holds_abandoned {
        true => "; an abandoned attempt keeps its place until a later one is answered",
        false => "",
    })
}

fn adaptive(adaptive: &adaptive::Params, f: &mut String) -> fmt::Result {
    let adaptive::Params { min, initial } = adaptive;
    write!(f, "the limit is learned from latency: {initial} at first, never below {min}")
}

/// Writes a share as people do.
struct Percent(f64);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded to a thousandth: 0.07 * 100 is not 7.
        write!(f, "{} %", (self.0 * 100_000.0).round() / 1000.0)
    }
}
