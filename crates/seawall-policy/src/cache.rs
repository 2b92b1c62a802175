//! How long an answer may be used again, and how old it may get when the upstream fails.
//!
//! Does not know: what an answer is, or where it is kept. Invariant: nothing is used that is older
//! than its time to be fresh plus the longer of the two stale times.

use std::time::Duration;

/// Holds the numbers of a cache of answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How long an answer is fresh that does not say so itself (`Cache-Control`, `Expires`).
    pub fresh_for: Duration,
    /// How long after that it is still used while a newer one is fetched.
    pub stale_while_revalidate: Duration,
    /// How long after that it is still used when the upstream fails.
    pub stale_on_error: Duration,
    /// How many answers are kept.
    pub entries_max: u32,
    /// How many bytes they take together.
    pub bytes_max: u64,
    /// The bytes of the largest answer that is kept.
    pub answer_bytes_max: u64,
}

impl Default for Params {
    /// Fresh only by the answer's own word; 10 min for a failing upstream; 10,000 answers,
    /// 64 MiB together, 1 MiB each.
    fn default() -> Self {
        Self {
            fresh_for: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_on_error: Duration::from_secs(600),
            entries_max: 10_000,
            bytes_max: 64 * 1024 * 1024,
            answer_bytes_max: 1024 * 1024,
        }
    }
}
