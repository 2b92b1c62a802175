//! Every operation as SQLite is asked for it.
//!
//! Does not know: transactions, threads.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::Flaw;
use crate::ended::EndedJob;
use crate::ledger::{Entry, ITEMS_MAX, Noted};
use crate::sql;
use crate::store::{
    Claimed, ERROR_BYTES_MAX, Ending, Filter, Inserted, JobEvent, JobRow, Lease, NewJob,
    RESULT_BYTES_MAX, State, StoreError, Wish, cut,
};

pub(super) fn insert(connection: &Connection, now: i64, job: &NewJob) -> Result<Inserted, Flaw> {
    if let Some(entry) = &job.entry
        && !note(connection, now, entry)?
    {
        let Entry { ledger, item, mark, .. } = entry;
        let of = params![ledger, item, mark];
        let id: Option<i64> = first(connection, sql::JOB_NOTED, of, |row| row.get(0))?.flatten();
        return Ok(Inserted { id: id.unwrap_or(0), is_new: false, is_noted: true });
    }
    if let Some(id) = put(connection, now, job)? {
        if let Some(Entry { ledger, item, mark, .. }) = &job.entry {
            let mut statement = connection.prepare_cached(&words(sql::NOTE_JOB))?;
            statement.execute(params![ledger, item, mark, id])?;
        }
        return Ok(Inserted { id, is_new: true, is_noted: false });
    }
    let id = first(connection, sql::LIVE, params![job.unique_key], |row| row.get(0))?;
    // The only conflict there is: it was there a moment ago, and nobody else writes.
    let id = id.ok_or_else(|| StoreError::Refused("its unique key is taken".to_owned()))?;
    // Nothing is noted of a job that was not put in.
    connection.execute_batch("rollback to work")?;
    Ok(Inserted { id, is_new: false, is_noted: false })
}

/// Puts a job in, unless its key is taken.
fn put(connection: &Connection, now: i64, job: &NewJob) -> Result<Option<i64>, Flaw> {
    let NewJob { queue, kind, unique_key, priority, run_at_ms, attempts_max, payload, .. } = job;
    let NewJob { at_once, tell_queue, .. } = job;
    let values = params![
        now,
        queue,
        kind,
        unique_key,
        priority,
        run_at_ms,
        attempts_max,
        payload,
        at_once,
        tell_queue
    ];
    let id = first(connection, sql::INSERT, values, |row| row.get(0))?;
    if let Some(id) = id {
        happened(connection, now, id, "inserted", "")?;
    }
    Ok(id)
}

pub(super) fn note(connection: &Connection, now: i64, entry: &Entry) -> Result<bool, Flaw> {
    let Entry { ledger, item, mark, number, stamp } = entry;
    let values = params![now, ledger, item, mark, number, stamp];
    let number: Option<i64> = first(connection, sql::NOTE, values, |row| row.get(0))?;
    if number.is_none() {
        let mut statement = connection.prepare_cached(&words(sql::LOOKED))?;
        statement.execute(params![ledger, item, mark, stamp])?;
    }
    Ok(number.is_some())
}

pub(super) fn noted(
    connection: &Connection,
    ledger: &str,
    items: &[String],
) -> rusqlite::Result<Vec<Noted>> {
    let mut statement = connection.prepare_cached(&words(&format!("{} = $2", sql::NOTED)))?;
    let read = |row: &Row<'_>| {
        let entry = Entry {
            ledger: row.get(0)?,
            item: row.get(1)?,
            mark: row.get(2)?,
            number: row.get(3)?,
            stamp: row.get(4)?,
        };
        Ok(Noted { entry, job: row.get(5)?, at_ms: row.get(6)? })
    };
    let mut all = Vec::new();
    for item in items.iter().take(ITEMS_MAX) {
        for one in statement.query_map(params![ledger, item], read)? {
            all.push(one?);
        }
    }
    Ok(all)
}

