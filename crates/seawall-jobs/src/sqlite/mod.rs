//! Jobs in a file of SQLite: one writer thread that commits in groups, and a reader beside it.
//!
//! Does not know: what jobs do. What was answered is on the disk (`synchronous = full`). Several
//! processes may have the same file open; what another one does is seen when it is asked for.

mod statements;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::clock::{Clock, millis};
use crate::ledger::{Entry, Noted};
use crate::sql;
use crate::store::{
    Claimed, Ending, Filter, Inserted, JobEvent, JobRow, JobStore, Lease, NewJob, State,
    StoreError, StoreFuture, Wish,
};
use statements as run;
use writer::{Work, Writer, in_savepoint};

/// Keeps jobs in a file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    clock: Clock,
    queue: mpsc::Sender<Work>,
    reader: Arc<Mutex<Connection>>,
    changed: Arc<Notify>,
    /// Joined when the store goes: what was taken is written.
    writer: Option<Writer>,
}

impl SqliteStore {
    /// Opens a file, or makes it, readable by its owner alone; blocks for a moment.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened, is no database, or was written by a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, Clock::System)
    }

    /// Opens it with another clock.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_with(path: impl AsRef<Path>, clock: Clock) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let failed = |why: String| StoreError::Database {
            what: format!("open the jobs in {}", path.display()),
            why,
        };
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.map_err(|error| failed(error.to_string()))?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .and_then(|connection| prepare(&connection).map(|version| (connection, version)));
        let (connection, version) = connection.map_err(|error| failed(error.to_string()))?;
        if version != sql::VERSION {
            let ours = sql::VERSION;
            return Err(failed(format!(
                "it is of version {version}, and this program knows {ours}"
            )));
        }
        let reader = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|error| failed(error.to_string()))?;
        let changed = Arc::new(Notify::new());
        let (queue, works) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::start(connection, works).map_err(|error| failed(error.to_string()))?;
        let reader = Arc::new(Mutex::new(reader));
        Ok(Self { path, clock, queue, reader, changed, writer: Some(writer) })
    }

    /// Has the writer do something, with the time; answered when it is on the disk.
    fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        wakes: Wakes,
        work: impl FnOnce(&Connection, i64) -> Result<T, Flaw> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (clock, path, changed) = (self.clock.clone(), self.path.clone(), self.changed.clone());
        Box::pin(async move {
            let (tx, rx) = oneshot::channel();
            let name = move |why: String| StoreError::Database {
                what: format!("{what} in {}", path.display()),
                why,
            };
            let work: Work = Box::new(move |connection| {
                // Without a transaction nothing is done, and why is told below.
                let done = connection.map_or(Err(StoreError::Closed), |connection| {
                    in_savepoint(connection, |connection| work(connection, clock.now_ms()))
                        .map_err(|flaw| flaw.named(&name))
                });
                Box::new(move |not_committed: Option<&str>| {
                    let done = match not_committed {
                        Some(why) => Err(name(why.to_owned())),
                        None => done,
                    };
                    if wakes == Wakes::Others && done.is_ok() {
                        changed.notify_waiters();
                    }
                    // Whoever asked may have gone.
                    let _ = tx.send(done);
                })
            });
            self.queue.send(work).await.map_err(|_| StoreError::Closed)?;
            rx.await.map_err(|_| StoreError::Closed)?
        })
    }

    /// Reads, beside the writer.
    fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (reader, path) = (self.reader.clone(), self.path.clone());
        Box::pin(async move {
            let read = spawn_blocking(move || {
                work(&reader.lock().unwrap_or_else(PoisonError::into_inner))
            });
            read.await.map_err(|_| StoreError::Closed)?.map_err(|error| {
                let what = format!("{what} in {}", path.display());
                StoreError::Database { what, why: error.to_string() }
            })
        })
    }
}

