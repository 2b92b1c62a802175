//! From the settings of a policy to its numbers.
//!
//! Does not know: what the numbers may be together; whoever settles a policy has seen to that.

use seawall_policy::breaker::Mode;
use seawall_policy::rate::{Keyed, RateAlgorithm};
use seawall_policy::{
    Params, adaptive, backoff, breaker, budget, bulkhead, cache, hedge, outlier, rate, retry, shed,
    timeout,
};

use super::keys::{self, Key};
use super::policy_words::{BreakerMode, RateKind};
use super::resolved::Resolved;
use super::typed::Part;

/// Returns the numbers that a policy's settings stand for.
pub(super) fn of(resolved: &Resolved) -> Params {
    let on = |part: Key<Part>| resolved.get(part).then_some(());
    let ratio = on(keys::POLICY_RETRY).and(resolved.get(keys::POLICY_RETRY_BUDGET));
    Params {
        timeout: timeout::Params {
            total: resolved.get(keys::POLICY_TOTAL_TIMEOUT),
            attempt: resolved.get(keys::POLICY_ATTEMPT_TIMEOUT),
            connect: resolved.get(keys::POLICY_CONNECT_TIMEOUT),
            idle: resolved.get(keys::POLICY_IDLE_TIMEOUT),
            stream_idle: resolved.get(keys::POLICY_STREAM_IDLE_TIMEOUT),
        },
        cache: on(keys::POLICY_CACHE).map(|()| cache::Params {
            fresh_for: resolved.get(keys::POLICY_CACHE_FRESH_FOR),
            stale_while_revalidate: resolved.get(keys::POLICY_CACHE_STALE_WHILE_REVALIDATE),
            stale_on_error: resolved.get(keys::POLICY_CACHE_STALE_ON_ERROR),
            entries_max: integer(resolved, keys::POLICY_CACHE_ENTRIES),
            bytes_max: resolved.get(keys::POLICY_CACHE_BYTES),
            answer_bytes_max: resolved.get(keys::POLICY_CACHE_ANSWER_BYTES),
        }),
        coalesce: resolved.get(keys::POLICY_COALESCE),
        shed: on(keys::POLICY_SHED).map(|()| shed(resolved)),
        retry: on(keys::POLICY_RETRY).map(|()| retry(resolved)),
        budget: ratio.map(|ratio| budget::Params {
            ratio,
            floor_per_second: resolved.get(keys::POLICY_RETRY_BUDGET_FLOOR),
            in_flight_ratio: resolved.get(keys::POLICY_RETRY_BUDGET_IN_FLIGHT),
            ..Default::default()
        }),
        hedge: on(keys::POLICY_HEDGE).map(|()| hedge::Params {
            after: resolved.get(keys::POLICY_HEDGE_AFTER),
            min: resolved.get(keys::POLICY_HEDGE_MIN),
            extra_max: integer(resolved, keys::POLICY_HEDGE_EXTRA),
            ratio_max: resolved.get(keys::POLICY_HEDGE_AT_MOST),
        }),
        outlier: on(keys::POLICY_OUTLIER).map(|()| outlier::Params {
            consecutive: integer(resolved, keys::POLICY_OUTLIER_CONSECUTIVE),
            interval: resolved.get(keys::POLICY_OUTLIER_INTERVAL),
            out: resolved.get(keys::POLICY_OUTLIER_OUT_FOR),
            out_max: resolved.get(keys::POLICY_OUTLIER_OUT_MAX),
            keep_min: resolved.get(keys::POLICY_OUTLIER_KEEP),
            ..Default::default()
        }),
        breaker: on(keys::POLICY_BREAKER).map(|()| breaker(resolved)),
        limit: on(keys::POLICY_LIMIT).map(|()| bulkhead::Params {
            in_flight_max: integer(resolved, keys::POLICY_LIMIT_IN_FLIGHT),
            queue_max: integer(resolved, keys::POLICY_LIMIT_QUEUE),
            queue_wait_max: resolved.get(keys::POLICY_LIMIT_QUEUE_WAIT),
            order: resolved.get(keys::POLICY_LIMIT_ORDER),
            holds_abandoned: resolved.get(keys::POLICY_LIMIT_HOLDS_ABANDONED),
        }),
        adaptive: on(keys::POLICY_LIMIT).and(on(keys::POLICY_ADAPTIVE)).map(|()| {
            adaptive::Params {
                min: integer(resolved, keys::POLICY_ADAPTIVE_MIN),
                initial: integer(resolved, keys::POLICY_ADAPTIVE_INITIAL),
            }
        }),
        rate: on(keys::POLICY_RATE).map(|()| rate(resolved)),
        counts_throttled: resolved.get(keys::POLICY_COUNT_429),
    }
}

