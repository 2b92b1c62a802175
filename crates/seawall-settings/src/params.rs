//! From the settings of a policy to its numbers.
//!
//! Does not know: what the numbers may be together; whoever settles a policy has seen to that.

use seawall_policy::backoff::{Growth, Jitter};
use seawall_policy::breaker::Mode;
use seawall_policy::bulkhead::Order;
use seawall_policy::rate::{Keyed, Kind};
use seawall_policy::{
    Params, adaptive, backoff, breaker, budget, bulkhead, cache, hedge, outlier, rate, retry, shed,
    timeout,
};

use super::resolved::Resolved;

/// Returns the numbers that a policy's settings stand for.
pub(super) fn of(resolved: &Resolved) -> Params {
    let on = |part: &str| resolved.is_on(part).then_some(());
    let ratio = on("policy.retry").and(resolved.share("policy.retry.budget"));
    Params {
        timeout: timeout::Params {
            total: resolved.duration("policy.total_timeout"),
            attempt: resolved.duration("policy.attempt_timeout"),
            connect: resolved.duration("policy.connect_timeout"),
            idle: resolved.duration("policy.idle_timeout"),
            stream_idle: resolved.duration("policy.stream_idle_timeout"),
        },
        cache: on("policy.cache").map(|()| cache::Params {
            fresh_for: resolved.duration("policy.cache.fresh_for"),
            stale_while_revalidate: resolved.duration("policy.cache.stale_while_revalidate"),
            stale_on_error: resolved.duration("policy.cache.stale_on_error"),
            entries_max: integer(resolved, "policy.cache.entries"),
            bytes_max: resolved.bytes("policy.cache.bytes"),
            answer_bytes_max: resolved.bytes("policy.cache.answer_bytes"),
        }),
        coalesce: resolved.flag("policy.coalesce"),
        shed: on("policy.shed").map(|()| shed(resolved)),
        retry: on("policy.retry").map(|()| retry(resolved)),
        budget: ratio.map(|ratio| budget::Params {
            ratio,
            floor_per_second: resolved.rate("policy.retry.budget_floor"),
            in_flight_ratio: share(resolved, "policy.retry.budget_in_flight"),
            ..Default::default()
        }),
        hedge: on("policy.hedge").map(|()| hedge::Params {
            after: resolved.after("policy.hedge.after"),
            min: resolved.duration("policy.hedge.min"),
            extra_max: integer(resolved, "policy.hedge.extra"),
            ratio_max: share(resolved, "policy.hedge.at_most"),
        }),
        outlier: on("policy.outlier").map(|()| outlier::Params {
            consecutive: integer(resolved, "policy.outlier.consecutive"),
            interval: resolved.duration("policy.outlier.interval"),
            out: resolved.duration("policy.outlier.out_for"),
            out_max: resolved.duration("policy.outlier.out_max"),
            keep_min: share(resolved, "policy.outlier.keep"),
            ..Default::default()
        }),
        breaker: on("policy.breaker").map(|()| breaker(resolved)),
        limit: on("policy.limit").map(|()| bulkhead::Params {
            in_flight_max: integer(resolved, "policy.limit.in_flight"),
            queue_max: integer(resolved, "policy.limit.queue"),
            queue_wait_max: resolved.duration("policy.limit.queue_wait"),
            order: match resolved.text("policy.limit.order") {
                Some("fifo") => Order::Fifo,
                _ => Order::Adaptive,
            },
            holds_abandoned: resolved.flag("policy.limit.holds_abandoned"),
        }),
        adaptive: on("policy.limit").and(on("policy.adaptive")).map(|()| adaptive::Params {
            min: integer(resolved, "policy.adaptive.min"),
            initial: integer(resolved, "policy.adaptive.initial"),
        }),
        rate: on("policy.rate").map(|()| rate(resolved)),
        counts_throttled: resolved.flag("policy.count_429"),
    }
}

/// Returns a number; the table of keys bounds every one far below 2^32.
fn integer(resolved: &Resolved, path: &str) -> u32 {
    resolved.integer(path) as u32
}

/// Returns a share that cannot be off.
fn share(resolved: &Resolved, path: &str) -> f64 {
    resolved.share(path).unwrap_or(1.0)
}

