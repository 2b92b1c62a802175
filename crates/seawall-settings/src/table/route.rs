//! The settings of upstreams and routes.
//!
//! Does not know: how they are used.

use std::time::Duration;

use super::super::key::{Key, key, list, named, optional};
use super::super::typed::{
    Bytes, Form, Part, Table, Text, Texts, duration, flag, integer, part, priority, size, speed,
    text, urls,
};
use super::{HOW_LARGE, WAIT};

const MEDIA_TYPE: Form<Text> = text("a media type in quotes");

keys! {
    ROUTE_ROWS;

    UPSTREAM: Key<Table> = named("upstream", "A service that routes call.");
    UPSTREAM_URL: Key<Option<Text>> = optional("upstream.url", text("http://host:port in quotes"), [
        "Where it is: http://host:port[/base], or sim:NAME for a simulated one.",
        "Operators, for each place they run in.",
        "`seawall check --connect`",
    ])
    .required(r#""http://10.0.0.7:7001""#);
    UPSTREAM_ENDPOINTS: Key<Texts> = key("upstream.endpoints", urls(), "[]", [
        "Further addresses of the same service, beside `url`: attempts are spread over all, \
         retries and hedged attempts go to another one first.",
        "Operators of services that run more than once.",
        "seawall_upstream_ejections_total",
    ])
    .example(r#"["http://10.0.0.8:7001"]"#);
    UPSTREAM_POLICY: Key<Text> =
        key("upstream.policy", text("the name of a policy"), r#""standard""#, [
            "How calls may use it. State (breaker, budget, places) belongs to the upstream, \
             whatever the policy.",
            "Developers.",
            "`seawall routes`",
        ]);
    UPSTREAM_HTTP2: Key<bool> = key("upstream.http2", flag(), "false", [
        "Speaks HTTP/2 with prior knowledge instead of HTTP/1.1.",
        "Operators of upstreams that speak it (gRPC).",
        "the upstream's own log",
    ]);
    UPSTREAM_IDLE_CONNECTIONS: Key<u64> =
        key("upstream.idle_connections", integer(0, 65_536), "256", [
            "How many idle connections are kept open, for each processor.",
            "Operators of upstreams that pay for each connection.",
            "`ss -tn` towards the upstream",
        ]);
    UPSTREAM_IDLE_CONNECTION_TIMEOUT: Key<Duration> =
        key("upstream.idle_connection_timeout", WAIT, r#""30s""#, [
            "How long an idle connection is kept. Less than the upstream's own keep-alive time.",
            "Operators of upstreams that close early.",
            "seawall_call_attempts_faulted_total{fault=\"reset\"}",
        ]);
    UPSTREAM_CONNECTION_AGE: Key<Duration> =
        key("upstream.connection_age", duration("1s", "24h"), r#""10m""#, [
            "How old a connection gets before it is not used again; up to a tenth less, so that \
             not all are opened anew at once.",
            "Operators of balancers that spread connections and not requests.",
            "`ss -tno` towards the upstream",
        ]);
    UPSTREAM_CONNECTION_REQUESTS: Key<u64> =
        key("upstream.connection_requests", integer(1, 1_000_000_000), "10000", [
            "How many requests a connection carries; up to a tenth fewer, so that not all are \
             opened anew at once.",
            "Operators of upstreams that close after a number of their own.",
            "`ss -tno` towards the upstream",
        ]);
    UPSTREAM_DNS_REFRESH: Key<Duration> =
        key("upstream.dns_refresh", duration("1s", "24h"), r#""30s""#, [
            "How often a name in `url` or `endpoints` is looked up again. Each of its addresses is \
             an endpoint of its own; a look-up that fails changes nothing.",
            "Operators whose services move often.",
            "log line endpoints.found",
        ]);
    UPSTREAM_BODY_RATE: Key<Bytes> = key("upstream.body_rate", speed(), r#""240B/s""#, [
        "The speed below which an answer's body is cut, after 5 s of grace.",
        "Developers of slow answers; \"0B/s\" switches it off. Streams have none (`route.stream`).",
        "seawall_gateway_bodies_cut_total",
    ]);
    UPSTREAM_ANSWER_HEAD: Key<Bytes> =
        key("upstream.answer_head", size("1KiB", "1MiB"), r#""32KiB""#, [
            "The largest response head. One that is larger is not tried again, and does not \
             speak against the upstream.",
            "Developers of services that set large cookies.",
            "status 502, answer-head-too-large",
        ]);
    UPSTREAM_ANSWER_HEADERS: Key<u64> = key("upstream.answer_headers", integer(8, 1000), "100", [
        "How many headers an answer may have.",
        "Hardly anyone.",
        "status 502, answer-head-too-large",
    ]);
    ROUTE: Key<Table> = list(
        "route",
        "Which requests call which upstream. The most exact path wins, whatever the order.",
    );
    ROUTE_MATCH: Key<Option<Text>> = optional("route.match", text("METHOD /path in quotes"), [
        "The requests it takes: a method (none for any) and a path, in which {name} stands for one \
         segment and a last {*rest} for all that follow, or for nothing: `/b/{*rest}` takes `/b/`, \
         and not `/b`.",
        "Developers.",
        "`seawall routes test \"GET /…\"`",
    ])
    .required(r#""GET /api/weather/{city}""#);
    ROUTE_UPSTREAM: Key<Option<Text>> =
        optional("route.upstream", text("the name of an upstream"), [
            "The upstream it calls.",
            "Developers.",
            "`seawall routes`",
        ])
        .required(r#""weather-api""#);
    ROUTE_PATH: Key<Option<Text>> = optional("route.path", text("a path in quotes"), [
        "The path and query the upstream is asked for. What is filled in stays the segment, or the \
         piece of the query, that it is filled into. The request's own query follows, without the \
         parameters that are written here.",
        "Developers whose upstream has other paths.",
        "`seawall routes test \"GET /…\"`",
    ])
    .follows("the request's own path and query, byte for byte")
    .example(r#""/v1/forecast?q={city}""#);
    ROUTE_HOST: Key<Option<Text>> = optional("route.host", text("a host name in quotes"), [
        "Takes only requests for this host.",
        "Operators of several names on one address.",
        "`seawall routes test --host …`",
    ])
    .follows("any host")
    .example(r#""api.example.com""#);
    ROUTE_UPSTREAM_HOST: Key<Text> =
        key("route.upstream_host", text("a host name in quotes"), r#""upstream""#, [
            "The host that the upstream is told: \"upstream\" for the one in its url, \"keep\" for \
             the one that the client asked for, or a name.",
            "Developers of upstreams that tell sites apart by their name, or write links with it.",
            "`seawall routes test \"GET /…\"`",
        ]);
    ROUTE_REWRITE_REDIRECTS: Key<bool> = key("route.rewrite_redirects", flag(), "true", [
        "Makes a `Location` or `Refresh` that names the upstream name what the client asked for.",
        "Developers whose clients can reach the upstream and should.",
        "`curl -i`",
    ]);
    ROUTE_BODY: Key<Option<Bytes>> = optional("route.body", HOW_LARGE, [
        "The largest request body on this route.",
        "Developers of uploads.",
        "status 413",
    ])
    .follows("`server.limits.body`")
    .example(r#""100MiB""#);
    ROUTE_STREAM: Key<bool> = key("route.stream", flag(), "false", [
        "Whether its bodies are streams, in both directions: no least speed, and \
         `policy.stream_idle_timeout` for a silence. `text/event-stream` and gRPC are without it.",
        "Developers of streams of other media types (`application/x-ndjson`).",
        "seawall_gateway_bodies_cut_total",
    ]);
    ROUTE_POLICY: Key<Option<Text>> = optional("route.policy", text("the name of a policy"), [
        "Another policy for this route alone. State (breaker, budget, places) stays the \
         upstream's, and so do its places and their queue.",
        "Developers of routes that are slower, or matter less, than the others.",
        "`seawall routes test \"GET /…\"`",
    ])
    .follows("the upstream's policy")
    .example(r#""patient""#);
    ROUTE_PRIORITY: Key<Text> = key("route.priority", priority(), r#""normal""#, [
        "How much its requests matter: critical, high, normal, low; or \"header:NAME\" for a \
         header that a trusted proxy sets; or \"claim:NAME\" for a claim of the token that it has \
         checked.",
        "Developers, together with `policy.shed`.",
        "seawall_call_shed_total{priority}",
    ]);
    ROUTE_FALLBACK: Key<Part> = key("route.fallback", part(), r#""off""#, [
        "What it answers when its call has failed, was refused or ran out of time, and no old \
         answer is kept: something prepared, or what another upstream says. A client is always \
         told of its own mistakes.",
        "Developers who know an answer that is better than an error.",
        "fate fallback; seawall_call_fell_back_total",
    ]);
    ROUTE_FALLBACK_BODY: Key<Option<Text>> =
        optional("route.fallback.body", text("the body in quotes"), [
            "The body of what is prepared.",
            "Developers.",
            "`curl -i`",
        ])
        .follows("empty")
        .example(r#""{\"degraded\":true}""#);
    ROUTE_FALLBACK_STATUS: Key<u64> = key("route.fallback.status", integer(200, 599), "200", [
        "The status of what is prepared.",
        "Developers.",
        "seawall_gateway_responses_total",
    ]);
    ROUTE_FALLBACK_CONTENT_TYPE: Key<Text> =
        key("route.fallback.content_type", MEDIA_TYPE, r#""application/json""#, [
            "What the body is.",
            "Developers.",
            "`curl -i`",
        ]);
    ROUTE_FALLBACK_FILE: Key<Option<Text>> =
        optional("route.fallback.file", text("a path in quotes"), [
            "A file with the body instead, at most 1 MiB; read when the settings are.",
            "Developers of longer answers.",
            "`curl -i`",
        ])
        .follows("`body`")
        .example(r#""/etc/seawall/sorry.html""#);
    ROUTE_FALLBACK_UPSTREAM: Key<Option<Text>> =
        optional("route.fallback.upstream", text("the name of an upstream"), [
            "Another upstream, asked the same through its own policy, unless the first one may \
             have carried the request out and twice would do harm. If it fails too, the first \
             failure stands.",
            "Developers with a copy of the service elsewhere.",
            "attempts in seawall-outcome count both",
        ])
        .follows("nobody else")
        .example(r#""weather-copy""#);
}