/// Returns a number; the table of keys bounds every one far below 2^32.
fn integer(resolved: &Resolved, key: Key<u64>) -> u32 {
    resolved.get(key) as u32
}

/// Returns the numbers of a backoff.
pub(super) fn backoff(resolved: &Resolved) -> backoff::Params {
    let (base, cap) = resolved.get(keys::POLICY_RETRY_BACKOFF);
    let growth = resolved.get(keys::POLICY_RETRY_GROWTH);
    let jitter = resolved.get(keys::POLICY_RETRY_JITTER);
    backoff::Params { base, cap, growth, jitter }
}

fn retry(resolved: &Resolved) -> retry::Params {
    retry::Params {
        attempts_max: integer(resolved, keys::POLICY_RETRY_ATTEMPTS),
        on: resolved.get(keys::POLICY_RETRY_ON).clone(),
        backoff: backoff(resolved),
        any_method: resolved.get(keys::POLICY_RETRY_ANY_METHOD),
        idempotency_key: resolved.get(keys::POLICY_RETRY_IDEMPOTENCY_KEY),
        replay_bytes_max: resolved.get(keys::POLICY_RETRY_REPLAY_BUFFER) as usize,
    }
}

fn breaker(resolved: &Resolved) -> breaker::Params {
    breaker::Params {
        ratio: resolved.get(keys::POLICY_BREAKER_FAILURES),
        calls_min: integer(resolved, keys::POLICY_BREAKER_OF_AT_LEAST),
        window: resolved.get(keys::POLICY_BREAKER_WINDOW),
        consecutive: integer(resolved, keys::POLICY_BREAKER_CONSECUTIVE),
        slow: resolved.get(keys::POLICY_BREAKER_SLOW),
        open: resolved.get(keys::POLICY_BREAKER_OPEN_FOR),
        open_max: resolved.get(keys::POLICY_BREAKER_OPEN_MAX),
        probes: integer(resolved, keys::POLICY_BREAKER_PROBES),
        mode: match resolved.get(keys::POLICY_BREAKER_MODE) {
            BreakerMode::Throttle => Mode::Throttle { multiple: THROTTLE_MULTIPLE },
            BreakerMode::Break => Mode::Break,
        },
        recovery: resolved.get(keys::POLICY_BREAKER_RECOVERY),
        is_dry_run: resolved.get(keys::POLICY_BREAKER_DRY_RUN),
        per_endpoint: resolved.get(keys::POLICY_BREAKER_PER_ENDPOINT),
    }
}

fn shed(resolved: &Resolved) -> shed::Params {
    let [high, normal, low] =
        [keys::POLICY_SHED_HIGH, keys::POLICY_SHED_NORMAL, keys::POLICY_SHED_LOW]
            .map(|key| resolved.get(key));
    let standard = shed::Params::default();
    let low_places = resolved.get(keys::POLICY_SHED_LOW_PLACES);
    shed::Params {
        load_max: [standard.load_max[0], high, normal, low],
        places: [standard.places[0], standard.places[1], standard.places[2], low_places],
    }
}

fn rate(resolved: &Resolved) -> rate::Params {
    let window = resolved.get(keys::POLICY_RATE_WINDOW);
    rate::Params {
        // Where there is none, that has been reported.
        per_second: resolved.get(keys::POLICY_RATE_LIMIT).unwrap_or_default(),
        // It follows from the limit wherever a rate is on.
        burst: resolved.get(keys::POLICY_RATE_BURST).unwrap_or_default() as u32,
        kind: match resolved.get(keys::POLICY_RATE_KIND) {
            RateKind::FixedWindow => RateAlgorithm::FixedWindow(window),
            RateKind::SlidingWindow => RateAlgorithm::SlidingWindow(window),
            RateKind::TokenBucket => RateAlgorithm::TokenBucket,
        },
        keyed: match resolved.get(keys::POLICY_RATE_KEY) {
            "upstream" => None,
            _ => Some(Keyed { keys_max: integer(resolved, keys::POLICY_RATE_KEYS) }),
        },
    }
}

