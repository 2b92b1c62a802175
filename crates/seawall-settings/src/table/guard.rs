//! The settings of a policy: breaker, hedging, endpoints.
//!
//! Does not know: how they are used.

use std::time::Duration;

use seawall_policy::hedge::After;

use super::super::key::{Key, key, optional};
use super::super::policy_words::BreakerMode;
use super::super::typed::{Part, Share, after, choice, duration, flag, integer, part, percent};
use super::LIMIT;

keys! {
    GUARD_ROWS;

    POLICY_BREAKER: Key<Part> = key("policy.breaker", part(), "{}", [
        "When an upstream is no longer called, and how it is tried again.",
        "\"off\" by those who have only one upstream and no better answer without it.",
        "fate rejected_breaker; status 503 with Retry-After; seawall_upstream_breaker_state",
    ]);
    POLICY_BREAKER_FAILURES: Key<Share> = key("policy.breaker.failures", percent(), r#""50%""#, [
        "Opens at this share of failed attempts.",
        "Operators, after looking at the upstream's usual failures.",
        "seawall_upstream_breaker_changes_total",
    ]);
    POLICY_BREAKER_OF_AT_LEAST: Key<u64> =
        key("policy.breaker.of_at_least", integer(1, 1_000_000), "20", [
            "The fewest attempts in the window before it can open.",
            "Operators of upstreams with few calls, downwards.",
            "seawall_upstream_breaker_changes_total",
        ]);
    POLICY_BREAKER_WINDOW: Key<Duration> =
        key("policy.breaker.window", duration("100ms", "48h"), r#""20s""#, [
            "The time over which attempts are counted.",
            "Operators of upstreams with few calls, upwards.",
            "seawall_upstream_breaker_changes_total",
        ])
        .follows(
            "at least twice `attempt_timeout`, or hung attempts are forgotten before they count",
        );
    POLICY_BREAKER_CONSECUTIVE: Key<u64> =
        key("policy.breaker.consecutive", integer(0, 1_000_000), "10", [
            "Also opens after so many failures in a row; 0 for never.",
            "Operators of upstreams with few calls, downwards.",
            "seawall_upstream_breaker_changes_total",
        ]);
    POLICY_BREAKER_SLOW: Key<Option<Duration>> = optional("policy.breaker.slow", LIMIT, [
        "A good answer that takes so long counts as a failure of the upstream; the client has it \
         all the same.",
        "Developers of upstreams whose slow answers help nobody.",
        "seawall_upstream_breaker_changes_total",
    ])
    .follows("never")
    .example(r#""2s""#);
    POLICY_BREAKER_OPEN_FOR: Key<Duration> = key("policy.breaker.open_for", LIMIT, r#""5s""#, [
        "How long it stays open the first time; doubles while probes fail.",
        "Operators who know how long the upstream takes to restart.",
        "Retry-After of the refusals",
    ]);
    POLICY_BREAKER_OPEN_MAX: Key<Duration> = key("policy.breaker.open_max", LIMIT, r#""8s""#, [
        "The longest it stays open.",
        "Hardly anyone.",
        "Retry-After of the refusals",
    ])
    .follows("never shorter than `open_for`");
    POLICY_BREAKER_PROBES: Key<u64> = key("policy.breaker.probes", integer(1, 1000), "3", [
        "How many probes must succeed before it closes; no more run at once.",
        "Hardly anyone.",
        "seawall_upstream_breaker_state",
    ]);
    POLICY_BREAKER_MODE: Key<BreakerMode> = key("policy.breaker.mode", choice(), r#""break""#, [
        "`break` refuses everything while it is open. `throttle` never opens: it refuses a share \
         that grows with the share of failures, so that an upstream that partly works goes on \
         working.",
        "Operators of upstreams that fail partly, or refuse what is too much.",
        "fate rejected_breaker",
    ]);
    POLICY_BREAKER_RECOVERY: Key<Duration> =
        key("policy.breaker.recovery", duration("0s", "24h"), r#""0s""#, [
            "Over how long the share that is let through grows to the whole after the probes have \
             passed.",
            "Operators of busy upstreams that start cold.",
            "seawall_upstream_breaker_state{state=\"recovering\"}",
        ]);
    POLICY_BREAKER_DRY_RUN: Key<bool> = key("policy.breaker.dry_run", flag(), "false", [
        "Refuses nothing, and counts what it would have refused.",
        "Operators who try other numbers.",
        "seawall_call_breaker_spared_total",
    ]);
    POLICY_BREAKER_PER_ENDPOINT: Key<bool> = key("policy.breaker.per_endpoint", flag(), "true", [
        "Whether each endpoint of an upstream has a breaker of its own.",
        "Operators whose endpoints share what fails (one database).",
        "seawall_upstream_breaker_state",
    ]);
    POLICY_COUNT_429: Key<bool> = key("policy.count_429", flag(), "false", [
        "Whether a 429 counts against the upstream: for its breaker, its endpoints and the \
         adaptive limit. A 429 is about the caller who asks too often, and the others are not \
         refused for it. Its Retry-After holds for that call either way.",
        "Operators whose upstream says 429 when it is overloaded itself.",
        "seawall_upstream_breaker_changes_total",
    ]);
    POLICY_HEDGE: Key<Part> = key("policy.hedge", part(), r#""off""#, [
        "Whether a second attempt is sent beside one that is slow; the first good answer wins. \
         Only for requests that may be sent twice.",
        "Developers of routes whose slowest answers matter, with several endpoints.",
        "fate ok_hedged; seawall_call_hedges_total",
    ]);
    POLICY_HEDGE_AFTER: Key<After> = key("policy.hedge.after", after(), r#""p95""#, [
        "After how long: \"p95\" for what 95 of 100 attempts stay below, as measured; \"50ms\"; or \
         \"at-once\".",
        "Developers.",
        "seawall_call_hedges_total",
    ]);
    POLICY_HEDGE_MIN: Key<Duration> = key("policy.hedge.min", LIMIT, r#""20ms""#, [
        "The earliest moment for a hedged attempt.",
        "Hardly anyone.",
        "seawall_call_hedges_total",
    ]);
    POLICY_HEDGE_EXTRA: Key<u64> = key("policy.hedge.extra", integer(1, 3), "1", [
        "How many attempts are sent beside the first.",
        "Hardly anyone.",
        "seawall_call_hedges_total",
    ]);
    POLICY_HEDGE_AT_MOST: Key<Share> = key("policy.hedge.at_most", percent(), r#""10%""#, [
        "The share of calls that may be hedged; the retry budget pays for each attempt too.",
        "Operators, downwards, for upstreams that are near their limit.",
        "seawall_call_hedges_total",
    ]);
    POLICY_OUTLIER: Key<Part> = key("policy.outlier", part(), "{}", [
        "Leaves endpoints out for a while that do worse than the others; only with several.",
        "\"off\" by those whose service manager does it.",
        "seawall_upstream_ejections_total",
    ]);
    POLICY_OUTLIER_CONSECUTIVE: Key<u64> =
        key("policy.outlier.consecutive", integer(0, 1_000_000), "5", [
            "How many failures in a row eject an endpoint; 0 for never.",
            "Operators of endpoints with few calls, downwards.",
            "seawall_upstream_ejections_total",
        ]);
    POLICY_OUTLIER_INTERVAL: Key<Duration> = key("policy.outlier.interval", LIMIT, r#""10s""#, [
        "How often the shares of success are compared.",
        "Hardly anyone.",
        "seawall_upstream_ejections_total",
    ]);
    POLICY_OUTLIER_OUT_FOR: Key<Duration> = key("policy.outlier.out_for", LIMIT, r#""30s""#, [
        "How long an endpoint is out the first time; as much longer each further time.",
        "Operators who know how long an endpoint takes to restart.",
        "seawall_upstream_ejections_total",
    ]);
    POLICY_OUTLIER_OUT_MAX: Key<Duration> = key("policy.outlier.out_max", LIMIT, r#""5m""#, [
        "The longest it is out.",
        "Hardly anyone.",
        "seawall_upstream_ejections_total",
    ])
    .follows("never shorter than `out_for`");
    POLICY_OUTLIER_KEEP: Key<Share> = key("policy.outlier.keep", percent(), r#""50%""#, [
        "The share of endpoints that stay in whatever happens; never less than one.",
        "Operators of many small endpoints, upwards.",
        "seawall_upstream_ejections_total",
    ]);
}
