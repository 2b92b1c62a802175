//! Every operation as PostgreSQL is asked for it: one transaction each.
//!
//! Does not know: how connections are had.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::Flaw;
use super::listener::CHANNEL;
use super::texts::*;
use crate::clock::millis;
use crate::ended::EndedJob;
use crate::ledger::{Entry, ITEMS_MAX, Noted};
use crate::sql;
use crate::store::{
    Claimed, ERROR_BYTES_MAX, Ending, Filter, Inserted, JobEvent, JobRow, Lease, NewJob,
    RESULT_BYTES_MAX, State, StoreError, Wish, cut,
};

type Value<'a> = &'a (dyn ToSql + Sync);

/// Makes the schema and its tables, or takes older ones over; returns their version.
pub(super) async fn prepare(client: &mut Object) -> Result<i64, Flaw> {
    let transaction = client.transaction().await?;
    // Of those who come at once, one makes them.
    transaction.batch_execute("select pg_advisory_xact_lock(7305816523)").await?;
    transaction
        .batch_execute(
            "create schema if not exists seawall;
             create table if not exists version (version bigint not null)",
        )
        .await?;
    let row = transaction.query_opt("select version from version", &[]).await?;
    let version = row.as_ref().map_or(0, |row| row.get::<_, i64>(0));
    for step in sql::STEPS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        let tables = step
            .replace("NUMBER", "bigint generated always as identity primary key")
            .replace("INT", "bigint")
            .replace("END", "");
        transaction.batch_execute(&tables).await?;
    }
    let statement = match row {
        Some(_) => "update version set version = $1",
        None => "insert into version values ($1)",
    };
    let version = version.max(sql::VERSION);
    transaction.execute(statement, &[&version]).await?;
    transaction.commit().await?;
    Ok(version)
}

pub(super) async fn insert(
    client: &mut Object,
    now: Option<i64>,
    job: &NewJob,
) -> Result<Inserted, Flaw> {
    let transaction = client.transaction().await?;
    if let Some(entry) = &job.entry
        && !note_in(&transaction, now, entry).await?
    {
        let Entry { ledger, item, mark, .. } = entry;
        let row = first(&transaction, sql::JOB_NOTED, &[ledger, item, mark]).await?;
        let id: Option<i64> = row.and_then(|row| row.get(0));
        transaction.commit().await?;
        return Ok(Inserted { id: id.unwrap_or(0), is_new: false, is_noted: true });
    }
    // The one that was in the way may have ended when it is looked for.
    for _ in 0..CONFLICTS_MAX {
        if let Some(id) = put(&transaction, now, job).await? {
            if let Some(Entry { ledger, item, mark, .. }) = &job.entry {
                let statement = transaction.prepare_cached(sql::NOTE_JOB).await?;
                transaction.execute(&statement, &[ledger, item, mark, &id]).await?;
            }
            told(&transaction).await?;
            transaction.commit().await?;
            return Ok(Inserted { id, is_new: true, is_noted: false });
        }
        if let Some(row) = first(&transaction, sql::LIVE, &[&job.unique_key]).await? {
            // Not committed: nothing is noted of a job that was not put in.
            return Ok(Inserted { id: row.get(0), is_new: false, is_noted: false });
        }
    }
    Err(StoreError::Refused("its unique key is taken and freed all the time".to_owned()).into())
}

/// Puts a job in, unless its key is taken.
async fn put(
    transaction: &Transaction<'_>,
    now: Option<i64>,
    job: &NewJob,
) -> Result<Option<i64>, Flaw> {
    let NewJob { queue, kind, unique_key, run_at_ms, payload, tell_queue, .. } = job;
    let (priority, attempts_max) = (i64::from(job.priority), i64::from(job.attempts_max));
    let at_once = job.at_once.map(i64::from);
    let values: [Value<'_>; 10] = [
        &now,
        queue,
        kind,
        unique_key,
        &priority,
        run_at_ms,
        &attempts_max,
        payload,
        &at_once,
        tell_queue,
    ];
    let Some(row) = first(transaction, &INSERT, &values).await? else { return Ok(None) };
    let id: i64 = row.get(0);
    happened(transaction, now, &[id], "inserted", "").await?;
    Ok(Some(id))
}

