//! The one table of settings.
//!
//! Does not know: how it is used. Whoever adds a setting says here what it is, who changes it and
//! when, and what shows that it works.

use super::keys::{Key, key};
use super::value::Kind;

const WAIT: Kind = Kind::Duration { min: "10ms", max: "1h" };
const LIMIT: Kind = Kind::Duration { min: "1ms", max: "24h" };
const HOW_LARGE: Kind = Kind::Size { min: "0B", max: "1024GiB" };

/// All settings, in the order in which they are explained.
pub const KEYS: &[Key] = &[
    key("version", Kind::Integer { min: 1, max: 1 }, "1", [
        "The version of the form of this file.",
        "Nobody yet: there is one version.",
        "`seawall config show`",
    ]),
    key("server", Kind::Table, "", ["The port for clients.", "", ""]),
    key("server.listen", Kind::Listen, r#""127.0.0.1:8080""#, [
        "Where clients connect.",
        "Operators, to open the gateway to a network: \"0.0.0.0:8080\".",
        "the first line that `seawall run` prints",
    ]),
    key("server.drain", Kind::Duration { min: "0s", max: "1h" }, r#""10s""#, [
        "How long a stop waits for what is in flight, before connections are cut.",
        "Operators, to stay below the grace of their service manager (Kubernetes: 30 s).",
        "exit code 0 if everything finished, 1 if connections had to be cut",
    ]),
    key("server.outcome_header", Kind::Flag, "true", [
        "Whether answers carry a `seawall-outcome` header that says what the policy did.",
        "Operators who do not want clients to see upstream names.",
        "`curl -i` on any route",
    ]),
    key("server.trusted_proxies", Kind::Networks, "[]", [
        "Proxies in front of Seawall whose X-Forwarded-* and Forwarded headers are believed; \
         everyone else's are replaced.",
        "Operators who put a load balancer in front.",
        "the X-Forwarded-For that the upstream receives",
    ])
    .example(r#"["10.0.0.0/8"]"#),
    key("server.limits", Kind::Table, "", [
        "What clients may send, and how slowly. The defaults are safe on an open network.",
        "",
        "",
    ]),
    key("server.limits.line", Kind::Size { min: "256B", max: "64KiB" }, r#""8KiB""#, [
        "The bytes of a request line.",
        "Developers whose URLs carry long queries.",
        "status 414; seawall_gateway_requests_refused_total{reason=\"line_too_long\"}",
    ]),
    key("server.limits.head", Kind::Size { min: "1KiB", max: "1MiB" }, r#""32KiB""#, [
        "The bytes of a request's head, its line included.",
        "Developers whose clients send large cookies.",
        "status 431; seawall_gateway_requests_refused_total",
    ]),
    key("server.limits.headers", Kind::Integer { min: 8, max: 1000 }, "100", [
        "How many headers a request may have.",
        "Hardly anyone.",
        "status 431; seawall_gateway_requests_refused_total",
    ]),
    key("server.limits.body", HOW_LARGE, r#""10MiB""#, [
        "The bytes of a request's body, on routes that say nothing else.",
        "Developers of uploads; better with `route.body` on the one route.",
        "status 413; seawall_gateway_requests_refused_total",
    ]),
    key("server.limits.first_byte_timeout", WAIT, r#""10s""#, [
        "From a connection to its first byte.",
        "Operators under attack by empty connections.",
        "seawall_gateway_connections_closed_total",
    ]),
    key("server.limits.head_timeout", WAIT, r#""10s""#, [
        "From the first byte of a request's head to its last.",
        "Operators under attack by slow heads.",
        "status 408; seawall_gateway_requests_refused_total",
    ]),
    key("server.limits.body_rate", Kind::Speed, r#""240B/s""#, [
        "The speed below which a request's body is cut, once `body_grace` has passed.",
        "Operators of clients on very slow lines; \"0B/s\" switches it off.",
        "status 408; seawall_gateway_requests_refused_total",
    ]),
    key("server.limits.body_grace", WAIT, r#""5s""#, [
        "How long a request's body may be as slow as it likes.",
        "Operators of clients on very slow lines.",
        "status 408; seawall_gateway_requests_refused_total",
    ]),
    key("server.limits.write_stall_timeout", WAIT, r#""30s""#, [
        "How long a client may leave an answer unread.",
        "Operators of long downloads to slow clients.",
        "seawall_gateway_connections_closed_total",
    ]),
    key("server.limits.keep_alive_timeout", WAIT, r#""1m""#, [
        "How long a connection may be idle between requests.",
        "Operators behind a load balancer: keep it above the balancer's own.",
        "seawall_gateway_connections_closed_total",
    ]),
    key("server.limits.keep_alive_requests", Kind::Integer { min: 1, max: 1_000_000_000 }, "1000", [
        "How many requests one connection may carry; then clients spread anew.",
        "Operators behind a load balancer that holds few connections.",
        "`Connection: close` on the last answer",
    ]),
    key("server.limits.connections", Kind::Integer { min: 1, max: 1_000_000 }, "16384", [
        "How many clients may be connected. Lowered at start if the file limit is.",
        "Operators, together with `ulimit -n`.",
        "seawall_gateway_connections_refused_total",
    ]),
    key(
        "server.limits.connections_per_address",
        Kind::Integer { min: 1, max: 1_000_000 },
        "16384",
        [
            "How many of them from one address.",
            "Operators on an open network, without a load balancer in front.",
            "seawall_gateway_connections_refused_total",
        ],
    )
    .follows("as many as `connections`"),
    key("server.limits.streams", Kind::Integer { min: 1, max: 10_000 }, "100", [
        "How many requests an HTTP/2 connection may have open.",
        "Hardly anyone.",
        "the SETTINGS frame of a connection",
    ]),
    key("admin", Kind::Table, "", ["The port for status and metrics.", "", ""]),
    key("admin.listen", Kind::Listen, r#""127.0.0.1:9090""#, [
        "Where status, /metrics, /healthz and /readyz are. Beyond this machine only with a token.",
        "Operators whose metrics are scraped from elsewhere.",
        "the first lines that `seawall run` prints",
    ]),
    key("admin.token", Kind::Secret, "", [
        "What a caller must show (`Authorization: Bearer …`). It stays in the environment.",
        "Operators who open the admin port to a network.",
        "401 without it",
    ])
    .example(r#"{ env = "SEAWALL_ADMIN_TOKEN" }"#),
    key("policy", Kind::Named, "", [
        "How calls may use an upstream. `standard` is always there; [policy.standard] changes it \
         for everyone.",
        "",
        "",
    ]),
    key("policy.extends", Kind::Text("the name of a policy"), r#""standard""#, [
        "The policy from which everything is taken that is not said here.",
        "Whoever keeps several policies alike.",
        "`seawall config show --origin`",
    ]),
    key("policy.total_timeout", LIMIT, r#""30s""#, [
        "For everything until the answer begins: queue, attempts, waits between them. A client's \
         own deadline only ever shortens it.",
        "Developers, first of all: what the caller of a route is willing to wait.",
        "status 504; fate timed_out",
    ]),
    key("policy.attempt_timeout", LIMIT, r#""9s""#, [
        "For one attempt, until the answer begins.",
        "Developers who know the upstream's slowest good answer.",
        "seawall_call_attempts_ended_total{outcome=\"failure\"}; a retry, or fate timed_out",
    ])
    .follows("nine tenths of `total_timeout`, shared by the attempts; all of it without retry"),
    key("policy.connect_timeout", LIMIT, r#""2s""#, [
        "For opening a connection.",
        "Operators of upstreams on far networks.",
        "seawall_call_attempts_faulted_total{step=\"connect\"}",
    ])
    .follows("never longer than `attempt_timeout`"),
    key("policy.idle_timeout", LIMIT, r#""15s""#, [
        "For a silence within a body.",
        "Developers of streams with long silences.",
        "the client sees a cut body, never a whole one; seawall_gateway_bodies_cut_total",
    ]),
    key("policy.retry", Kind::Part, "{}", [
        "Whether a failed attempt is made again.",
        "\"off\" by those whose callers retry already.",
        "fate ok_after_retry; seawall_call_retries_total",
    ]),
    key("policy.retry.attempts", Kind::Integer { min: 1, max: 20 }, "3", [
        "How many attempts a call makes at most, the first included.",
        "Developers, downwards: more than three rarely help.",
        "seawall_call_retries_total",
    ]),
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
    key("policy.retry.backoff", Kind::Range, r#""50ms..2s""#, [
        "The longest first wait, doubling up to the longest of all; the real wait is drawn \
         between zero and that.",
        "Hardly anyone.",
        "seawall_call_retries_total; total in seawall-outcome",
    ])
    .follows("shorter if it would take more than a tenth of `total_timeout`"),
    key("policy.retry.budget", Kind::PercentOrOff, r#""20%""#, [
        "How many retries an upstream sees at most, as a share of its calls; beyond it the first \
         failure stands. It keeps a sick upstream from being finished off.",
        "Operators, downwards, for upstreams that are near their limit.",
        "seawall_call_retries_denied_total{why=\"budget\"}",
    ]),
    key("policy.retry.budget_floor", Kind::Rate { zero: true }, r#""10/s""#, [
        "How many retries are allowed in any case, so that quiet upstreams have some.",
        "Operators of upstreams with very few calls.",
        "seawall_upstream_retry_budget",
    ]),
    key("policy.retry.any_method", Kind::Flag, "false", [
        "Also repeats requests that are not idempotent (POST, PATCH), even if the upstream may \
         have carried them out.",
        "Developers who know that doing it twice does no harm.",
        "seawall_call_retries_denied_total{why=\"method\"} stays at zero",
    ]),
    key("policy.retry.idempotency_key", Kind::Flag, "false", [
        "Repeats any request that carries an Idempotency-Key header.",
        "Developers whose upstream honours the header.",
        "seawall_call_retries_denied_total{why=\"method\"}",
    ]),
    key("policy.retry.replay_buffer", Kind::Size { min: "0B", max: "64MiB" }, r#""64KiB""#, [
        "How many bytes of a request's body are kept for another attempt; longer bodies are sent \
         once.",
        "Developers of larger idempotent uploads.",
        "seawall_call_retries_denied_total{why=\"body\"}",
    ]),
    key("policy.breaker", Kind::Part, "{}", [
        "When an upstream is no longer called, and how it is tried again.",
        "\"off\" by those who have only one upstream and no better answer without it.",
        "fate rejected_breaker; status 503 with Retry-After; seawall_upstream_breaker_state",
    ]),
    key("policy.breaker.failures", Kind::Percent, r#""50%""#, [
        "Opens at this share of failed attempts.",
        "Operators, after looking at the upstream's usual failures.",
        "seawall_upstream_breaker_changes_total",
    ]),
    key("policy.breaker.of_at_least", Kind::Integer { min: 1, max: 1_000_000 }, "20", [
        "But only if so many attempts ended within the window.",
        "Operators of upstreams with few calls, downwards.",
        "seawall_upstream_breaker_changes_total",
    ]),
    key("policy.breaker.window", Kind::Duration { min: "100ms", max: "48h" }, r#""20s""#, [
        "The time over which attempts are counted.",
        "Operators of upstreams with few calls, upwards.",
        "seawall_upstream_breaker_changes_total",
    ])
    .follows("at least twice `attempt_timeout`, or hung attempts are forgotten before they count"),
    key("policy.breaker.consecutive", Kind::Integer { min: 0, max: 1_000_000 }, "10", [
        "Also opens after so many failures in a row; 0 for never.",
        "Operators of upstreams with few calls, downwards.",
        "seawall_upstream_breaker_changes_total",
    ]),
    key("policy.breaker.open_for", LIMIT, r#""5s""#, [
        "How long it stays open the first time; doubles while probes fail.",
        "Operators who know how long the upstream takes to restart.",
        "Retry-After of the refusals",
    ]),
    key("policy.breaker.open_max", LIMIT, r#""1m""#, [
        "The longest it stays open.",
        "Hardly anyone.",
        "Retry-After of the refusals",
    ])
    .follows("never shorter than `open_for`"),
    key("policy.breaker.probes", Kind::Integer { min: 1, max: 1000 }, "3", [
        "How many probes must succeed before it closes; no more run at once.",
        "Hardly anyone.",
        "seawall_upstream_breaker_state",
    ]),
    key("policy.limit", Kind::Part, "{}", [
        "How many attempts run at once, so that a slow upstream cannot take everything.",
        "\"off\" by those whose upstream limits itself.",
        "fate rejected_bulkhead; status 503; seawall_upstream_in_flight",
    ]),
    key("policy.limit.in_flight", Kind::Integer { min: 1, max: 1_000_000 }, "256", [
        "How many attempts run at once.",
        "Operators: what the upstream can really work on at once.",
        "seawall_upstream_in_flight",
    ]),
    key("policy.limit.queue", Kind::Integer { min: 0, max: 1_000_000 }, "256", [
        "How many more may wait for a place.",
        "Operators, together with `in_flight`.",
        "seawall_upstream_waiting",
    ]),
    key("policy.limit.queue_wait", Kind::Duration { min: "1ms", max: "1h" }, r#""100ms""#, [
        "How long each may wait; never longer than a fifth of what is left of its deadline.",
        "Hardly anyone: a queue that is longer than its callers' patience only adds load.",
        "fate rejected_bulkhead; seawall_call_queue_wait_seconds",
    ])
    .follows("never longer than `total_timeout`"),
    key("policy.rate", Kind::Part, r#""off""#, [
        "How many calls start in a second.",
        "Operators of upstreams that count calls (a paid API, a small database).",
        "fate rejected_rate; status 429 with Retry-After",
    ]),
    key("policy.rate.limit", Kind::Rate { zero: false }, "", [
        "How many calls start in a second, minute or hour.",
        "Operators: what the upstream allows.",
        "seawall_call_rejected_total",
    ])
    .required(r#""500/s""#),
    key("policy.rate.burst", Kind::Integer { min: 1, max: 1_000_000 }, "", [
        "How many may start at once after a quiet time.",
        "Operators whose upstream counts in longer spans.",
        "seawall_call_rejected_total",
    ])
    .follows("what `limit` allows in a second, at least 1")
    .example("50"),
    key("upstream", Kind::Named, "", ["A service that routes call.", "", ""]),
    key("upstream.url", Kind::Text("http://host:port in quotes"), "", [
        "Where it is: http://host:port[/base], or sim:NAME for a simulated one.",
        "Operators, for each place they run in.",
        "`seawall check --connect`",
    ])
    .required(r#""http://10.0.0.7:7001""#),
    key("upstream.policy", Kind::Text("the name of a policy"), r#""standard""#, [
        "How calls may use it. State (breaker, budget, places) belongs to the upstream, whatever \
         the policy.",
        "Developers.",
        "`seawall routes`",
    ]),
    key("upstream.http2", Kind::Flag, "false", [
        "Speaks HTTP/2 with prior knowledge instead of HTTP/1.1.",
        "Operators of upstreams that speak it (gRPC).",
        "the upstream's own log",
    ]),
    key("upstream.idle_connections", Kind::Integer { min: 0, max: 65_536 }, "256", [
        "How many idle connections are kept open, for each processor.",
        "Operators of upstreams that pay for each connection.",
        "`ss -tn` towards the upstream",
    ]),
    key("upstream.idle_connection_timeout", WAIT, r#""30s""#, [
        "How long an idle connection is kept. Less than the upstream's own keep-alive time.",
        "Operators of upstreams that close early.",
        "seawall_call_attempts_faulted_total{cause=\"reset\"}",
    ]),
    key("upstream.body_rate", Kind::Speed, r#""240B/s""#, [
        "The speed below which an answer's body is cut, after 5 s of grace.",
        "Developers of event streams: \"0B/s\".",
        "seawall_gateway_bodies_cut_total",
    ]),
    key("route", Kind::List, "", [
        "Which requests call which upstream. The most exact path wins, whatever the order.",
        "",
        "",
    ]),
    key("route.match", Kind::Text("METHOD /path in quotes"), "", [
        "The requests it takes: a method (none for any) and a path, in which {name} stands for one \
         segment and a last {*rest} for all that follow.",
        "Developers.",
        "`seawall routes test \"GET /…\"`",
    ])
    .required(r#""GET /api/weather/{city}""#),
    key("route.upstream", Kind::Text("the name of an upstream"), "", [
        "The upstream it calls.",
        "Developers.",
        "`seawall routes`",
    ])
    .required(r#""weather-api""#),
    key("route.path", Kind::Text("a path in quotes"), "", [
        "The path and query the upstream is asked for. What is filled in is percent-encoded, so \
         that no request can change the path around it.",
        "Developers whose upstream has other paths.",
        "`seawall routes test \"GET /…\"`",
    ])
    .follows("the request's own path and query")
    .example(r#""/v1/forecast?q={city}""#),
    key("route.host", Kind::Text("a host name in quotes"), "", [
        "Takes only requests for this host.",
        "Operators of several names on one address.",
        "`seawall routes test --host …`",
    ])
    .follows("any host")
    .example(r#""api.example.com""#),
    key("route.body", HOW_LARGE, "", [
        "The bytes of a request's body on this route.",
        "Developers of uploads.",
        "status 413",
    ])
    .follows("`server.limits.body`")
    .example(r#""100MiB""#),
];
