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

use super::settled::Settled;

/// Returns the numbers that a policy's settings stand for.
pub(super) fn of(settled: &Settled) -> Params {
    let on = |part: &str| settled.is_on(part).then_some(());
    let ratio = on("policy.retry").and(settled.share("policy.retry.budget"));
    Params {
        timeout: timeout::Params {
            total: settled.duration("policy.total_timeout"),
            attempt: settled.duration("policy.attempt_timeout"),
            connect: settled.duration("policy.connect_timeout"),
            idle: settled.duration("policy.idle_timeout"),
            stream_idle: settled.duration("policy.stream_idle_timeout"),
        },
        cache: on("policy.cache").map(|()| cache::Params {
            fresh_for: settled.duration("policy.cache.fresh_for"),
            stale_while_revalidate: settled.duration("policy.cache.stale_while_revalidate"),
            stale_on_error: settled.duration("policy.cache.stale_on_error"),
            entries_max: integer(settled, "policy.cache.entries"),
            bytes_max: settled.bytes("policy.cache.bytes"),
            answer_bytes_max: settled.bytes("policy.cache.answer_bytes"),
        }),
        coalesce: settled.flag("policy.coalesce"),
        shed: on("policy.shed").map(|()| shed(settled)),
        retry: on("policy.retry").map(|()| retry(settled)),
        budget: ratio.map(|ratio| budget::Params {
            ratio,
            floor_per_second: settled.rate("policy.retry.budget_floor"),
            in_flight_ratio: share(settled, "policy.retry.budget_in_flight"),
            ..Default::default()
        }),
        hedge: on("policy.hedge").map(|()| hedge::Params {
            after: settled.after("policy.hedge.after"),
            min: settled.duration("policy.hedge.min"),
            extra_max: integer(settled, "policy.hedge.extra"),
            ratio_max: share(settled, "policy.hedge.at_most"),
        }),
        outlier: on("policy.outlier").map(|()| outlier::Params {
            consecutive: integer(settled, "policy.outlier.consecutive"),
            interval: settled.duration("policy.outlier.interval"),
            out: settled.duration("policy.outlier.out_for"),
            out_max: settled.duration("policy.outlier.out_max"),
            keep_min: share(settled, "policy.outlier.keep"),
            ..Default::default()
        }),
        breaker: on("policy.breaker").map(|()| breaker(settled)),
        limit: on("policy.limit").map(|()| bulkhead::Params {
            in_flight_max: integer(settled, "policy.limit.in_flight"),
            queue_max: integer(settled, "policy.limit.queue"),
            queue_wait_max: settled.duration("policy.limit.queue_wait"),
            order: match settled.text("policy.limit.order") {
                Some("fifo") => Order::Fifo,
                _ => Order::Adaptive,
            },
            holds_abandoned: settled.flag("policy.limit.holds_abandoned"),
        }),
        adaptive: on("policy.limit").and(on("policy.adaptive")).map(|()| adaptive::Params {
            min: integer(settled, "policy.adaptive.min"),
            initial: integer(settled, "policy.adaptive.initial"),
        }),
        rate: on("policy.rate").map(|()| rate(settled)),
        counts_throttled: settled.flag("policy.count_429"),
    }
}

/// Returns a number; the table of keys bounds every one far below 2^32.
fn integer(settled: &Settled, path: &str) -> u32 {
    settled.integer(path) as u32
}

/// Returns a share that cannot be off.
fn share(settled: &Settled, path: &str) -> f64 {
    settled.share(path).unwrap_or(1.0)
}

/// Returns the numbers of a backoff.
pub(super) fn backoff(settled: &Settled) -> backoff::Params {
    let (base, cap) = settled.range("policy.retry.backoff");
    let jitter = match settled.text("policy.retry.jitter") {
        Some("equal") => Jitter::Equal,
        Some("decorrelated") => Jitter::Decorrelated,
        Some("smooth") => Jitter::Smooth,
        Some("quarter") => Jitter::Quarter,
        Some("none") => Jitter::None,
        _ => Jitter::Full,
    };
    let growth = match settled.text("policy.retry.growth") {
        Some("linear") => Growth::Linear,
        Some("constant") => Growth::Constant,
        _ => Growth::Exponential,
    };
    backoff::Params { base, cap, growth, jitter }
}

fn retry(settled: &Settled) -> retry::Params {
    retry::Params {
        attempts_max: integer(settled, "policy.retry.attempts"),
        on: settled.conditions("policy.retry.on"),
        backoff: backoff(settled),
        any_method: settled.flag("policy.retry.any_method"),
        idempotency_key: settled.flag("policy.retry.idempotency_key"),
        replay_bytes_max: settled.bytes("policy.retry.replay_buffer") as usize,
    }
}

fn breaker(settled: &Settled) -> breaker::Params {
    breaker::Params {
        ratio: share(settled, "policy.breaker.failures"),
        calls_min: integer(settled, "policy.breaker.of_at_least"),
        window: settled.duration("policy.breaker.window"),
        consecutive: integer(settled, "policy.breaker.consecutive"),
        slow: settled.get("policy.breaker.slow").map(|_| settled.duration("policy.breaker.slow")),
        open: settled.duration("policy.breaker.open_for"),
        open_max: settled.duration("policy.breaker.open_max"),
        probes: integer(settled, "policy.breaker.probes"),
        mode: match settled.text("policy.breaker.mode") {
            Some("throttle") => Mode::Throttle { multiple: THROTTLE_MULTIPLE },
            _ => Mode::Break,
        },
        recovery: settled.duration("policy.breaker.recovery"),
        is_dry_run: settled.flag("policy.breaker.dry_run"),
        per_endpoint: settled.flag("policy.breaker.per_endpoint"),
    }
}

fn shed(settled: &Settled) -> shed::Params {
    let [high, normal, low] = ["policy.shed.high", "policy.shed.normal", "policy.shed.low"]
        .map(|path| share(settled, path));
    let standard = shed::Params::default();
    let low_places = share(settled, "policy.shed.low_places");
    shed::Params {
        load_max: [standard.load_max[0], high, normal, low],
        places: [standard.places[0], standard.places[1], standard.places[2], low_places],
    }
}

fn rate(settled: &Settled) -> rate::Params {
    let window = settled.duration("policy.rate.window");
    rate::Params {
        per_second: settled.rate("policy.rate.limit"),
        burst: integer(settled, "policy.rate.burst"),
        kind: match settled.text("policy.rate.kind") {
            Some("fixed-window") => Kind::FixedWindow(window),
            Some("sliding-window") => Kind::SlidingWindow(window),
            _ => Kind::TokenBucket,
        },
        keyed: match settled.text("policy.rate.key") {
            None | Some("upstream") => None,
            Some(_) => Some(Keyed { keys_max: integer(settled, "policy.rate.keys") }),
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
