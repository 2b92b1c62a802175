//! A protocol that is not HTTP finds its place: its own judge, one pool for all, and a cancel that
//! takes time.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_call::{CallError, Context, Policy};
use seawall_core::{
    Attempt, Cause, Code, Failure, Fate, Fault, Judge, Outcome, RetryDenied, Silent, Step,
    UpstreamId,
};
use seawall_policy::{Params, bulkhead, retry, timeout};
use seawall_upstream::{Cancellations, Protocol, Upstream};
use tokio::time::sleep;

/// A database that runs scripts: the first statement of a connection may fail or hang.
struct Database {
    pool: Arc<Pool>,
    cancellations: Cancellations,
    /// How long a cancel request takes.
    cancel_takes: Duration,
}

/// The connections that are free, for the whole process.
#[derive(Default)]
struct Pool {
    free: Mutex<Vec<Connection>>,
    /// How many statements were cancelled, and connections closed.
    counts: Mutex<(u32, u32)>,
}

#[derive(Debug)]
struct Connection;

/// A connection that is lent for one statement.
struct Lease<'a> {
    database: &'a Database,
    connection: Option<Connection>,
    is_running: bool,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let (pool, takes) = (Arc::clone(&self.database.pool), self.database.cancel_takes);
        let Some(connection) = self.connection.take() else { return };
        if !self.is_running {
            return pool.free.lock().unwrap().push(connection);
        }
        let cancel = {
            let pool = Arc::clone(&pool);
            async move {
                let closing = Closing(Arc::clone(&pool));
                sleep(takes).await;
                std::mem::forget(closing);
                pool.counts.lock().unwrap().0 += 1;
                pool.free.lock().unwrap().push(connection);
            }
        };
        if self.database.cancellations.begin(cancel).is_err() {
            pool.counts.lock().unwrap().1 += 1;
        }
    }
}

/// Counts a connection as closed that is dropped before its statement was cancelled.
struct Closing(Arc<Pool>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.counts.lock().unwrap().1 += 1;
    }
}

#[derive(Debug, PartialEq)]
enum Rows {
    Some(u32),
    /// Another transaction was in the way.
    Conflict,
}

/// What a statement does, attempt by attempt: rows, a conflict (0), or nothing for an hour (`None`).
struct Statement(Vec<Option<u32>>);

struct Serialization;

impl Judge<Rows, Fault> for Serialization {
    fn outcome(&self, result: Result<&Rows, &Fault>) -> Outcome {
        match result {
            Ok(Rows::Some(_)) => Outcome::Success,
            Ok(Rows::Conflict) => Outcome::Failure(Failure::Transient(Code::new("40001").unwrap())),
            Err(_) => Outcome::Failure(Failure::Reset),
        }
    }

    fn may_repeat(&self, _: Option<Result<&Rows, &Fault>>) -> Result<(), RetryDenied> {
        Ok(())
    }
}

impl Protocol for Database {
    type Request = Statement;
    type Response = Rows;
    type Judge<'a> = Serialization;

    fn judge<'a>(&self, _: &'a Statement, _: &'a Params) -> Serialization {
        Serialization
    }

    async fn attempt(
        &self,
        statement: &Statement,
        attempt: Attempt,
        _: &Params,
    ) -> Result<Rows, Fault> {
        let connection = self.pool.free.lock().unwrap().pop();
        let Some(connection) = connection else {
            return Err(Fault::upstream(Step::Connect, Cause::Exhausted));
        };
        let mut lease = Lease { database: self, connection: Some(connection), is_running: true };
        let does = statement.0[attempt.number as usize - 1];
        sleep(Duration::from_millis(10)).await;
        let rows = match does {
            Some(0) => Rows::Conflict,
            Some(rows) => Rows::Some(rows),
            None => std::future::pending().await,
        };
        lease.is_running = false;
        Ok(rows)
    }
}

/// Puts a policy of three attempts before a database with two connections.
fn database(cancel_takes: Duration) -> (Upstream<Database>, Arc<Pool>) {
    let pool = Arc::new(Pool::default());
    pool.free.lock().unwrap().extend([Connection, Connection]);
    let timeout = timeout::Params { attempt: Duration::from_secs(1), ..Default::default() };
    let retry = Some(retry::Params { attempts_max: 3, ..Default::default() });
    let limit = Some(bulkhead::Params { in_flight_max: 2, ..Default::default() });
    let params = Params { timeout, retry, limit, ..Params::bare() };
    let policy = Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1);
    let cancellations = Cancellations::new(2, Duration::from_secs(5));
    let database = Database { pool: Arc::clone(&pool), cancellations, cancel_takes };
    (Upstream::new("orders", policy, database), pool)
}

#[tokio::test(start_paused = true)]
async fn its_own_judge_says_what_is_repeated() {
    let (upstream, pool) = database(Duration::ZERO);
    let statement = Statement(vec![Some(0), Some(0), Some(7)]);
    let (answer, _place) = upstream.send(&statement, Context::default()).await.unwrap();
    assert_eq!((answer.value, answer.attempts), (Rows::Some(7), 3));
    assert_eq!(answer.fate, Fate::OkAfterRetry);
    assert_eq!(pool.free.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_is_given_up_is_cancelled_before_its_connection_is_lent_again() {
    let (upstream, pool) = database(Duration::from_millis(300));
    let statement = Statement(vec![None; 3]);
    let call = upstream.send(&statement, Context::default());
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
    assert_eq!(pool.free.lock().unwrap().len(), 1, "it is not free while it is cancelled");
    sleep(Duration::from_millis(400)).await;
    assert_eq!(pool.free.lock().unwrap().len(), 2);
    assert_eq!(*pool.counts.lock().unwrap(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_hangs_costs_the_connection_and_nothing_else() {
    let (upstream, pool) = database(Duration::from_secs(3600));
    let statement = Statement(vec![None; 3]);
    let error = upstream.send(&statement, Context::default()).await.unwrap_err();
    // Both connections are being cancelled: the third attempt has none.
    assert!(matches!(error, CallError::Failed { attempts: 3, .. }), "{error:?}");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(*pool.counts.lock().unwrap(), (0, 2));
    assert!(pool.free.lock().unwrap().is_empty());
}