impl JobStore for SqliteStore {
    fn insert(&self, job: NewJob) -> StoreFuture<'_, Inserted> {
        if let Err(refused) = job.check() {
            return Box::pin(async { Err(refused) });
        }
        self.write("put a job", Wakes::Others, move |connection, now| {
            run::insert(connection, now, &job)
        })
    }

    fn note(&self, entry: Entry) -> StoreFuture<'_, bool> {
        if let Some(why) = entry.refused() {
            return Box::pin(async { Err(StoreError::Refused(why)) });
        }
        self.write("note an entry", Wakes::Nobody, move |connection, now| {
            run::note(connection, now, &entry)
        })
    }

    fn noted(&self, ledger: &str, items: Vec<String>) -> StoreFuture<'_, Vec<Noted>> {
        let ledger = ledger.to_owned();
        self.read("read the ledger", move |connection| run::noted(connection, &ledger, &items))
    }

    fn claim(
        &self,
        queue: &str,
        worker: &str,
        max: u32,
        lease: Duration,
    ) -> StoreFuture<'_, Vec<Claimed>> {
        let (queue, worker) = (queue.to_owned(), worker.to_owned());
        self.write("claim jobs", Wakes::Nobody, move |connection, now| {
            run::claim(connection, now, &queue, &worker, max, millis(lease))
        })
    }

    fn heartbeat(
        &self,
        held: Lease,
        lease: Duration,
        progress: Option<String>,
    ) -> StoreFuture<'_, Wish> {
        self.write("keep a job", Wakes::Nobody, move |connection, now| {
            run::heartbeat(connection, now, held, millis(lease), progress)
        })
    }

    fn settle(&self, held: Lease, ending: Ending) -> StoreFuture<'_, ()> {
        self.write("give a job back", Wakes::Others, move |connection, now| {
            run::settle(connection, now, held, &ending)
        })
    }

    fn pause(&self, id: i64) -> StoreFuture<'_, State> {
        self.write("pause a job", Wakes::Others, move |connection, now| {
            run::by_hand(connection, now, id, sql::PAUSE, "pause")
        })
    }

    fn resume(&self, id: i64) -> StoreFuture<'_, State> {
        self.write("resume a job", Wakes::Others, move |connection, now| {
            run::by_hand(connection, now, id, sql::RESUME, "resume")
        })
    }

    fn cancel(&self, id: i64) -> StoreFuture<'_, State> {
        self.write("cancel a job", Wakes::Others, move |connection, now| {
            run::by_hand(connection, now, id, sql::CANCEL, "cancel")
        })
    }

    fn get(&self, id: i64) -> StoreFuture<'_, Option<JobRow>> {
        self.read("read a job", move |connection| run::get(connection, id))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Vec<JobRow>> {
        self.read("list jobs", move |connection| run::list(connection, &filter))
    }

    fn history(&self, id: i64) -> StoreFuture<'_, Vec<JobEvent>> {
        self.read("read the history of a job", move |connection| run::history(connection, id))
    }

    fn reap(&self) -> StoreFuture<'_, u64> {
        self.write("look for jobs that were left", Wakes::Others, run::reap)
    }

    fn prune(&self, state: State, older: Duration, max: u32) -> StoreFuture<'_, u64> {
        self.write("delete old jobs", Wakes::Nobody, move |connection, now| {
            run::prune(connection, now, state, millis(older), max)
        })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Made now, not when it is polled: what happens in between is not missed.
        Box::pin(self.changed.notified())
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Its queue ends with the last sender; what is in it is written first.
        let (closed, _) = mpsc::channel(1);
        self.queue = closed;
        drop(self.writer.take());
    }
}

/// Says who is to look again after a work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wakes {
    Others,
    /// Else signs of life would call forth further ones.
    Nobody,
}

/// Says why a work was not done.
enum Flaw {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl Flaw {
    fn named(self, name: &dyn Fn(String) -> StoreError) -> StoreError {
        match self {
            Self::Sqlite(error) => name(error.to_string()),
            Self::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Flaw {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Makes the tables, or takes older ones over; returns their version.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let version = || -> rusqlite::Result<i64> {
        connection.query_row("select user_version from pragma_user_version", [], |r| r.get(0))
    };
    if version()? < sql::VERSION {
        connection.execute_batch("begin immediate")?;
        // Another process may have been quicker.
        for step in sql::STEPS.iter().skip(usize::try_from(version()?).unwrap_or(usize::MAX)) {
            let tables = step
                .replace("NUMBER", "integer primary key autoincrement")
                .replace("INT", "integer")
                .replace("END", "strict");
            connection.execute_batch(&tables)?;
        }
        connection.pragma_update(None, "user_version", sql::VERSION.max(version()?))?;
        connection.execute_batch("commit")?;
    }
    version()
}

/// How many works wait for the writer; who has more to do waits for room.
const QUEUE_MAX: usize = 1024;
/// How long another process may hold the file.
const BUSY_MAX: Duration = Duration::from_secs(5);
