//! The settings of a policy: time and retries.
//!
//! Does not know: how they are used.

use std::time::Duration;

use seawall_policy::backoff::{Growth, Jitter};
use seawall_policy::retry::On;

use super::super::key::{Key, key, named};
use super::super::typed::{
    Bytes, Part, Rate, Share, ShareOrOff, Span, Table, Text, choice, conditions, flag, integer,
    part, percent, percent_or_off, range, rate, size, text,
};
use super::LIMIT;

const RETRIED: &str = r#"["connect", "reset", "timeout", "429", "502", "503", "504"]"#;

keys! {
    POLICY_ROWS;

    POLICY: Key<Table> = named(
        "policy",
        "How calls may use an upstream. `standard` is always there; [policy.standard] changes it \
         for everyone.",
    );
    POLICY_EXTENDS: Key<Text> =
        key("policy.extends", text("the name of a policy"), r#""standard""#, [
            "The policy from which everything is taken that is not said here.",
            "Whoever keeps several policies alike.",
            "`seawall config show --origin`",
        ]);
    POLICY_TOTAL_TIMEOUT: Key<Duration> = key("policy.total_timeout", LIMIT, r#""30s""#, [
        "The time for a whole call until the answer begins: queue, attempts, and the waits between \
         them. A client's own deadline only ever shortens it.",
        "Developers, first of all: what the caller of a route is willing to wait.",
        "status 504; fate timed_out",
    ]);
    POLICY_ATTEMPT_TIMEOUT: Key<Duration> = key("policy.attempt_timeout", LIMIT, r#""9s""#, [
        "The time for one attempt, until the answer begins.",
        "Developers who know the upstream's slowest good answer.",
        "seawall_call_attempts_ended_total{outcome=\"failure\"}; a retry, or fate timed_out",
    ])
    .follows("nine tenths of `total_timeout`, shared by the attempts; all of it without retry");
    POLICY_CONNECT_TIMEOUT: Key<Duration> = key("policy.connect_timeout", LIMIT, r#""2s""#, [
        "The time for opening a connection.",
        "Operators of upstreams on far networks.",
        "seawall_call_attempts_faulted_total{fault=\"timed_out\"}",
    ])
    .follows("never longer than `attempt_timeout`");
    POLICY_IDLE_TIMEOUT: Key<Duration> = key("policy.idle_timeout", LIMIT, r#""15s""#, [
        "How long a body may be silent.",
        "Developers of streams with long silences.",
        "the client sees a cut body, never a whole one; \
         seawall_gateway_bodies_cut_total{fault=\"timed_out\"}",
    ]);
    POLICY_STREAM_IDLE_TIMEOUT: Key<Duration> =
        key("policy.stream_idle_timeout", LIMIT, r#""5m""#, [
            "How long a stream may be silent, in either direction: `text/event-stream`, gRPC, and \
             whatever a route marks with `stream`. A stream has no least speed.",
            "Developers of streams with silences of hours, better with a heartbeat.",
            "the client sees a cut body, never a whole one; seawall_gateway_bodies_cut_total",
        ]);
    POLICY_RETRY: Key<Part> = key("policy.retry", part(), "{}", [
        "Whether a failed attempt is made again.",
        "\"off\" by those whose callers retry already.",
        "fate ok_after_retry; seawall_call_retries_total",
    ]);
    POLICY_RETRY_ATTEMPTS: Key<u64> = key("policy.retry.attempts", integer(1, 20), "3", [
        "How many attempts a call makes at most, the first included.",
        "Developers, downwards: more than three rarely help.",
        "seawall_call_retries_total",
    ]);
    POLICY_RETRY_ON: Key<On> =
        key("policy.retry.on", conditions(), RETRIED, [
            "What is worth another attempt. A Retry-After is waited for, if there is time.",
            "Developers whose upstream answers 500 for what passes.",
            "seawall_call_retries_total{reason}",
        ]);
    POLICY_RETRY_BACKOFF: Key<Span> = key("policy.retry.backoff", range(), r#""50ms..2s""#, [
        "The longest first wait, doubling up to the longest of all; the real wait is drawn between \
         zero and that.",
        "Hardly anyone.",
        "seawall_call_retries_total; total in seawall-outcome",
    ])
    .follows("shorter if it would take more than a tenth of `total_timeout`");
    POLICY_RETRY_BUDGET: Key<ShareOrOff> =
        key("policy.retry.budget", percent_or_off(), r#""20%""#, [
            "How many retries an upstream sees at most, as a share of its calls; beyond it the \
             first failure stands. It keeps a sick upstream from being finished off.",
            "Operators, downwards, for upstreams that are near their limit.",
            "seawall_call_retries_denied_total{reason=\"budget\"}",
        ]);
    POLICY_RETRY_BUDGET_FLOOR: Key<Rate> =
        key("policy.retry.budget_floor", rate(true), r#""10/s""#, [
            "How many retries are allowed in any case, so that quiet upstreams have some.",
            "Operators of upstreams with very few calls.",
            "seawall_upstream_retry_budget",
        ]);
    POLICY_RETRY_ANY_METHOD: Key<bool> = key("policy.retry.any_method", flag(), "false", [
        "Also repeats requests that are not idempotent (POST, PATCH), even if the upstream may \
         have carried them out.",
        "Developers who know that doing it twice does no harm.",
        "seawall_call_retries_denied_total{reason=\"method\"} stays at zero",
    ]);
    POLICY_RETRY_IDEMPOTENCY_KEY: Key<bool> = key("policy.retry.idempotency_key", flag(), "false", [
        "Repeats any request that carries an Idempotency-Key header.",
        "Developers whose upstream honours the header.",
        "seawall_call_retries_denied_total{reason=\"method\"}",
    ]);
    POLICY_RETRY_REPLAY_BUFFER: Key<Bytes> =
        key("policy.retry.replay_buffer", size("0B", "64MiB"), r#""64KiB""#, [
            "How many bytes of a request's body are kept for another attempt; longer bodies are \
             sent once.",
            "Developers of larger idempotent uploads.",
            "seawall_call_retries_denied_total{reason=\"body\"}",
        ]);
    POLICY_RETRY_JITTER: Key<Jitter> = key("policy.retry.jitter", choice(), r#""full""#, [
        "How waits are spread: full (anything up to the end), equal (the upper half), decorrelated \
         (AWS), smooth (Polly's), quarter (a quarter more or less), none.",
        "Those who come from another library and want its waits.",
        "seawall_call_retries_total; total in seawall-outcome",
    ]);
    POLICY_RETRY_GROWTH: Key<Growth> = key("policy.retry.growth", choice(), r#""exponential""#, [
        "How waits grow from one retry to the next.",
        "Those who come from another library and want its waits.",
        "seawall_call_retries_total; total in seawall-outcome",
    ]);
    POLICY_RETRY_BUDGET_IN_FLIGHT: Key<Share> =
        key("policy.retry.budget_in_flight", percent(), r#""20%""#, [
            "How many retries are under way at once, as a share of the attempts in flight; ten are \
             always allowed. It bounds what a thousand calls that fail together do.",
            "Hardly anyone.",
            "seawall_call_retries_denied_total{reason=\"in_flight\"}",
        ]);
}