pub(super) fn claim(
    connection: &Connection,
    now: i64,
    queue: &str,
    worker: &str,
    max: u32,
    lease: i64,
) -> Result<Vec<Claimed>, Flaw> {
    let is_limited = first(connection, sql::HAS_LIMITED, [queue], |_| Ok(()))?.is_some();
    let text = if is_limited { sql::claim_limited() } else { sql::claim() };
    let mut statement = connection.prepare_cached(&words(&text))?;
    let rows = statement.query_map(params![now, lease, worker, queue, max], |row| {
        Ok(Claimed {
            held: Lease { id: row.get(0)?, token: row.get(1)? },
            kind: row.get(2)?,
            payload: row.get(3)?,
            progress: row.get(4)?,
            attempt: row.get(5)?,
            attempts_max: row.get(6)?,
            order: (row.get(7)?, row.get(8)?),
        })
    })?;
    let mut claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    claimed.sort_by_key(Claimed::place);
    for job in &claimed {
        happened(connection, now, job.held.id, "claimed", worker)?;
        if sql::is_time_to_forget(job.held.token) {
            connection.prepare_cached(&words(sql::FORGET))?.execute([job.held.id])?;
        }
    }
    Ok(claimed)
}

pub(super) fn heartbeat(
    connection: &Connection,
    now: i64,
    held: Lease,
    lease: i64,
    progress: Option<String>,
) -> Result<Wish, Flaw> {
    let progress = progress.map(|text| cut(&text, RESULT_BYTES_MAX));
    let values = params![now, held.id, held.token, lease, progress];
    let wish: Option<String> = first(connection, sql::HEARTBEAT, values, |row| row.get(0))?;
    Ok(Wish::of(&wish.ok_or(StoreError::LeaseLost(held))?))
}

pub(super) fn settle(
    connection: &Connection,
    now: i64,
    held: Lease,
    ending: &Ending,
) -> Result<(), Flaw> {
    let Lease { id, token } = held;
    let state = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
    let (state, detail) = match ending {
        Ending::Done { result } => {
            let values = params![now, id, token, cut(result, RESULT_BYTES_MAX)];
            (first(connection, sql::DONE, values, state)?, String::new())
        }
        Ending::Failed { error, retry_after } => {
            let error = cut(error, ERROR_BYTES_MAX);
            let wait = retry_after.map(crate::clock::millis);
            (first(connection, sql::FAILED, params![now, id, token, error, wait], state)?, error)
        }
        Ending::Released { wait } => {
            let values = params![now, id, token, "ready", crate::clock::millis(*wait)];
            (first(connection, sql::GIVEN_BACK, values, state)?, "given back".to_owned())
        }
        Ending::Paused => {
            let values = params![now, id, token, "paused", 0];
            (first(connection, sql::GIVEN_BACK, values, state)?, String::new())
        }
        Ending::Cancelled => {
            (first(connection, sql::CANCELLED, params![now, id, token], state)?, String::new())
        }
    };
    let (state, told) = state.ok_or(StoreError::LeaseLost(held))?;
    happened(connection, now, id, &state, &detail)?;
    tell(connection, now, told.as_deref(), held)
}

/// Puts in what tells of a job that is done or has failed, if anybody is to be told.
fn tell(connection: &Connection, now: i64, queue: Option<&str>, held: Lease) -> Result<(), Flaw> {
    let Some(queue) = queue else { return Ok(()) };
    let row = get(connection, held.id)?.filter(|row| row.state.is_told());
    if let Some(row) = row {
        put(connection, now, &EndedJob::told_in(queue, row, held.token))?;
    }
    Ok(())
}

