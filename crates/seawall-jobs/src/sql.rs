//! What both databases are asked, in words that both understand.
//!
//! Does not know: connections. `NOW` stands for the time, which is the first parameter: of
//! PostgreSQL it may be null, and then the database's own clock decides, because the clocks of
//! several machines differ. Every statement that changes a job names the token or the states in
//! which it may, and says by the rows it returns whether it did.

/// The columns of a row, in the order of `row`.
pub(crate) const COLUMNS: &str = "id, queue, kind, unique_key, state, wish, priority, run_at_ms, \
    attempts, attempts_max, lease_until_ms, worker, payload, progress, result, error, created_ms, \
    changed_ms";

/// 2 queue, 3 kind, 4 unique key, 5 priority, 6 run at, 7 attempts, 8 payload, 9 at once, 10 queue
/// that is told.
pub(crate) const INSERT: &str = "insert into jobs (queue, kind, unique_key, priority, run_at_ms, \
    attempts_max, payload, at_once, tell_queue, state, created_ms, changed_ms) \
    values ($2, $3, $4, $5, coalesce($6, NOW), $7, $8, $9, $10, 'ready', NOW, NOW) \
    on conflict (unique_key) where unique_key is not null \
        and state in ('ready', 'running', 'paused') do nothing \
    returning id";

/// 1 unique key.
pub(crate) const LIVE: &str = "select id from jobs where unique_key = $1 \
    and state in ('ready', 'running', 'paused')";

/// 2 lease, 3 worker, 4 queue, 5 how many. `LOCK` is how PostgreSQL passes over rows that others
/// are just taking; SQLite has one writer. `PICKED` is how the rows are chosen once: a plan of
/// PostgreSQL may carry the search within `in` out several times, and then take more than asked for.
/// `ALLOWED` is which of them may be begun.
const CLAIM: &str = "update jobs set state = 'running', token = token + 1, \
    attempts = attempts + 1, lease_until_ms = NOW + $2, worker = $3, wish = 'go', \
    changed_ms = NOW \
    where id PICKED select id from jobs as job where queue = $4 and state = 'ready' \
        and run_at_ms <= NOW and (ALLOWED) \
        order by priority desc, run_at_ms, id limit $5 LOCK \
    returning id, token, kind, payload, progress, attempts, attempts_max, priority, run_at_ms";

/// Claims if no job that is ready has a limit of its kind.
pub(crate) fn claim() -> String {
    CLAIM.replace("ALLOWED", "at_once is null")
}

/// Claims if there are some, of each kind with a limit one at most: who claims knows that there may
/// be more. Nobody else may claim meanwhile.
pub(crate) fn claim_limited() -> String {
    let allowed = "at_once is null or ((select count(*) from jobs as other \
            where other.queue = job.queue and other.kind = job.kind \
            and other.state = 'running') < at_once \
        and not exists (select 1 from jobs as other where other.queue = job.queue \
            and other.kind = job.kind and other.state = 'ready' and other.run_at_ms <= NOW \
            and (other.priority > job.priority or (other.priority = job.priority \
            and (other.run_at_ms < job.run_at_ms \
            or (other.run_at_ms = job.run_at_ms and other.id < job.id))))))";
    CLAIM.replace("ALLOWED", allowed)
}

/// 1 queue. Whether a job that is ready has a limit of its kind.
pub(crate) const HAS_LIMITED: &str =
    "select 1 from jobs where queue = $1 and state = 'ready' and at_once is not null limit 1";

/// 2 id, 3 token, 4 lease, 5 progress.
pub(crate) const HEARTBEAT: &str = "update jobs set lease_until_ms = NOW + $4, \
    progress = coalesce($5, progress) \
    where id = $2 and token = $3 and state = 'running' returning wish";

/// 2 id, 3 token, 4 result.
pub(crate) const DONE: &str = "update jobs set state = 'done', result = $4, error = null, \
    lease_until_ms = null, worker = null, changed_ms = NOW \
    where id = $2 and token = $3 and state = 'running' returning state, tell_queue, at_once";

/// 2 id, 3 token, 4 error, 5 wait or nothing.
pub(crate) const FAILED: &str = "update jobs set error = $4, \
    state = case when cast($5 as bigint) is null or attempts >= attempts_max \
        then 'failed' else 'ready' end, \
    run_at_ms = NOW + coalesce($5, 0), lease_until_ms = null, worker = null, changed_ms = NOW \
    where id = $2 and token = $3 and state = 'running' returning state, tell_queue, at_once";

/// 2 id, 3 token, 4 state, 5 wait.
pub(crate) const GIVEN_BACK: &str = "update jobs set state = $4, attempts = attempts - 1, \
    run_at_ms = NOW + $5, lease_until_ms = null, worker = null, changed_ms = NOW \
    where id = $2 and token = $3 and state = 'running' returning state, tell_queue, at_once";

/// 2 id, 3 token.
pub(crate) const CANCELLED: &str = "update jobs set state = 'cancelled', lease_until_ms = null, \
    worker = null, changed_ms = NOW \
    where id = $2 and token = $3 and state = 'running' returning state, tell_queue, at_once";

/// 2 id.
pub(crate) const PAUSE: &str = "update jobs set \
    wish = case when state = 'running' then 'pause' else wish end, \
    state = case when state = 'ready' then 'paused' else state end, changed_ms = NOW \
    where id = $2 and (state = 'ready' or (state = 'running' and wish <> 'cancel')) \
    returning state";

/// 2 id.
pub(crate) const CANCEL: &str = "update jobs set \
    wish = case when state = 'running' then 'cancel' else wish end, \
    state = case when state = 'running' then state else 'cancelled' end, \
    changed_ms = NOW \
    where id = $2 and state in ('ready', 'paused', 'running', 'failed') returning state";

