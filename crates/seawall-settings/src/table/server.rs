//! The settings of the ports for clients and for status.
//!
//! Does not know: how they are used.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::key::{Key, key, list, optional, table};
use super::super::typed::{
    Bytes, Networks, SecretSource, Table, duration, flag, integer, listen, networks, secret, size,
    speed,
};
use super::{HOW_LARGE, WAIT};

keys! {
    SERVER_ROWS;

    VERSION: Key<u64> = key("version", integer(1, 1), "1", [
        "The version of the form of this file.",
        "Nobody yet: there is one version.",
        "`seawall config show`",
    ]);
    LISTENER: Key<Table> = list(
        "listener",
        "A port for clients; there can be many. Without one: 127.0.0.1:8080.",
    );
    LISTENER_ADDRESS: Key<Option<SocketAddr>> = optional("listener.address", listen(), [
        "Where clients connect.",
        "Operators, to open the gateway to a network: \"0.0.0.0:8080\".",
        "the first lines that `seawall run` prints",
    ])
    .required(r#""127.0.0.1:8080""#);
    SERVER: Key<Table> = table("server", "What holds for all clients.");
    SERVER_LISTEN: Key<SocketAddr> = key("server.listen", listen(), r#""127.0.0.1:8080""#, [
        "The old form of one `[[listener]]`.",
        "Nobody any more: it is taken, with a warning.",
        "the first lines that `seawall run` prints",
    ]);
    SERVER_DRAIN: Key<Duration> = key("server.drain", duration("0s", "1h"), r#""10s""#, [
        "How long a stop waits for what is in flight, before connections are cut.",
        "Operators, to stay below the grace of their service manager (Kubernetes: 30 s).",
        "exit code 0 if everything finished, 1 if connections had to be cut",
    ]);
    SERVER_LAME_DUCK: Key<Duration> = key("server.lame_duck", duration("0s", "1h"), r#""0s""#, [
        "How long a server that was told to stop still takes requests while /readyz is 503, so \
         that load balancers send clients elsewhere before it refuses them.",
        "Operators behind a balancer that looks at readiness: longer than it takes to notice.",
        "\"phase\":\"lame_duck\" in /status.json",
    ]);
    SERVER_OUTCOME_HEADER: Key<bool> = key("server.outcome_header", flag(), "true", [
        "Whether answers carry a `seawall-outcome` header that says what the policy did.",
        "Operators who do not want clients to see upstream names.",
        "`curl -i` on any route",
    ]);
    SERVER_TRUSTED_PROXIES: Key<Networks> = key("server.trusted_proxies", networks(), "[]", [
        "Proxies in front of Seawall whose X-Forwarded-* and Forwarded headers are believed; \
         everyone else's are replaced.",
        "Operators who put a load balancer in front.",
        "the X-Forwarded-For that the upstream receives",
    ])
    .example(r#"["10.0.0.0/8"]"#);
    SERVER_LIMITS: Key<Table> = table(
        "server.limits",
        "What clients may send, and how slowly. The defaults are safe on an open network.",
    );
    SERVER_LIMITS_LINE: Key<Bytes> = key("server.limits.line", size("256B", "64KiB"), r#""8KiB""#, [
        "The longest request line.",
        "Developers whose URLs carry long queries.",
        "status 414; seawall_gateway_requests_refused_total{why=\"too_large\"}",
    ]);
    SERVER_LIMITS_HEAD: Key<Bytes> = key("server.limits.head", size("1KiB", "1MiB"), r#""32KiB""#, [
        "The largest request head, its line included.",
        "Developers whose clients send large cookies.",
        "status 431; seawall_gateway_requests_refused_total{why=\"too_large\"}",
    ]);
    SERVER_LIMITS_HEADERS: Key<u64> = key("server.limits.headers", integer(8, 1000), "100", [
        "How many headers a request may have.",
        "Hardly anyone.",
        "status 431; seawall_gateway_requests_refused_total{why=\"too_large\"}",
    ]);
    SERVER_LIMITS_BODY: Key<Bytes> = key("server.limits.body", HOW_LARGE, r#""10MiB""#, [
        "The largest request body, on routes that set no limit of their own.",
        "Developers of uploads; better with `route.body` on the one route.",
        "status 413; seawall_gateway_requests_refused_total{why=\"body_too_large\"}",
    ]);
    SERVER_LIMITS_FIRST_BYTE_TIMEOUT: Key<Duration> =
        key("server.limits.first_byte_timeout", WAIT, r#""10s""#, [
            "From a connection to its first byte.",
            "Operators under attack by empty connections.",
            "seawall_gateway_connections_closed_total{how=\"first_byte_timeout\"}",
        ]);
    SERVER_LIMITS_HEAD_TIMEOUT: Key<Duration> =
        key("server.limits.head_timeout", WAIT, r#""10s""#, [
            "From the first byte of a request's head to its last.",
            "Operators under attack by slow heads.",
            "status 408; seawall_gateway_connections_closed_total{how=\"head_timeout\"}",
        ]);
    SERVER_LIMITS_BODY_RATE: Key<Bytes> = key("server.limits.body_rate", speed(), r#""240B/s""#, [
        "The speed below which a request's body is cut, once `body_grace` has passed.",
        "Operators of clients on very slow lines; \"0B/s\" switches it off: then only \
         `policy.stream_idle_timeout` holds.",
        "status 408; seawall_gateway_connections_closed_total{how=\"body_too_slow\"}",
    ]);
    SERVER_LIMITS_BODY_GRACE: Key<Duration> = key("server.limits.body_grace", WAIT, r#""5s""#, [
        "How long a request's body may be as slow as it likes.",
        "Operators of clients on very slow lines.",
        "status 408; seawall_gateway_connections_closed_total{how=\"body_too_slow\"}",
    ]);
    SERVER_LIMITS_WRITE_STALL_TIMEOUT: Key<Duration> =
        key("server.limits.write_stall_timeout", WAIT, r#""30s""#, [
            "How long a client may leave an answer unread.",
            "Operators of long downloads to slow clients.",
            "seawall_gateway_connections_closed_total{how=\"write_stall\"}",
        ]);
    SERVER_LIMITS_READ_RATE: Key<Bytes> = key("server.limits.read_rate", speed(), r#""240B/s""#, [
        "The speed below which an answer is cut, once its client has let it wait for \
         `write_stall_timeout` in all. While others wait for a place at the upstream, a client \
         that reads nothing is cut sooner.",
        "Operators of clients on very slow lines; \"0B/s\" switches it off.",
        "seawall_gateway_bodies_cut_total",
    ]);
    SERVER_LIMITS_KEEP_ALIVE_TIMEOUT: Key<Duration> =
        key("server.limits.keep_alive_timeout", WAIT, r#""1m""#, [
            "How long a connection may be idle between requests.",
            "Operators behind a load balancer: keep it above the balancer's own.",
            "seawall_gateway_connections_closed_total{how=\"idle_timeout\"}",
        ]);
    SERVER_LIMITS_KEEP_ALIVE_REQUESTS: Key<u64> =
        key("server.limits.keep_alive_requests", integer(1, 1_000_000_000), "1000", [
            "How many requests one connection may carry; then clients spread anew.",
            "Operators behind a load balancer that holds few connections.",
            "`Connection: close` on the last answer",
        ]);
    SERVER_LIMITS_CONNECTIONS: Key<u64> =
        key("server.limits.connections", integer(1, 1_000_000), "16384", [
            "How many clients may be connected. Lowered at start if the file limit is.",
            "Operators, together with `ulimit -n`.",
            "seawall_gateway_connections_refused_total",
        ]);
    SERVER_LIMITS_CONNECTIONS_PER_ADDRESS: Key<u64> =
        key("server.limits.connections_per_address", integer(1, 1_000_000), "16384", [
            "How many clients may be connected from one address.",
            "Operators on an open network, without a load balancer in front.",
            "seawall_gateway_connections_refused_total",
        ])
        .follows("as many as `connections`");
    SERVER_LIMITS_STREAMS: Key<u64> = key("server.limits.streams", integer(1, 10_000), "100", [
        "How many requests an HTTP/2 connection may have open.",
        "Hardly anyone.",
        "the SETTINGS frame of a connection",
    ]);
    ADMIN: Key<Table> = table("admin", "The port for status and metrics.");
    ADMIN_LISTEN: Key<SocketAddr> = key("admin.listen", listen(), r#""127.0.0.1:9090""#, [
        "Where status, /metrics, /healthz and /readyz are. Beyond this machine only with a token.",
        "Operators whose metrics are scraped from elsewhere.",
        "the first lines that `seawall run` prints",
    ]);
    ADMIN_TOKEN: Key<Option<SecretSource>> = optional("admin.token", secret(), [
        "What a caller must show, on loopback too: as `Authorization: Bearer …`, or to look only, \
         as the password of any user (a browser asks for it, `curl -u :TOKEN`). It stays in the \
         environment.",
        "Operators who open the admin port to a network.",
        "401 without it, but for /healthz and /readyz",
    ])
    .example(r#"{ env = "SEAWALL_ADMIN_TOKEN" }"#);
    ADMIN_CHAOS: Key<bool> = key("admin.chaos", flag(), "false", [
        "Whether faults may be injected on purpose, with `seawall chaos`; always with an end.",
        "Operators of test systems, and of others for the time of an exercise.",
        "seawall_call_chaos_total; a line on the status page",
    ]);
}
