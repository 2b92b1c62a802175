//! The settings of a policy: how many at once, which first, how often.
//!
//! Does not know: how they are used.

use std::time::Duration;

use seawall_policy::bulkhead::QueueOrder;

use super::super::key::{Key, key, optional};
use super::super::policy_words::RateKind;
use super::super::typed::{
    Part, Rate, Share, Text, caller, choice, duration, flag, integer, part, percent, rate,
};

keys! {
    LOAD_ROWS;

    POLICY_LIMIT: Key<Part> = key("policy.limit", part(), "{}", [
        "How many attempts run at once, so that a slow upstream cannot take everything.",
        "\"off\" by those whose upstream limits itself.",
        "fate rejected_bulkhead; status 503; seawall_upstream_in_flight",
    ]);
    POLICY_LIMIT_IN_FLIGHT: Key<u64> =
        key("policy.limit.in_flight", integer(1, 1_000_000), "10000", [
            "The most attempts that run at once; with `adaptive` the limit is learned up to this \
             number.",
            "Operators who know what the upstream can work on at once.",
            "seawall_upstream_in_flight",
        ])
        .follows("256 where `adaptive` is off");
    POLICY_LIMIT_QUEUE: Key<u64> = key("policy.limit.queue", integer(0, 1_000_000), "10000", [
        "How many more attempts may wait for a place.",
        "Operators, together with `in_flight`.",
        "seawall_upstream_waiting",
    ])
    .follows("256 where `adaptive` is off");
    POLICY_LIMIT_QUEUE_WAIT: Key<Duration> =
        key("policy.limit.queue_wait", duration("1ms", "1h"), r#""5s""#, [
            "The longest wait in the queue. With `adaptive`, a call waits only as long as its \
             caller would, less the usual time of an answer; without, at most a fifth of what is \
             left of its deadline.",
            "Hardly anyone: a queue that is longer than its callers' patience only adds load.",
            "fate rejected_bulkhead; seawall_call_queue_wait_seconds",
        ])
        .follows("100ms where `adaptive` is off; never longer than `total_timeout`");
    POLICY_LIMIT_ORDER: Key<QueueOrder> = key("policy.limit.order", choice(), r#""adaptive""#, [
        "Who is next in the queue, among those of the same priority: the oldest; with `adaptive` \
         the newest, while the oldest has waited for more than half of the longest wait.",
        "Hardly anyone.",
        "seawall_call_queue_wait_seconds",
    ])
    .follows("`fifo` where `queue_wait` is set");
    POLICY_LIMIT_HOLDS_ABANDONED: Key<bool> = key("policy.limit.holds_abandoned", flag(), "true", [
        "Whether an attempt that its client left keeps its place, because the upstream may still \
         work on it: until an attempt that began later is answered, or its own time is over.",
        "Operators of upstreams that are known to notice a closed connection.",
        "seawall_upstream_ghosts",
    ])
    .follows("`false` where `adaptive` is off");
    POLICY_ADAPTIVE: Key<Part> = key("policy.adaptive", part(), "{}", [
        "Learns how many attempts may run at once from how long they take, up to \
         `limit.in_flight`, and how long callers wait from those who leave.",
        "\"off\" by those who want no limit but `limit.in_flight`.",
        "seawall_upstream_in_flight_max; seawall_upstream_limit_changes_total",
    ])
    .follows("\"off\" where `limit.in_flight` is set and this is not");
    POLICY_ADAPTIVE_INITIAL: Key<u64> =
        key("policy.adaptive.initial", integer(1, 1_000_000), "100", [
            "How many places there are before anything is known.",
            "Operators of very small upstreams, downwards.",
            "seawall_upstream_in_flight_max",
        ])
        .follows("never more than `limit.in_flight`");
    POLICY_ADAPTIVE_MIN: Key<u64> = key("policy.adaptive.min", integer(1, 1_000_000), "1", [
        "The lowest that the limit may go.",
        "Hardly anyone.",
        "seawall_upstream_in_flight_max",
    ])
    .follows("never more than `initial`");
    POLICY_SHED: Key<Part> = key("policy.shed", part(), r#""off""#, [
        "Refuses calls of low priority first when this process has too much to do, and keeps some \
         places of the upstream for the others.",
        "Operators, together with `route.priority`.",
        "fate rejected_shed; seawall_call_shed_total",
    ]);
    POLICY_SHED_LOW: Key<Share> = key("policy.shed.low", percent(), r#""80%""#, [
        "The load of this process from which low priority is shed.",
        "Operators.",
        "seawall_call_shed_total",
    ]);
    POLICY_SHED_NORMAL: Key<Share> = key("policy.shed.normal", percent(), r#""90%""#, [
        "The load from which normal priority is shed.",
        "Operators.",
        "seawall_call_shed_total",
    ]);
    POLICY_SHED_HIGH: Key<Share> = key("policy.shed.high", percent(), r#""95%""#, [
        "The load from which high priority is shed; critical never is.",
        "Operators.",
        "seawall_call_shed_total",
    ]);
    POLICY_SHED_LOW_PLACES: Key<Share> = key("policy.shed.low_places", percent(), r#""80%""#, [
        "The share of the upstream's places that low priority may take.",
        "Operators.",
        "seawall_call_shed_total{reason=\"places\"}",
    ]);
    POLICY_RATE: Key<Part> = key("policy.rate", part(), r#""off""#, [
        "How many calls start in a second.",
        "Operators of upstreams that count calls (a paid API, a small database).",
        "fate rejected_rate; status 429 with Retry-After",
    ]);
    POLICY_RATE_LIMIT: Key<Option<Rate>> = optional("policy.rate.limit", rate(false), [
        "How many calls start in a second, minute or hour.",
        "Operators: what the upstream allows.",
        "seawall_call_rejected_total",
    ])
    .required(r#""500/s""#);
    POLICY_RATE_BURST: Key<Option<u64>> = optional("policy.rate.burst", integer(1, 1_000_000), [
        "How many may start at once after a quiet time.",
        "Operators whose upstream counts in longer spans.",
        "seawall_call_rejected_total",
    ])
    .follows("what `limit` allows in a second, at least 1")
    .example("50");
    POLICY_RATE_KIND: Key<RateKind> = key("policy.rate.kind", choice(), r#""token-bucket""#, [
        "How calls are counted: smoothly with a burst, in windows that begin anew, or in a window \
         that slides.",
        "Operators whose upstream counts in windows itself.",
        "seawall_call_rejected_total; the RateLimit headers",
    ]);
    POLICY_RATE_WINDOW: Key<Duration> =
        key("policy.rate.window", duration("10ms", "48h"), r#""1s""#, [
            "The length of a window; it holds what `limit` allows in so long.",
            "Operators, together with `kind`.",
            "the RateLimit-Policy header",
        ]);
    POLICY_RATE_KEY: Key<Text> = key("policy.rate.key", caller(), r#""upstream""#, [
        "What is counted apart: nothing (\"upstream\"), each client address (\"client\"), each \
         value of a header (\"header:x-api-key\"), or each value of a claim of the token that a \
         trusted proxy has checked (\"claim:sub\").",
        "Operators who want no client to take another's share.",
        "status 429 for one client alone",
    ]);
    POLICY_RATE_KEYS: Key<u64> = key("policy.rate.keys", integer(16, 10_000_000), "10000", [
        "How many callers are remembered; past that those that have not come for longest are \
         forgotten.",
        "Operators of very many clients.",
        "seawall_runtime_resident_bytes",
    ]);
}