/// 2 id.
pub(crate) const RESUME: &str = "update jobs set \
    attempts = case when state = 'running' then attempts else 0 end, \
    run_at_ms = case when state = 'running' then run_at_ms else NOW end, \
    wish = 'go', state = case when state = 'running' then state else 'ready' end, \
    changed_ms = NOW \
    where id = $2 and (state in ('paused', 'failed', 'cancelled') \
        or (state = 'running' and wish = 'pause')) returning state";

pub(crate) const REAP: &str = "update jobs set \
    state = case when wish = 'cancel' then 'cancelled' when wish = 'pause' then 'paused' \
        when attempts >= attempts_max then 'failed' else 'ready' end, \
    error = 'the lease of ' || worker || ' ended: it died, or was cut off', \
    run_at_ms = NOW, lease_until_ms = null, worker = null, changed_ms = NOW \
    where state = 'running' and lease_until_ms < NOW returning id, state, tell_queue, token";

/// 2 older than, 3 how many, 4 in which state.
pub(crate) const PRUNE: &str = "delete from jobs where id in (select id from jobs \
    where state in ('done', 'failed', 'cancelled') and state = $4 \
    and changed_ms < NOW - $2 limit $3)";

/// 2 id, 3 what, 4 detail.
pub(crate) const HAPPENED: &str =
    "insert into happened (job, at_ms, what, detail) values ($2, NOW, $3, $4)";

/// Returns whether a job was claimed so often that there may be much to forget: a few more things
/// are kept than are shown.
pub(crate) const fn is_time_to_forget(token: i64) -> bool {
    token % 16 == 0
}

/// 1 id.
pub(crate) const FORGET: &str = "delete from happened where job = $1 and id <= \
    (select id from happened where job = $1 order by id desc limit 1 offset 100)";

/// 1 id.
pub(crate) const HISTORY: &str =
    "select at_ms, what, detail from happened where job = $1 order by id desc limit 100";

/// 1 queue, 2 kind, 3 state, 4 how many, 5 before which; behind the columns.
pub(crate) const LIST: &str = "from jobs where (cast($1 as text) is null or queue = $1) \
    and (cast($2 as text) is null or kind = $2) and (cast($3 as text) is null or state = $3) \
    and (cast($5 as bigint) is null or id < $5) order by id desc limit $4";

/// 2 ledger, 3 item, 4 mark, 5 number, 6 stamp. Nothing if it was noted before: who is second waits
/// here until the first has committed.
pub(crate) const NOTE: &str = "insert into ledger (ledger, item, mark, number, stamp, at_ms) \
    values ($2, $3, $4, $5, $6, NOW) on conflict (ledger, item, mark) do update \
    set number = excluded.number, stamp = excluded.stamp, at_ms = excluded.at_ms \
    where ledger.number < excluded.number returning number";

/// 1 ledger, 2 item, 3 mark, 4 stamp. Only if it is another one: most looks find the same.
pub(crate) const LOOKED: &str = "update ledger set stamp = $4 \
    where ledger = $1 and item = $2 and mark = $3 and stamp <> $4";

/// 1 ledger, 2 item, 3 mark, 4 job.
pub(crate) const NOTE_JOB: &str =
    "update ledger set job = $4 where ledger = $1 and item = $2 and mark = $3";

/// 1 ledger, 2 item, 3 mark.
pub(crate) const JOB_NOTED: &str =
    "select job from ledger where ledger = $1 and item = $2 and mark = $3";

/// 1 ledger; behind it, which items.
pub(crate) const NOTED: &str = "select ledger, item, mark, number, stamp, job, at_ms from ledger \
    where ledger = $1 and item";

/// The version of the tables: how many of `STEPS` have made them.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// What leads from each version of the tables to the next, beginning with none. What has been
/// released is never changed. `NUMBER` is how a column numbers itself, `INT` a number of 64 bits,
/// `END` what ends a table.
pub(crate) const STEPS: &[&str] = &[TABLES, LEDGER, ENDS];

/// How many of a kind run at once, and who is told when a job has ended.
const ENDS: &str = "
    alter table jobs add column at_once INT;
    alter table jobs add column tell_queue text;
    create index jobs_limited on jobs (queue) where state = 'ready' and at_once is not null;
    create index jobs_running_of on jobs (queue, kind) where state = 'running';
";

/// What was put in and why, after the jobs are gone.
const LEDGER: &str = "
    create table ledger (
        ledger text not null, item text not null, mark text not null, number INT not null,
        stamp text not null, job INT, at_ms INT not null, primary key (ledger, item, mark)
    ) END;
";

const TABLES: &str = "
    create table jobs (
        id NUMBER, queue text not null, kind text not null, unique_key text,
        state text not null, wish text not null default 'go', priority INT not null,
        run_at_ms INT not null, attempts INT not null default 0, attempts_max INT not null,
        lease_until_ms INT, token INT not null default 0, worker text, payload text not null,
        progress text, result text, error text, created_ms INT not null,
        changed_ms INT not null
    ) END;
    create table happened (
        id NUMBER, job INT not null references jobs (id) on delete cascade,
        at_ms INT not null, what text not null, detail text not null
    ) END;
    create index jobs_ready on jobs (queue, priority desc, run_at_ms, id) where state = 'ready';
    create index jobs_running on jobs (lease_until_ms) where state = 'running';
    create index jobs_ended on jobs (changed_ms) where state in ('done', 'failed', 'cancelled');
    create unique index jobs_unique on jobs (unique_key)
        where unique_key is not null and state in ('ready', 'running', 'paused');
    create index happened_of on happened (job, id);
";