/// Returns the numbers of a backoff.
pub(super) fn backoff(resolved: &Resolved) -> backoff::Params {
    let (base, cap) = resolved.range("policy.retry.backoff");
    let jitter = match resolved.text("policy.retry.jitter") {
        Some("equal") => Jitter::Equal,
        Some("decorrelated") => Jitter::Decorrelated,
        Some("smooth") => Jitter::Smooth,
        Some("quarter") => Jitter::Quarter,
        Some("none") => Jitter::None,
        _ => Jitter::Full,
    };
    let growth = match resolved.text("policy.retry.growth") {
        Some("linear") => Growth::Linear,
        Some("constant") => Growth::Constant,
        _ => Growth::Exponential,
    };
    backoff::Params { base, cap, growth, jitter }
}

fn retry(resolved: &Resolved) -> retry::Params {
    retry::Params {
        attempts_max: integer(resolved, "policy.retry.attempts"),
        on: resolved.conditions("policy.retry.on"),
        backoff: backoff(resolved),
        any_method: resolved.flag("policy.retry.any_method"),
        idempotency_key: resolved.flag("policy.retry.idempotency_key"),
        replay_bytes_max: resolved.bytes("policy.retry.replay_buffer") as usize,
    }
}

fn breaker(resolved: &Resolved) -> breaker::Params {
    breaker::Params {
        ratio: share(resolved, "policy.breaker.failures"),
        calls_min: integer(resolved, "policy.breaker.of_at_least"),
        window: resolved.duration("policy.breaker.window"),
        consecutive: integer(resolved, "policy.breaker.consecutive"),
        slow: resolved.get("policy.breaker.slow").map(|_| resolved.duration("policy.breaker.slow")),
        open: resolved.duration("policy.breaker.open_for"),
        open_max: resolved.duration("policy.breaker.open_max"),
        probes: integer(resolved, "policy.breaker.probes"),
        mode: match resolved.text("policy.breaker.mode") {
            Some("throttle") => Mode::Throttle { multiple: THROTTLE_MULTIPLE },
            _ => Mode::Break,
        },
        recovery: resolved.duration("policy.breaker.recovery"),
        is_dry_run: resolved.flag("policy.breaker.dry_run"),
        per_endpoint: resolved.flag("policy.breaker.per_endpoint"),
    }
}

fn shed(resolved: &Resolved) -> shed::Params {
    let [high, normal, low] = ["policy.shed.high", "policy.shed.normal", "policy.shed.low"]
        .map(|path| share(resolved, path));
    let standard = shed::Params::default();
    let low_places = share(resolved, "policy.shed.low_places");
    shed::Params {
        load_max: [standard.load_max[0], high, normal, low],
        places: [standard.places[0], standard.places[1], standard.places[2], low_places],
    }
}

fn rate(resolved: &Resolved) -> rate::Params {
    let window = resolved.duration("policy.rate.window");
    rate::Params {
        per_second: resolved.rate("policy.rate.limit"),
        burst: integer(resolved, "policy.rate.burst"),
        kind: match resolved.text("policy.rate.kind") {
            Some("fixed-window") => Kind::FixedWindow(window),
            Some("sliding-window") => Kind::SlidingWindow(window),
            _ => Kind::TokenBucket,
        },
        keyed: match resolved.text("policy.rate.key") {
            None | Some("upstream") => None,
            Some(_) => Some(Keyed { keys_max: integer(resolved, "policy.rate.keys") }),
        },
    }
}

/// As many again as succeed: the one number that the SRE book (chapter 21) found good for most.
const THROTTLE_MULTIPLE: f64 = 2.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seawall_policy::hedge::After;

    use super::super::policy::settle;
    use super::super::report::Report;
    use super::super::source::Text;
    use super::super::{doc, raw};
    use super::*;

    /// Returns the numbers of `[policy.p]` with these settings, and what is wrong with them.
    fn read(settings: &str) -> (Params, String) {
        let text = format!("[policy.p]\n{settings}\n").into();
        let mut report = Report::new(Text { name: "seawall.toml".into(), text });
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
        assert!(limit.order == Order::Fifo && limit.holds_abandoned);
        let rate = params.rate.expect("it is on");
        assert_eq!(rate.kind, Kind::SlidingWindow(Duration::from_secs(2)));
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
