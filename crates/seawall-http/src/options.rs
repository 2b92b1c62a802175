//! What can be set of the way to an upstream.
//!
//! Does not know: where settings come from.

use std::time::Duration;

/// The settings of the way to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Speaks HTTP/2 with prior knowledge instead of HTTP/1.1.
    pub http2: bool,
    /// How many idle connections are kept, for each runtime.
    pub idle_max: usize,
    /// How long an idle connection is kept; less, if the upstream says so in `Keep-Alive`.
    pub idle_timeout: Duration,
    /// How old a connection gets before it is not used again; a tenth less, drawn for each.
    pub age_max: Duration,
    /// How many requests a connection carries; a tenth less, drawn for each.
    pub requests_max: u64,
    /// How often names are looked up again.
    pub dns_refresh: Duration,
    /// The bytes a second below which a body is cut once it was waited for longer than 5 s; 0
    /// for upstreams whose bodies are slow on purpose. Streams have no least speed.
    pub body_rate_min: u64,
    /// The fields that the head of an answer may have.
    pub headers_max: usize,
    /// The bytes that it may have.
    pub head_bytes_max: usize,
}

impl Default for Options {
    /// HTTP/1.1, 256 idle connections a runtime for 30 s, each for 10 minutes or 10,000 requests;
    /// names looked up every 30 s; no body below 240 bytes a second, heads of 100 fields and 32 KiB.
    fn default() -> Self {
        Self {
            http2: false,
            idle_max: 256,
            idle_timeout: Duration::from_secs(30),
            age_max: Duration::from_secs(600),
            requests_max: 10_000,
            dns_refresh: Duration::from_secs(30),
            body_rate_min: 240,
            headers_max: 100,
            head_bytes_max: 32 * 1024,
        }
    }
}
