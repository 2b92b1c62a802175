//! The settings of a policy: how many at once, which first, how often.
//!
//! Does not know: how they are used.

use super::super::keys::{Key, key};
use super::super::value::Kind;
use super::{ORDERS, RATES};

pub(super) const KEYS: &[Key] = &[
    key(
        "policy.limit",
        Kind::Part,
        "{}",
        [
            "How many attempts run at once, so that a slow upstream cannot take everything.",
            "\"off\" by those whose upstream limits itself.",
            "fate rejected_bulkhead; status 503; seawall_upstream_in_flight",
        ],
    ),
    key(
        "policy.limit.in_flight",
        Kind::Integer { min: 1, max: 1_000_000 },
        "10000",
        [
            "The most attempts that run at once; with `adaptive` the limit is learned up to this \
         number.",
            "Operators who know what the upstream can work on at once.",
            "seawall_upstream_in_flight",
        ],
    )
    .follows("256 where `adaptive` is off"),
    key(
        "policy.limit.queue",
        Kind::Integer { min: 0, max: 1_000_000 },
        "10000",
        [
            "How many more may wait for a place.",
            "Operators, together with `in_flight`.",
            "seawall_upstream_waiting",
        ],
    )
    .follows("256 where `adaptive` is off"),
    key(
        "policy.limit.queue_wait",
        Kind::Duration { min: "1ms", max: "1h" },
        r#""5s""#,
        [
            "The longest wait in the queue. With `adaptive`, a call waits only as long as its caller \
         would, less the usual time of an answer; without, at most a fifth of what is left of its \
         deadline.",
            "Hardly anyone: a queue that is longer than its callers' patience only adds load.",
            "fate rejected_bulkhead; seawall_call_queue_wait_seconds",
        ],
    )
    .follows("100ms where `adaptive` is off; never longer than `total_timeout`"),
    key(
        "policy.limit.order",
        Kind::Choice(ORDERS),
        r#""adaptive""#,
        [
            "Who is next in the queue, among those of the same priority: the oldest; with `adaptive` \
         the newest, while the oldest has waited for more than half of the longest wait.",
            "Hardly anyone.",
            "seawall_call_queue_wait_seconds",
        ],
    )
    .follows("`fifo` where `queue_wait` is set"),
    key(
        "policy.limit.holds_abandoned",
        Kind::Flag,
        "true",
        [
            "Whether an attempt that its client left keeps its place, because the upstream may still \
         work on it: until an attempt that began later is answered, or its own time is over.",
            "Operators of upstreams that are known to notice a closed connection.",
            "seawall_upstream_ghosts",
        ],
    )
    .follows("`false` where `adaptive` is off"),
    key(
        "policy.adaptive",
        Kind::Part,
        "{}",
        [
            "Learns how many attempts may run at once from how long they take, up to \
         `limit.in_flight`, and how long callers wait from those who leave.",
            "\"off\" by those who want no limit but `limit.in_flight`.",
            "seawall_upstream_in_flight_max; seawall_upstream_limit_changes_total",
        ],
    )
    .follows("\"off\" where `limit.in_flight` is set and this is not"),
    key(
        "policy.adaptive.initial",
        Kind::Integer { min: 1, max: 1_000_000 },
        "100",
        [
            "How many places there are before anything is known.",
            "Operators of very small upstreams, downwards.",
            "seawall_upstream_in_flight_max",
        ],
    )
    .follows("never more than `limit.in_flight`"),
    key(
        "policy.adaptive.min",
        Kind::Integer { min: 1, max: 1_000_000 },
        "1",
        ["The fewest places.", "Hardly anyone.", "seawall_upstream_in_flight_max"],
    )
    .follows("never more than `initial`"),
    key(
        "policy.shed",
        Kind::Part,
        r#""off""#,
        [
            "Refuses calls of low priority first when this process has too much to do, and keeps some \
         places of the upstream for the others.",
            "Operators, together with `route.priority`.",
            "fate rejected_shed; seawall_call_shed_total",
        ],
    ),
    key(
        "policy.shed.low",
        Kind::Percent,
        r#""80%""#,
        [
            "The load of this process from which low priority is shed.",
            "Operators.",
            "seawall_call_shed_total",
        ],
    ),
    key(
        "policy.shed.normal",
        Kind::Percent,
        r#""90%""#,
        ["The load from which normal priority is shed.", "Operators.", "seawall_call_shed_total"],
    ),
    key(
        "policy.shed.high",
        Kind::Percent,
        r#""95%""#,
        [
            "The load from which high priority is shed; critical never is.",
            "Operators.",
            "seawall_call_shed_total",
        ],
    ),
    key(
        "policy.shed.low_places",
        Kind::Percent,
        r#""80%""#,
        [
            "The share of the upstream's places that low priority may take.",
            "Operators.",
            "seawall_call_shed_total{reason=\"places\"}",
        ],
    ),
    key(
        "policy.rate",
        Kind::Part,
        r#""off""#,
        [
            "How many calls start in a second.",
            "Operators of upstreams that count calls (a paid API, a small database).",
            "fate rejected_rate; status 429 with Retry-After",
        ],
    ),
    key(
        "policy.rate.limit",
        Kind::Rate { zero: false },
        "",
        [
            "How many calls start in a second, minute or hour.",
            "Operators: what the upstream allows.",
            "seawall_call_rejected_total",
        ],
    )
    .required(r#""500/s""#),
    key(
        "policy.rate.burst",
        Kind::Integer { min: 1, max: 1_000_000 },
        "",
        [
            "How many may start at once after a quiet time.",
            "Operators whose upstream counts in longer spans.",
            "seawall_call_rejected_total",
        ],
    )
    .follows("what `limit` allows in a second, at least 1")
    .example("50"),
    key(
        "policy.rate.kind",
        Kind::Choice(RATES),
        r#""token-bucket""#,
        [
            "How calls are counted: smoothly with a burst, in windows that begin anew, or in a window \
         that slides.",
            "Operators whose upstream counts in windows itself.",
            "seawall_call_rejected_total; the RateLimit headers",
        ],
    ),
    key(
        "policy.rate.window",
        Kind::Duration { min: "10ms", max: "48h" },
        r#""1s""#,
        [
            "The length of a window; it holds what `limit` allows in so long.",
            "Operators, together with `kind`.",
            "the RateLimit-Policy header",
        ],
    ),
    key(
        "policy.rate.key",
        Kind::Key,
        r#""upstream""#,
        [
            "What is counted apart: nothing (\"upstream\"), each client address (\"client\"), each \
             value of a header (\"header:x-api-key\"), or each value of a claim of the token that a \
             trusted proxy has checked (\"claim:sub\").",
            "Operators who want no client to take another's share.",
            "status 429 for one client alone",
        ],
    ),
    key(
        "policy.rate.keys",
        Kind::Integer { min: 16, max: 10_000_000 },
        "10000",
        [
            "How many callers are remembered; past that those that have not come for longest are \
         forgotten.",
            "Operators of very many clients.",
            "seawall_runtime_resident_bytes",
        ],
    ),
];