/// As many again as succeed: the one number that the SRE book (chapter 21) found good for most.
const THROTTLE_MULTIPLE: f64 = 2.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seawall_policy::backoff::{Growth, Jitter};
    use seawall_policy::bulkhead::QueueOrder;
    use seawall_policy::hedge::After;

    use super::super::policy::settle;
    use super::super::report::SettingsReport;
    use super::super::source::Text;
    use super::super::{doc, raw};
    use super::*;

    /// Returns the numbers of `[policy.p]` with these settings, and what is wrong with them.
    fn read(settings: &str) -> (Params, String) {
        let text = format!("[policy.p]\n{settings}\n").into();
        let mut report = SettingsReport::new(Text { name: "seawall.toml".into(), text });
        let entries = doc::parse(&mut report).expect("it is TOML");
        let written = raw::read(&entries, &mut report);
        let policies = settle(&written.policies, &mut report);
        let policy = policies.into_iter().find(|policy| policy.name == "p");
        (policy.expect("it is there").params, report.human(false))
    }

    fn taken(settings: &str) -> Params {
        let (params, problems) = read(settings);
        assert_eq!(problems, "", "{settings}");
        params
    }

    #[test]
    fn every_strategy_that_is_on_has_the_defaults_of_its_machine() {
        let params = taken("hedge = {}\nadaptive = {}\nshed = {}\ncache = {}\n");
        assert_eq!(params.cache, Some(cache::Params::default()));
        assert_eq!(params.hedge, Some(hedge::Params::default()));
        assert_eq!(params.adaptive, Some(adaptive::Params::default()));
        assert_eq!(params.shed, Some(shed::Params::default()));
        let off = taken("outlier = \"off\"\nretry = \"off\"\nlimit = \"off\"\nadaptive = {}\n");
        assert_eq!((off.outlier, off.budget, off.limit, off.adaptive), (None, None, None, None));
    }

    #[test]
    fn words_stand_for_what_the_machines_do() {
        let params = taken(
            "retry = { jitter = \"smooth\", growth = \"linear\", budget_in_flight = \"5%\" }\n\
             breaker = { mode = \"throttle\", recovery = \"3s\", dry_run = true, slow = \"2s\", \
             per_endpoint = false }\n\
             limit = { order = \"fifo\", holds_abandoned = true }\n\
             rate = { limit = \"600/m\", kind = \"sliding-window\", window = \"2s\", \
             key = \"header:x-api-key\", keys = 64 }\n",
        );
        let retry = params.retry.expect("it is on");
        assert_eq!((retry.backoff.jitter, retry.backoff.growth), (Jitter::Smooth, Growth::Linear));
        assert_eq!(params.budget.expect("it is on").in_flight_ratio, 0.05);
        let breaker = params.breaker.expect("it is on");
        assert_eq!(breaker.mode, Mode::Throttle { multiple: 2.0 });
        assert_eq!(breaker.recovery, Duration::from_secs(3));
        assert_eq!(breaker.slow, Some(Duration::from_secs(2)));
        assert!(breaker.is_dry_run && !breaker.per_endpoint);
        let limit = params.limit.expect("it is on");
        assert!(limit.order == QueueOrder::Fifo && limit.holds_abandoned);
        let rate = params.rate.expect("it is on");
        assert_eq!(rate.kind, RateAlgorithm::SlidingWindow(Duration::from_secs(2)));
        assert_eq!((rate.per_second, rate.keyed), (10.0, Some(Keyed { keys_max: 64 })));
    }

    #[test]
    fn a_hedge_waits_for_a_quantile_a_time_or_nothing() {
        for (text, after) in [
            ("p99.9", After::Quantile(0.999)),
            ("50ms", After::Fixed(Duration::from_millis(50))),
            ("at-once", After::AtOnce),
        ] {
            let params = taken(&format!("hedge = {{ after = \"{text}\" }}"));
            assert_eq!(params.hedge.map(|hedge| hedge.after), Some(after), "{text}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused_with_its_nearest() {
        for (settings, help) in [
            ("retry = { jitter = \"ful\" }", "did you mean `full`?"),
            ("hedge = { after = \"p100\" }", "from \"p1\" to \"p99.9\""),
            ("rate = { limit = \"1/s\", key = \"clients\" }", "did you mean `client`?"),
            ("rate = { limit = \"1/s\", key = \"header:a b\" }", "not the name of a header"),
            ("rate = { limit = \"1/s\", key = \"claim:\" }", "not the name of a claim"),
            ("rate = { limit = \"1/s\", key = \"cookie:id\" }", "header:NAME, or claim:NAME"),
        ] {
            let (_, problems) = read(settings);
            assert!(problems.contains(help), "{settings}: {problems}");
        }
    }

    #[test]
    fn a_small_bulkhead_bounds_what_is_learned() {
        let params = taken("limit = { in_flight = 3 }\nadaptive = {}");
        assert_eq!(params.adaptive, Some(adaptive::Params { min: 1, initial: 3 }));
    }
}
