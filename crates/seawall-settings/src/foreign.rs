//! Words that people bring along from other programs, and what stands for them here.
//!
//! Does not know: which words are known here; those never come this far.

/// Says what to write instead of a word, in a table of this path.
pub(super) fn instead(table: &str, word: &str) -> Option<&'static str> {
    let word = word.to_lowercase().replace('-', "_");
    let is_meant = |(of, words, _): &&(&str, &[&str], &str)| {
        (*of == table || *of == ANYWHERE) && words.contains(&&*word)
    };
    WORDS.iter().find(is_meant).map(|(_, _, help)| *help)
}

const ANYWHERE: &str = "*";

const WORDS: &[(&str, &[&str], &str)] = &[
    (
        ANYWHERE,
        &["tls", "ssl", "https", "cert", "certificate", "tls_cert", "tls_key", "acme", "http3"],
        "there is no TLS in this version: end it in front, in a balancer or a proxy on this \
         machine, and name that in `server.trusted_proxies`",
    ),
    (ANYWHERE, &["websocket", "websockets", "upgrade"], "there are no upgrades in this version"),
    (
        ANYWHERE,
        &["gzip", "compress", "compression", "brotli"],
        "nothing is compressed here: what the upstream has compressed passes as it is",
    ),
    (
        ANYWHERE,
        &["threads", "worker_threads", "worker_processes", "workers", "nbthread"],
        "there is no such setting: one thread serves for each processor",
    ),
    (
        ANYWHERE,
        &["log", "logs", "logging", "log_level", "loglevel", "error_log"],
        "the variable SEAWALL_LOG says what is logged (`SEAWALL_LOG=debug`), `seawall run --log \
         json` in which form",
    ),
    (
        "",
        &["upstreams", "backend", "backends", "service", "services", "cluster", "clusters"],
        "[upstream.NAME]\nurl = \"http://10.0.0.7:7001\"",
    ),
    (
        "",
        &["routes", "routers", "rules", "location", "locations", "paths"],
        "[[route]]\nmatch = \"GET /api/weather/{city}\"\nupstream = \"NAME\"",
    ),
    ("", &["policies", "profiles"], "[policy.NAME]"),
    ("", &["jobs", "tasks", "cron"], "[job.NAME]"),
    (
        "",
        &["listen", "listeners", "port", "bind", "address", "addr", "host", "http"],
        "[[listener]]\naddress = \"127.0.0.1:8080\"",
    ),
    (
        "",
        &["metrics", "prometheus", "status", "monitoring", "health"],
        "[admin]\nlisten = \"127.0.0.1:9090\"",
    ),
    ("", &["timeout", "timeouts"], "[policy.standard]\ntotal_timeout = \"30s\""),
    (
        "server",
        &["port", "host", "address", "addr", "bind", "listeners"],
        "[[listener]]\naddress = \"127.0.0.1:8080\"",
    ),
    ("listener", &["port", "host", "listen", "addr", "bind"], "address = \"127.0.0.1:8080\""),
    (
        "server",
        &["timeout", "read_timeout", "write_timeout", "idle_timeout", "keepalive_timeout"],
        "times of connections are in [server.limits], those of calls in [policy.NAME]",
    ),
    (
        "server",
        &["max_connections", "worker_connections", "maxconn"],
        "[server.limits]\nconnections = 16384",
    ),
    (
        "server",
        &["max_body", "max_body_size", "client_max_body_size", "body_limit"],
        "[server.limits]\nbody = \"10MiB\"",
    ),
    ("admin", &["port", "host", "address", "addr", "bind"], "listen = \"127.0.0.1:9090\""),
    (
        "admin",
        &["password", "user", "username", "auth", "secret"],
        "token = { env = \"SEAWALL_ADMIN_TOKEN\" }",
    ),
    ("upstream", &["host", "address", "addr", "port", "target"], "url = \"http://10.0.0.7:7001\""),
    (
        "upstream",
        &["servers", "hosts", "targets", "nodes", "urls", "addresses", "members"],
        "url = \"http://10.0.0.7:7001\"\nendpoints = [\"http://10.0.0.8:7001\"]",
    ),
    (
        "upstream",
        &["timeout", "timeouts", "retries"],
        "[policy.NAME]\ntotal_timeout = \"2s\"\n[upstream.…]\npolicy = \"NAME\"",
    ),
    (
        "upstream",
        &["health_check", "healthcheck", "health", "check"],
        "nothing is asked for its health: `breaker` and `outlier` of its policy go by its answers",
    ),
    (
        "upstream",
        &["weight", "balance", "balancing", "load_balancing", "lb_policy"],
        "attempts are spread evenly over `endpoints`; there is no setting",
    ),
    ("policy", &["timeout", "deadline", "request_timeout"], "total_timeout = \"30s\""),
    ("policy", &["retries", "max_retries", "retry_policy"], "retry = { attempts = 3 }"),
    (
        "policy",
        &["circuit_breaker", "circuitbreaker", "cb"],
        "breaker = { failures = \"50%\", of_at_least = 20 }",
    ),
    ("policy", &["rate_limit", "ratelimit", "limit_req", "throttle", "rps"], "rate = \"100/s\""),
    (
        "policy",
        &["bulkhead", "concurrency", "max_concurrency", "max_concurrent", "max_in_flight"],
        "limit = { in_flight = 64 }",
    ),
    ("policy", &["hedging"], "hedge = { after = \"p95\" }"),
    ("policy", &["outlier_detection", "ejection"], "outlier = { consecutive = 5 }"),
    ("policy", &["load_shedding", "shedding"], "shed = true"),
    ("policy", &["caching", "proxy_cache"], "cache = true"),
    ("policy", &["fallback"], "a fallback is of a route:\n[[route]]\nfallback = { body = \"…\" }"),
    (
        "policy.retry",
        &["max", "max_attempts", "count", "retries", "max_retries", "num_retries", "tries"],
        "attempts = 3, the first one included",
    ),
    (
        "policy.retry",
        &["status", "statuses", "codes", "retry_on", "conditions"],
        "on = [\"connect\", \"503\"]",
    ),
    (
        "policy.retry",
        &["delay", "wait", "interval", "base_delay", "max_delay", "initial_backoff", "max_backoff"],
        "backoff = \"50ms..2s\"",
    ),
    ("policy.rate", &["requests", "rate", "rps", "per_second", "max"], "limit = \"100/s\""),
    ("policy.rate", &["per", "interval", "period"], "limit = \"100/s\", \"100/m\" or \"100/h\""),
    (
        "policy.breaker",
        &["threshold", "failure_threshold", "error_rate", "failure_rate", "errors"],
        "failures = \"50%\", or consecutive = 10",
    ),
    (
        "policy.breaker",
        &["timeout", "reset_timeout", "cooldown", "sleep_window", "wait_duration"],
        "open_for = \"5s\"",
    ),
    (
        "policy.breaker",
        &["min_requests", "volume_threshold", "minimum_throughput", "min_calls"],
        "of_at_least = 20",
    ),
    ("policy.limit", &["max", "concurrency", "max_concurrent", "limit"], "in_flight = 64"),
    ("policy.cache", &["ttl", "max_age", "expires", "valid"], "fresh_for = \"30s\""),
    ("policy.cache", &["size", "max_size", "max_bytes"], "bytes = \"64MiB\""),
    (
        "route",
        &[
            "prefix",
            "path_prefix",
            "pattern",
            "url",
            "uri",
            "location",
            "method",
            "methods",
            "from",
        ],
        "match = \"GET /api/weather/{city}\", with the method before the path",
    ),
    (
        "route",
        &["backend", "service", "cluster", "target", "to", "proxy_pass", "forward_to", "endpoint"],
        "upstream = \"NAME\", of an [upstream.NAME]",
    ),
    (
        "route",
        &["rewrite", "strip_prefix", "upstream_path", "rewrite_target"],
        "path = \"/{city}\"",
    ),
    ("route", &["hosts", "hostname", "server_name", "domain"], "host = \"api.example.com\""),
    (
        "route",
        &["timeout", "timeouts", "retries", "retry", "rate_limit", "cache", "breaker", "limit"],
        "[policy.NAME]\ntotal_timeout = \"2s\"\n[[route]]\npolicy = \"NAME\"",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn no_word_of_our_own_is_taken_for_anothers() {
        for (table, words, help) in WORDS {
            assert!(!help.is_empty());
            assert!(["", ANYWHERE].contains(table) || keys::find(table).is_some(), "{table}");
            for word in *words {
                let is_ours = keys::within(table).any(|key| key.name() == *word);
                assert!(!is_ours, "{table}: {word}");
            }
        }
    }

    #[test]
    fn every_key_that_is_told_exists() {
        let tables =
            ["listener", "server", "server.limits", "admin", "upstream", "policy", "route"];
        for (table, _, help) in WORDS {
            let tables = tables.iter().chain([table]);
            for line in help.lines().filter_map(|line| line.split_once(" = ")) {
                let mut known = tables.clone().flat_map(|table| keys::within(table));
                assert!(known.any(|key| key.name() == line.0), "{table}: {}", line.0);
            }
        }
    }

    #[test]
    fn a_word_is_known_in_every_spelling() {
        assert_eq!(instead("policy", "Circuit-Breaker"), instead("policy", "circuit_breaker"));
        assert!(instead("upstream", "TLS").is_some() && instead("route", "zebra").is_none());
    }
}