pub(super) async fn note(
    client: &mut Object,
    now: Option<i64>,
    entry: &Entry,
) -> Result<bool, Flaw> {
    let transaction = client.transaction().await?;
    let is_new = note_in(&transaction, now, entry).await?;
    transaction.commit().await?;
    Ok(is_new)
}

async fn note_in(
    transaction: &Transaction<'_>,
    now: Option<i64>,
    entry: &Entry,
) -> Result<bool, Flaw> {
    let Entry { ledger, item, mark, number, stamp } = entry;
    let values: [Value<'_>; 6] = [&now, ledger, item, mark, number, stamp];
    let is_new = first(transaction, &NOTE, &values).await?.is_some();
    if !is_new {
        let statement = transaction.prepare_cached(sql::LOOKED).await?;
        transaction.execute(&statement, &[ledger, item, mark, stamp]).await?;
    }
    Ok(is_new)
}

pub(super) async fn noted(
    client: &mut Object,
    ledger: &str,
    items: &[String],
) -> Result<Vec<Noted>, Flaw> {
    let items = &items[..items.len().min(ITEMS_MAX)];
    let statement = client.prepare_cached(&NOTED).await?;
    let rows = client.query(&statement, &[&ledger, &items]).await?;
    let read = |row: &Row| Noted {
        entry: Entry {
            ledger: row.get(0),
            item: row.get(1),
            mark: row.get(2),
            number: row.get(3),
            stamp: row.get(4),
        },
        job: row.get(5),
        at_ms: row.get(6),
    };
    Ok(rows.iter().map(read).collect())
}

pub(super) async fn claim(
    client: &mut Object,
    now: Option<i64>,
    queue: &str,
    worker: &str,
    max: u32,
    lease: i64,
) -> Result<Vec<Claimed>, Flaw> {
    let transaction = client.transaction().await?;
    let is_limited = first(&transaction, sql::HAS_LIMITED, &[&queue]).await?.is_some();
    if is_limited {
        // What others claim meanwhile would not be counted.
        first(&transaction, "select pg_advisory_xact_lock(7305816524)", &[]).await?;
    }
    let text = if is_limited { &CLAIM_LIMITED } else { &CLAIM };
    let statement = transaction.prepare_cached(text).await?;
    let max = i64::from(max);
    let rows = transaction.query(&statement, &[&now, &lease, &worker, &queue, &max]).await?;
    let mut claimed = rows.iter().map(claimed).collect::<Vec<_>>();
    if claimed.is_empty() {
        return Ok(claimed);
    }
    claimed.sort_by_key(Claimed::place);
    let ids: Vec<i64> = claimed.iter().map(|job| job.held.id).collect();
    happened(&transaction, now, &ids, "claimed", worker).await?;
    let old = claimed.iter().filter(|job| sql::is_time_to_forget(job.held.token));
    let old: Vec<i64> = old.map(|job| job.held.id).collect();
    if !old.is_empty() {
        let statement = transaction.prepare_cached(FORGET).await?;
        transaction.execute(&statement, &[&old]).await?;
    }
    transaction.commit().await?;
    Ok(claimed)
}

fn claimed(row: &Row) -> Claimed {
    Claimed {
        held: Lease { id: row.get(0), token: row.get(1) },
        kind: row.get(2),
        payload: row.get(3),
        progress: row.get(4),
        attempt: small(row, 5),
        attempts_max: small(row, 6),
        order: (row.get::<_, i64>(7) as i32, row.get(8)),
    }
}

pub(super) async fn heartbeat(
    client: &mut Object,
    now: Option<i64>,
    held: Lease,
    lease: i64,
    progress: Option<String>,
) -> Result<Wish, Flaw> {
    let progress = progress.map(|text| cut(&text, RESULT_BYTES_MAX));
    let statement = client.prepare_cached(&HEARTBEAT).await?;
    let values: [Value<'_>; 5] = [&now, &held.id, &held.token, &lease, &progress];
    let row = client.query_opt(&statement, &values).await?;
    Ok(Wish::of(row.ok_or(StoreError::LeaseLost(held))?.get(0)))
}

pub(super) async fn settle(
    client: &mut Object,
    now: Option<i64>,
    held: Lease,
    ending: &Ending,
) -> Result<(), Flaw> {
    let Lease { id, token } = &held;
    let transaction = client.transaction().await?;
    let (row, detail) = match ending {
        Ending::Done { result } => {
            let result = cut(result, RESULT_BYTES_MAX);
            (first(&transaction, &DONE, &[&now, id, token, &result]).await?, String::new())
        }
        Ending::Failed { error, retry_after } => {
            let (error, wait) = (cut(error, ERROR_BYTES_MAX), retry_after.map(millis));
            let values: [Value<'_>; 5] = [&now, id, token, &error, &wait];
            (first(&transaction, &FAILED, &values).await?, error)
        }
        Ending::Released { wait } => {
            let values: [Value<'_>; 5] = [&now, id, token, &"ready", &millis(*wait)];
            (first(&transaction, &GIVEN_BACK, &values).await?, "given back".to_owned())
        }
        Ending::Paused => {
            let values: [Value<'_>; 5] = [&now, id, token, &"paused", &0_i64];
            (first(&transaction, &GIVEN_BACK, &values).await?, String::new())
        }
        Ending::Cancelled => {
            (first(&transaction, &CANCELLED, &[&now, id, token]).await?, String::new())
        }
    };
    let row = row.ok_or(StoreError::LeaseLost(held))?;
    let (state, tell_queue): (&str, Option<&str>) = (row.get(0), row.get(1));
    let at_once: Option<i64> = row.get(2);
    happened(&transaction, now, &[*id], state, &detail).await?;
    tell(&transaction, now, tell_queue, held).await?;
    // Somebody may take it, tell of it, or begin another one of its kind.
    if state == State::Ready.as_str() || tell_queue.is_some() || at_once.is_some() {
        told(&transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Puts in what tells of a job that is done or has failed, if anybody is to be told.
async fn tell(
    transaction: &Transaction<'_>,
    now: Option<i64>,
    queue: Option<&str>,
    held: Lease,
) -> Result<(), Flaw> {
    let Some(queue) = queue else { return Ok(()) };
    let ended = first(transaction, &GET, &[&held.id]).await?.as_ref().map(row);
    if let Some(ended) = ended.filter(|ended| ended.state.is_told()) {
        put(transaction, now, &EndedJob::told_in(queue, ended, held.token)).await?;
    }
    Ok(())
}

pub(super) async fn by_hand(
    client: &mut Object,
    now: Option<i64>,
    id: i64,
    statement: &str,
    what: &'static str,
) -> Result<State, Flaw> {
    let transaction = client.transaction().await?;
    let row = match first(&transaction, &words(statement), &[&now, &id]).await {
        // Another job with the same key is there by now.
        Err(Flaw::Postgres(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            let why = format!("job {id} has a unique key that another one has by now");
            return Err(StoreError::Refused(why).into());
        }
        other => other?,
    };
    if let Some(state) = row.and_then(|row| State::of(row.get(0))) {
        let detail = format!("{what} by hand");
        happened(&transaction, now, &[id], state.as_str(), &detail).await?;
        told(&transaction).await?;
        transaction.commit().await?;
        return Ok(state);
    }
    drop(transaction);
    match get(client, id).await? {
        None => Err(StoreError::NoJob(id).into()),
        Some(row) => Err(StoreError::NotNow { what, id, state: row.state }.into()),
    }
}

pub(super) async fn get(client: &mut Object, id: i64) -> Result<Option<JobRow>, Flaw> {
    let statement = client.prepare_cached(&GET).await?;
    Ok(client.query_opt(&statement, &[&id]).await?.as_ref().map(row))
}

pub(super) async fn list(client: &mut Object, filter: &Filter) -> Result<Vec<JobRow>, Flaw> {
    let Filter { queue, kind, state, before, .. } = filter;
    let (state, max) = (state.map(State::as_str), i64::from(filter.rows_max()));
    let text = format!("select {} {}", sql::COLUMNS, sql::LIST);
    let statement = client.prepare_cached(&text).await?;
    let rows = client.query(&statement, &[queue, kind, &state, &max, before]).await?;
    Ok(rows.iter().map(row).collect())
}

pub(super) async fn history(client: &mut Object, id: i64) -> Result<Vec<JobEvent>, Flaw> {
    let statement = client.prepare_cached(sql::HISTORY).await?;
    let rows = client.query(&statement, &[&id]).await?;
    let read = |row: &Row| JobEvent { at_ms: row.get(0), what: row.get(1), detail: row.get(2) };
    Ok(rows.iter().map(read).collect())
}

pub(super) async fn reap(client: &mut Object, now: Option<i64>) -> Result<u64, Flaw> {
    let transaction = client.transaction().await?;
    let statement = transaction.prepare_cached(&REAP).await?;
    let reaped = transaction.query(&statement, &[&now]).await?;
    if reaped.is_empty() {
        return Ok(0);
    }
    for row in &reaped {
        let (held, state) = (Lease { id: row.get(0), token: row.get(3) }, row.get::<_, &str>(1));
        happened(&transaction, now, &[held.id], state, "its lease ended").await?;
        tell(&transaction, now, row.get(2), held).await?;
    }
    told(&transaction).await?;
    transaction.commit().await?;
    Ok(reaped.len() as u64)
}

pub(super) async fn prune(
    client: &mut Object,
    now: Option<i64>,
    state: State,
    older: i64,
    max: u32,
) -> Result<u64, Flaw> {
    let statement = client.prepare_cached(&PRUNE).await?;
    let values: [Value<'_>; 4] = [&now, &older, &i64::from(max), &state.as_str()];
    Ok(client.execute(&statement, &values).await?)
}

/// Notes what happened to jobs.
async fn happened(
    transaction: &Transaction<'_>,
    now: Option<i64>,
    ids: &[i64],
    what: &str,
    detail: &str,
) -> Result<(), Flaw> {
    let statement = transaction.prepare_cached(&HAPPENED).await?;
    transaction.execute(&statement, &[&now, &ids, &what, &detail]).await?;
    Ok(())
}

/// Wakes who waits, once this is committed.
async fn told(transaction: &Transaction<'_>) -> Result<(), Flaw> {
    let statement = transaction.prepare_cached("select pg_notify($1, '')").await?;
    transaction.execute(&statement, &[&CHANNEL]).await?;
    Ok(())
}

/// Runs a statement that returns one row at most.
async fn first(
    transaction: &Transaction<'_>,
    text: &str,
    values: &[Value<'_>],
) -> Result<Option<Row>, Flaw> {
    let statement = transaction.prepare_cached(text).await?;
    Ok(transaction.query_opt(&statement, values).await?)
}

fn row(row: &Row) -> JobRow {
    JobRow {
        id: row.get(0),
        queue: row.get(1),
        kind: row.get(2),
        unique_key: row.get(3),
        state: State::of(row.get(4)).unwrap_or(State::Failed),
        wish: Wish::of(row.get(5)),
        priority: row.get::<_, i64>(6) as i32,
        run_at_ms: row.get(7),
        attempts: small(row, 8),
        attempts_max: small(row, 9),
        lease_until_ms: row.get(10),
        worker: row.get(11),
        payload: row.get(12),
        progress: row.get(13),
        result: row.get(14),
        error: row.get(15),
        created_ms: row.get(16),
        changed_ms: row.get(17),
    }
}

/// Reads a number that was written as a small one.
fn small(row: &Row, column: usize) -> u32 {
    row.get::<_, i64>(column).try_into().unwrap_or(u32::MAX)
}

/// How many times a job is tried to be put in whose key is taken, and then is not.
const CONFLICTS_MAX: u32 = 5;