pub(super) fn by_hand(
    connection: &Connection,
    now: i64,
    id: i64,
    statement: &str,
    what: &'static str,
) -> Result<State, Flaw> {
    let state = first(connection, statement, params![now, id], |row| row.get::<_, String>(0));
    let state = match state {
        // Another job with the same key is there by now.
        Err(Flaw::Sqlite(error)) if is_conflict(&error) => {
            let why = format!("job {id} has a unique key that another one has by now");
            return Err(StoreError::Refused(why).into());
        }
        other => other?,
    };
    match state.as_deref().and_then(State::of) {
        Some(state) => {
            happened(connection, now, id, state.as_str(), &format!("{what} by hand"))?;
            Ok(state)
        }
        None => match get(connection, id)? {
            None => Err(StoreError::NoJob(id).into()),
            Some(row) => Err(StoreError::NotNow { what, id, state: row.state }.into()),
        },
    }
}

pub(super) fn get(connection: &Connection, id: i64) -> rusqlite::Result<Option<JobRow>> {
    let text = format!("select {} from jobs where id = ?1", sql::COLUMNS);
    connection.prepare_cached(&text)?.query_row([id], row).optional()
}

pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<JobRow>> {
    let text = words(&format!("select {} {}", sql::COLUMNS, sql::LIST));
    let Filter { queue, kind, state, before, .. } = filter;
    let state = state.map(State::as_str);
    let mut statement = connection.prepare_cached(&text)?;
    statement.query_map(params![queue, kind, state, filter.rows_max(), before], row)?.collect()
}

pub(super) fn history(connection: &Connection, id: i64) -> rusqlite::Result<Vec<JobEvent>> {
    let mut statement = connection.prepare_cached(&words(sql::HISTORY))?;
    let read =
        |row: &Row<'_>| Ok(JobEvent { at_ms: row.get(0)?, what: row.get(1)?, detail: row.get(2)? });
    statement.query_map([id], read)?.collect()
}

pub(super) fn reap(connection: &Connection, now: i64) -> Result<u64, Flaw> {
    let mut statement = connection.prepare_cached(&words(sql::REAP))?;
    let read = |row: &Row<'_>| {
        let held = Lease { id: row.get(0)?, token: row.get(3)? };
        Ok((held, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
    };
    let reaped = statement.query_map([now], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    for (held, state, told) in &reaped {
        happened(connection, now, held.id, state, "its lease ended")?;
        tell(connection, now, told.as_deref(), *held)?;
    }
    Ok(reaped.len() as u64)
}

pub(super) fn prune(
    connection: &Connection,
    now: i64,
    state: State,
    older: i64,
    max: u32,
) -> Result<u64, Flaw> {
    let mut statement = connection.prepare_cached(&words(sql::PRUNE))?;
    Ok(statement.execute(params![now, older, max, state.as_str()])? as u64)
}

fn happened(
    connection: &Connection,
    now: i64,
    id: i64,
    what: &str,
    detail: &str,
) -> Result<(), Flaw> {
    let mut statement = connection.prepare_cached(&words(sql::HAPPENED))?;
    statement.execute(params![now, id, what, detail])?;
    Ok(())
}

/// Runs a statement that returns one row at most.
fn first<T>(
    connection: &Connection,
    text: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, Flaw> {
    Ok(connection.prepare_cached(&words(text))?.query_row(values, read).optional()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        id: row.get(0)?,
        queue: row.get(1)?,
        kind: row.get(2)?,
        unique_key: row.get(3)?,
        state: State::of(&row.get::<_, String>(4)?).unwrap_or(State::Failed),
        wish: Wish::of(&row.get::<_, String>(5)?),
        priority: row.get(6)?,
        run_at_ms: row.get(7)?,
        attempts: row.get(8)?,
        attempts_max: row.get(9)?,
        lease_until_ms: row.get(10)?,
        worker: row.get(11)?,
        payload: row.get(12)?,
        progress: row.get(13)?,
        result: row.get(14)?,
        error: row.get(15)?,
        created_ms: row.get(16)?,
        changed_ms: row.get(17)?,
    })
}

fn is_conflict(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

/// Writes a statement as SQLite reads it.
fn words(text: &str) -> String {
    text.replace("NOW", "?1").replace("PICKED", "in (").replace("LOCK", ")").replace('$', "?")
}

impl From<StoreError> for Flaw {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
