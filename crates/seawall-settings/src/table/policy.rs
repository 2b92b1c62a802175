//! The settings of a policy: time and retries.
//!
//! Does not know: how they are used.

use super::super::keys::{Key, key};
use super::super::value::Kind;
use super::{GROWTHS, JITTERS, LIMIT};

pub(super) const KEYS: &[Key] = &[
    key(
        "policy",
        Kind::Named,
        "",
        [
            "How calls may use an upstream. `standard` is always there; [policy.standard] changes it \
         for everyone.",
            "",
            "",
        ],
    ),
    key(
        "policy.extends",
        Kind::Text("the name of a policy"),
        r#""standard""#,
        [
            "The policy from which everything is taken that is not said here.",
            "Whoever keeps several policies alike.",
            "`seawall config show --origin`",
        ],
    ),
    key(
        "policy.total_timeout",
        LIMIT,
        r#""30s""#,
        [
            "For everything until the answer begins: queue, attempts, waits between them. A client's \
         own deadline only ever shortens it.",
            "Developers, first of all: what the caller of a route is willing to wait.",
            "status 504; fate timed_out",
        ],
    ),
    key(
        "policy.attempt_timeout",
        LIMIT,
        r#""9s""#,
        [
            "For one attempt, until the answer begins.",
            "Developers who know the upstream's slowest good answer.",
            "seawall_call_attempts_ended_total{outcome=\"failure\"}; a retry, or fate timed_out",
        ],
    )
    .follows("nine tenths of `total_timeout`, shared by the attempts; all of it without retry"),
    key(
        "policy.connect_timeout",
        LIMIT,
        r#""2s""#,
        [
            "For opening a connection.",
            "Operators of upstreams on far networks.",
            "seawall_call_attempts_faulted_total{fault=\"timed_out\"}",
        ],
    )
    .follows("never longer than `attempt_timeout`"),
    key(
        "policy.idle_timeout",
        LIMIT,
        r#""15s""#,
        [
            "For a silence within a body.",
            "Developers of streams with long silences.",
            "the client sees a cut body, never a whole one; seawall_gateway_bodies_cut_total{fault=\"timed_out\"}",
        ],
    ),
    key(
        "policy.stream_idle_timeout",
        LIMIT,
        r#""5m""#,
        [
            "For a silence within a stream, in either direction: `text/event-stream`, gRPC, and \
             whatever a route marks with `stream`. A stream has no least speed.",
            "Developers of streams with silences of hours, better with a heartbeat.",
            "the client sees a cut body, never a whole one; seawall_gateway_bodies_cut_total",
        ],
    ),
    key(
        "policy.retry",
        Kind::Part,
        "{}",
        [
            "Whether a failed attempt is made again.",
            "\"off\" by those whose callers retry already.",
            "fate ok_after_retry; seawall_call_retries_total",
        ],
    ),
    key(
        "policy.retry.attempts",
        Kind::Integer { min: 1, max: 20 },
        "3",
        [
            "How many attempts a call makes at most, the first included.",
            "Developers, downwards: more than three rarely help.",
            "seawall_call_retries_total",
        ],
    ),
    key(
        "policy.retry.on",
        Kind::Conditions,
        r#"["connect", "reset", "timeout", "429", "502", "503", "504"]"#,
        [
            "What is worth another attempt. A Retry-After is waited for, if there is time.",
            "Developers whose upstream answers 500 for what passes.",
            "seawall_call_retries_total{reason}",
        ],
    ),
    key(
        "policy.retry.backoff",
        Kind::Range,
        r#""50ms..2s""#,
        [
            "The longest first wait, doubling up to the longest of all; the real wait is drawn \
         between zero and that.",
            "Hardly anyone.",
            "seawall_call_retries_total; total in seawall-outcome",
        ],
    )
    .follows("shorter if it would take more than a tenth of `total_timeout`"),
    key(
        "policy.retry.budget",
        Kind::PercentOrOff,
        r#""20%""#,
        [
            "How many retries an upstream sees at most, as a share of its calls; beyond it the first \
         failure stands. It keeps a sick upstream from being finished off.",
            "Operators, downwards, for upstreams that are near their limit.",
            "seawall_call_retries_denied_total{reason=\"budget\"}",
        ],
    ),
    key(
        "policy.retry.budget_floor",
        Kind::Rate { zero: true },
        r#""10/s""#,
        [
            "How many retries are allowed in any case, so that quiet upstreams have some.",
            "Operators of upstreams with very few calls.",
            "seawall_upstream_retry_budget",
        ],
    ),
    key(
        "policy.retry.any_method",
        Kind::Flag,
        "false",
        [
            "Also repeats requests that are not idempotent (POST, PATCH), even if the upstream may \
         have carried them out.",
            "Developers who know that doing it twice does no harm.",
            "seawall_call_retries_denied_total{reason=\"method\"} stays at zero",
        ],
    ),
    key(
        "policy.retry.idempotency_key",
        Kind::Flag,
        "false",
        [
            "Repeats any request that carries an Idempotency-Key header.",
            "Developers whose upstream honours the header.",
            "seawall_call_retries_denied_total{reason=\"method\"}",
        ],
    ),
    key(
        "policy.retry.replay_buffer",
        Kind::Size { min: "0B", max: "64MiB" },
        r#""64KiB""#,
        [
            "How many bytes of a request's body are kept for another attempt; longer bodies are sent \
         once.",
            "Developers of larger idempotent uploads.",
            "seawall_call_retries_denied_total{reason=\"body\"}",
        ],
    ),
    key(
        "policy.retry.jitter",
        Kind::Choice(JITTERS),
        r#""full""#,
        [
            "How waits are spread: full (anything up to the end), equal (the upper half), decorrelated \
         (AWS), smooth (Polly's), quarter (a quarter more or less), none.",
            "Those who come from another library and want its waits.",
            "seawall_call_retries_total; total in seawall-outcome",
        ],
    ),
    key(
        "policy.retry.growth",
        Kind::Choice(GROWTHS),
        r#""exponential""#,
        [
            "How waits grow from one retry to the next.",
            "Those who come from another library and want its waits.",
            "seawall_call_retries_total; total in seawall-outcome",
        ],
    ),
    key(
        "policy.retry.budget_in_flight",
        Kind::Percent,
        r#""20%""#,
        [
            "How many retries are under way at once, as a share of the attempts in flight; ten are \
         always allowed. It bounds what a thousand calls that fail together do.",
            "Hardly anyone.",
            "seawall_call_retries_denied_total{reason=\"in_flight\"}",
        ],
    ),
];
