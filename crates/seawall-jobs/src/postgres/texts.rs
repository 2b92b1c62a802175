//! What PostgreSQL is asked, as it reads it.
//!
//! Does not know: connections, rows.

use std::sync::LazyLock;

use crate::sql;

/// Writes a statement as PostgreSQL reads it.
pub(super) fn words(text: &str) -> String {
    let now = "coalesce($1::bigint, (extract(epoch from clock_timestamp()) * 1000)::bigint)";
    text.replace("NOW", now)
        .replace("PICKED", "= any (array(")
        .replace("LOCK", "for update of job skip locked))")
}

pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| words(sql::INSERT));
pub(super) static NOTE: LazyLock<String> = LazyLock::new(|| words(sql::NOTE));
pub(super) static NOTED: LazyLock<String> = LazyLock::new(|| format!("{} = any ($2)", sql::NOTED));
pub(super) static GET: LazyLock<String> =
    LazyLock::new(|| format!("select {} from jobs where id = $1", sql::COLUMNS));
pub(super) static CLAIM: LazyLock<String> = LazyLock::new(|| words(&sql::claim()));
pub(super) static CLAIM_LIMITED: LazyLock<String> = LazyLock::new(|| words(&sql::claim_limited()));
pub(super) static HEARTBEAT: LazyLock<String> = LazyLock::new(|| words(sql::HEARTBEAT));
pub(super) static DONE: LazyLock<String> = LazyLock::new(|| words(sql::DONE));
pub(super) static FAILED: LazyLock<String> = LazyLock::new(|| words(sql::FAILED));
pub(super) static GIVEN_BACK: LazyLock<String> = LazyLock::new(|| words(sql::GIVEN_BACK));
pub(super) static CANCELLED: LazyLock<String> = LazyLock::new(|| words(sql::CANCELLED));
pub(super) static REAP: LazyLock<String> = LazyLock::new(|| words(sql::REAP));
pub(super) static PRUNE: LazyLock<String> = LazyLock::new(|| words(sql::PRUNE));
/// For many jobs at once: every statement is a journey.
pub(super) static HAPPENED: LazyLock<String> = LazyLock::new(|| {
    words(
        "insert into happened (job, at_ms, what, detail) select unnest($2::bigint[]), NOW, $3, $4",
    )
});
pub(super) const FORGET: &str = "delete from happened as old \
    using unnest($1::bigint[]) as one (job) where old.job = one.job \
    and old.id <= (select id from happened where job = one.job \
    order by id desc limit 1 offset 100)";
