//! A policy around SQL: what is busy is tried again, what is wrong is not, what is slow is stopped.
//!
//!     cargo run -p seawall-examples --bin around_sql
//!
//! SQLite blocks its thread, so each query runs on tokio's blocking pool; dropping the attempt
//! interrupts it there, in the database, and not only here.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle};
use seawall_call::{Attempt, Context, Policy, judge_by};
use seawall_core::{Code, Failure, Outcome};

/// Interrupts the query of an attempt that is dropped before its end.
struct Stop(Arc<InterruptHandle>);

impl Drop for Stop {
    fn drop(&mut self) {
        // Of no effect if the query has ended.
        self.0.interrupt();
    }
}

/// Runs one statement on a connection of its own; a server would take one from a pool.
async fn query(path: &str, sql: &'static str) -> Result<i64, rusqlite::Error> {
    let connection = Connection::open(path)?;
    // The policy waits, with jitter and a budget; SQLite must not wait besides.
    connection.busy_timeout(Duration::ZERO)?;
    let _stop = Stop(Arc::new(connection.get_interrupt_handle()));
    let work = tokio::task::spawn_blocking(move || {
        if sql.starts_with("SELECT") || sql.starts_with("WITH") {
            connection.query_row(sql, (), |row| row.get(0))
        } else {
            connection.execute(sql, ()).map(|rows| rows as i64)
        }
    });
    work.await.expect("the query does not panic")
}

const BUSY: Code = Code::new("BUSY").unwrap();

/// Says what a result says about the database.
fn judge(result: Result<&i64, &rusqlite::Error>) -> Outcome {
    match result.map_err(|error| error.sqlite_error_code()) {
        // It is there and works; who sent a wrong statement would send it again.
        Ok(_) | Err(Some(ErrorCode::ConstraintViolation | ErrorCode::Unknown)) => Outcome::Success,
        Err(Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
            Outcome::Failure(Failure::Transient(BUSY))
        }
        Err(_) => Outcome::Failure(Failure::Reset),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("seawall-around-sql-{}.db", std::process::id()));
    let path = file.to_str().ok_or("the temporary directory has a strange name")?;
    let writer = Connection::open(path)?;
    writer
        .execute_batch("CREATE TABLE city (name TEXT UNIQUE); INSERT INTO city VALUES ('oslo')")?;

    let policy = Policy::builder()
        .total_timeout(Duration::from_secs(2))
        .attempt_timeout(Duration::from_millis(300))
        .retry(|retry| retry.backoff.base = Duration::from_millis(100))
        .limit(|limit| limit.in_flight_max = 8)
        .build()?;
    let judge = judge_by(judge).never_hedged();
    let call =
        async |sql| policy.call(Context::default(), &judge, async |_| query(path, sql).await).await;

    // Somebody else holds the lock until the second attempt.
    writer.execute_batch("BEGIN IMMEDIATE")?;
    let insert = async |attempt: Attempt| {
        if attempt.number == 2 {
            writer.execute_batch("COMMIT")?;
        }
        query(path, "INSERT INTO city VALUES ('bergen')").await
    };
    let (inserted, _) = policy.call(Context::default(), &judge, insert).await?;
    println!("inserted {} row, {}", inserted.value, inserted.fate);

    let twice = call("INSERT INTO city VALUES ('bergen')").await;
    let error = twice.expect_err("it is unique");
    let why = error.inner().and_then(rusqlite::Error::sqlite_error_code);
    println!("inserted twice: {error}, {why:?}");

    let slow =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let stopped = call(slow).await.expect_err("it counts for ever");
    // The program ends, so the queries have: tokio waits for its blocking threads.
    println!("counted for ever: {stopped}");

    let (count, _) = call("SELECT count(*) FROM city").await?;
    println!("cities: {}", count.value);
    std::fs::remove_file(file)?;
    Ok(())
}
