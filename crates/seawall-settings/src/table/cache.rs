//! The settings of a policy: what is kept, and what is shared.
//!
//! Does not know: how they are used.

use std::time::Duration;

use super::super::key::{Key, key};
use super::super::typed::{Bytes, Form, Part, duration, flag, integer, part};
use super::HOW_LARGE;

keys! {
    CACHE_ROWS;

    POLICY_CACHE: Key<Part> = key("policy.cache", part(), r#""off""#, [
        "Keeps answers to GET and serves them again, as a cache for many (RFC 9111): never one \
         that sets a cookie, is private, or was made for a caller with a cookie or credentials, \
         unless it says that anybody may have it.",
        "Developers of routes whose answers change more slowly than they are asked for.",
        "seawall_call_cache_used_total; `Age`; attempts=0 in seawall-outcome",
    ]);
    POLICY_CACHE_FRESH_FOR: Key<Duration> = key("policy.cache.fresh_for", STALE, r#""0s""#, [
        "How long an answer is fresh that does not say so itself (`Cache-Control`, `Expires`). At \
         zero only what says so itself is fresh.",
        "Developers whose upstream says nothing.",
        "seawall_call_cache_used_total{how=\"fresh\"}",
    ]);
    POLICY_CACHE_STALE_WHILE_REVALIDATE: Key<Duration> =
        key("policy.cache.stale_while_revalidate", STALE, r#""0s""#, [
            "How long after that it is still served at once, while one newer is fetched. An \
             answer's own `stale-while-revalidate` only ever shortens it.",
            "Developers of routes whose callers must not wait.",
            "seawall_call_cache_used_total{how=\"revalidating\"}",
        ]);
    POLICY_CACHE_STALE_ON_ERROR: Key<Duration> =
        key("policy.cache.stale_on_error", STALE, r#""10m""#, [
            "How long after that it is still served when the upstream fails or is not called. An \
             answer's own `stale-if-error` only ever shortens it; `must-revalidate` forbids it.",
            "Whoever knows how old an answer may be and still be better than none.",
            "fate stale; seawall_call_cache_used_total{how=\"on_error\"}",
        ]);
    POLICY_CACHE_ENTRIES: Key<u64> = key("policy.cache.entries", integer(1, 100_000_000), "10000", [
        "How many answers are kept of one upstream. A change empties the cache.",
        "Operators.",
        "seawall_call_cache_used_total",
    ]);
    POLICY_CACHE_BYTES: Key<Bytes> = key("policy.cache.bytes", HOW_LARGE, r#""64MiB""#, [
        "How many bytes the stored answers may take together.",
        "Operators.",
        "seawall_runtime_resident_bytes",
    ]);
    POLICY_CACHE_ANSWER_BYTES: Key<Bytes> =
        key("policy.cache.answer_bytes", HOW_LARGE, r#""1MiB""#, [
            "The largest answer that is stored or shared; larger ones pass through.",
            "Operators of upstreams with large answers.",
            "seawall_call_cache_used_total",
        ]);
    POLICY_COALESCE: Key<bool> = key("policy.coalesce", flag(), "false", [
        "Lets requests that ask the same at the same time share one call. Only GET, only callers \
         without cookie and credentials, and only answers that a cache for many may keep.",
        "Developers of routes that many ask for at once.",
        "seawall_call_coalesced_total",
    ]);
}

const STALE: Form<Duration> = duration("0s", "8760h");
