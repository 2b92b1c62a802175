//! Jobs in PostgreSQL, for several machines that share the work.
//!
//! Does not know: what jobs do. Tables stand in a schema of their own, `seawall`. Who claims passes
//! over rows that others are just taking; leases run by the database's clock, because those of the
//! machines differ. The connection is not encrypted yet: use it within a network that you trust.

mod listener;
mod statements;
mod texts;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls};

use crate::clock::{Clock, millis};
use crate::ledger::{Entry, Noted};
use crate::sql;
use crate::store::{
    Claimed, Ending, Filter, Inserted, JobEvent, JobRow, JobStore, Lease, NewJob, State,
    StoreError, StoreFuture, Wish,
};
use listener::Listener;
use statements as run;

/// Keeps jobs in a database.
pub struct PostgresStore {
    pool: Pool,
    clock: Clock,
    listener: Listener,
    /// The host and database, without user and password: what errors call it.
    name: String,
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host/database`, and makes the tables if there are
    /// none.
    ///
    /// # Errors
    ///
    /// Fails if the address means nothing, nobody answers, or a newer version made the tables. No
    /// error tells the password.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up; the tables are made whole or not at all.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, Clock::System).await
    }

    /// Says whether an address means something, without a look at the database.
    ///
    /// # Errors
    ///
    /// Fails if it means nothing.
    pub fn check(url: &str) -> Result<(), StoreError> {
        read(url).map(drop)
    }

    /// Connects with another clock.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::connect`].
    pub async fn connect_with(url: &str, clock: Clock) -> Result<Self, StoreError> {
        let mut config = read(url)?;
        let options = config.get_options().unwrap_or_default();
        config.options(format!("{options} -c search_path=seawall").trim_start());
        config.application_name("seawall");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_MAX);
        }
        let name = name(&config);
        let recycling_method = RecyclingMethod::Fast;
        let manager =
            Manager::from_config(config.clone(), NoTls, ManagerConfig { recycling_method });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .build()
            .map_err(|error| StoreError::Database {
                what: format!("open the jobs in {name}"),
                why: error.to_string(),
            })?;
        let store = Self { pool, clock, listener: Listener::new(config), name };
        let mut client = store.client("open the jobs").await?;
        let version = run::prepare(&mut client)
            .await
            .map_err(|flaw| flaw.named(&|why| store.failed("make the tables for jobs", why)))?;
        drop(client);
        match version == sql::VERSION {
            true => Ok(store),
            false => {
                let ours = sql::VERSION;
                let why = format!("they are of version {version}, and this program knows {ours}");
                Err(store.failed("use the jobs", why))
            }
        }
    }

    fn failed(&self, what: &str, why: String) -> StoreError {
        StoreError::Database { what: format!("{what} in {}", self.name), why }
    }

    async fn client(&self, what: &str) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| self.failed(what, with_sources(&error)))
    }
}

fn read(url: &str) -> Result<Config, StoreError> {
    url.parse().map_err(|_| StoreError::Database {
        what: "open the jobs in PostgreSQL".to_owned(),
        // What is wrong with it may be a part of the password.
        why: "its address is none: postgres://user:password@host/database".to_owned(),
    })
}

/// Does something with a connection and the time, which the database is to say without a word.
macro_rules! ask {
    ($store:ident, $what:literal, |$client:ident, $now:ident| $work:expr) => {
        Box::pin(async move {
            let mut object = $store.client($what).await?;
            let ($client, $now) = (&mut object, $store.clock.set_ms());
            let done: Result<_, Flaw> = $work.await;
            done.map_err(|flaw| flaw.named(&|why| $store.failed($what, why)))
        })
    };
}

impl JobStore for PostgresStore {
    fn insert(&self, job: NewJob) -> StoreFuture<'_, Inserted> {
        if let Err(refused) = job.check() {
            return Box::pin(async { Err(refused) });
        }
        ask!(self, "put a job", |client, now| run::insert(client, now, &job))
    }

    fn note(&self, entry: Entry) -> StoreFuture<'_, bool> {
        if let Some(why) = entry.refused() {
            return Box::pin(async { Err(StoreError::Refused(why)) });
        }
        ask!(self, "note an entry", |client, now| run::note(client, now, &entry))
    }

    fn noted(&self, ledger: &str, items: Vec<String>) -> StoreFuture<'_, Vec<Noted>> {
        let ledger = ledger.to_owned();
        ask!(self, "read the ledger", |client, _now| run::noted(client, &ledger, &items))
    }

    fn claim(
        &self,
        queue: &str,
        worker: &str,
        max: u32,
        lease: Duration,
    ) -> StoreFuture<'_, Vec<Claimed>> {
        let (queue, worker) = (queue.to_owned(), worker.to_owned());
        ask!(self, "claim jobs", |client, now| {
            run::claim(client, now, &queue, &worker, max, millis(lease))
        })
    }

    fn heartbeat(
        &self,
        held: Lease,
        lease: Duration,
        progress: Option<String>,
    ) -> StoreFuture<'_, Wish> {
        ask!(self, "keep a job", |client, now| {
            run::heartbeat(client, now, held, millis(lease), progress)
        })
    }

    fn settle(&self, held: Lease, ending: Ending) -> StoreFuture<'_, ()> {
        ask!(self, "give a job back", |client, now| run::settle(client, now, held, &ending))
    }

    fn pause(&self, id: i64) -> StoreFuture<'_, State> {
        ask!(self, "pause a job", |client, now| {
            run::by_hand(client, now, id, sql::PAUSE, "pause")
        })
    }

    fn resume(&self, id: i64) -> StoreFuture<'_, State> {
        ask!(self, "resume a job", |client, now| {
            run::by_hand(client, now, id, sql::RESUME, "resume")
        })
    }

    fn cancel(&self, id: i64) -> StoreFuture<'_, State> {
        ask!(self, "cancel a job", |client, now| {
            run::by_hand(client, now, id, sql::CANCEL, "cancel")
        })
    }

    fn get(&self, id: i64) -> StoreFuture<'_, Option<JobRow>> {
        ask!(self, "read a job", |client, _now| run::get(client, id))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Vec<JobRow>> {
        ask!(self, "list jobs", |client, _now| run::list(client, &filter))
    }

    fn history(&self, id: i64) -> StoreFuture<'_, Vec<JobEvent>> {
        ask!(self, "read the history of a job", |client, _now| run::history(client, id))
    }

    fn reap(&self) -> StoreFuture<'_, u64> {
        ask!(self, "look for jobs that were left", |client, now| run::reap(client, now))
    }

    fn prune(&self, state: State, older: Duration, max: u32) -> StoreFuture<'_, u64> {
        ask!(self, "delete old jobs", |client, now| {
            run::prune(client, now, state, millis(older), max)
        })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.listener.changed()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Says why something was not done.
enum Flaw {
    Postgres(tokio_postgres::Error),
    Store(StoreError),
}

impl Flaw {
    fn named(self, name: &dyn Fn(String) -> StoreError) -> StoreError {
        match self {
            Self::Postgres(error) => name(with_sources(&error)),
            Self::Store(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for Flaw {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<StoreError> for Flaw {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Says an error with all that it came from.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        // Many repeat what they come from.
        if !text.contains(&more) {
            text += &format!(": {more}");
        }
        source = inner.source();
    }
    text
}

/// Names a database without telling who uses it, and with which password.
fn name(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("PostgreSQL {host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

/// How many connections there are at most; who has more to do waits for one.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection may take, and how long one is waited for.
const CONNECT_MAX: Duration = Duration::from_secs(5);
