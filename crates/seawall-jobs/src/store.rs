//! What a store of jobs can do, whichever database it is.
//!
//! Does not know: SQL. Invariants, for every store: a token is held by one; what a token does that
//! is not the newest changes nothing; a job is never in two states; attempts are counted when they
//! begin, so that a job that kills its worker ends as failed.

use std::cmp::Reverse;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::ledger::{Entry, Noted};

/// The future that a store method returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps jobs.
///
/// # Cancel safety
///
/// Dropping an answer does not take the operation back: it may have been carried out.
pub trait JobStore: Send + Sync + 'static {
    /// Puts a job in; if one with the same `unique_key` is ready, running or paused, that one is
    /// the answer and nothing is put in. If its `entry` is in the ledger already nothing is put in
    /// either, whatever became of the job of that entry.
    fn insert(&self, job: NewJob) -> StoreFuture<'_, Inserted>;

    /// Notes an entry without a job, or what it looks like now; returns whether it was new.
    fn note(&self, entry: Entry) -> StoreFuture<'_, bool>;

    /// Returns the entries of these items, up to a thousand items at once.
    fn noted(&self, ledger: &str, items: Vec<String>) -> StoreFuture<'_, Vec<Noted>>;

    /// Takes up to `max` jobs that are ready, the highest priority first, then the longest due.
    /// Whoever takes one holds it until the lease ends, and begins an attempt.
    fn claim(
        &self,
        queue: &str,
        worker: &str,
        max: u32,
        lease: Duration,
    ) -> StoreFuture<'_, Vec<Claimed>>;

    /// Says that a job is still worked on, and how far it is; the answer is what others wish.
    fn heartbeat(
        &self,
        held: Lease,
        lease: Duration,
        progress: Option<String>,
    ) -> StoreFuture<'_, Wish>;

    /// Gives a job back.
    fn settle(&self, held: Lease, ending: Ending) -> StoreFuture<'_, ()>;

    /// Holds a job: at once if it is ready, else when its worker hears of it.
    fn pause(&self, id: i64) -> StoreFuture<'_, State>;

    /// Lets a job that was paused, failed or was cancelled begin again, with all its attempts.
    fn resume(&self, id: i64) -> StoreFuture<'_, State>;

    /// Ends a job: at once if it is ready or paused, else when its worker hears of it. One that has
    /// failed is cancelled, too: somebody has seen it, and wants no more of it.
    fn cancel(&self, id: i64) -> StoreFuture<'_, State>;

    /// Returns a job.
    fn get(&self, id: i64) -> StoreFuture<'_, Option<JobRow>>;

    /// Lists jobs, the newest first.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Vec<JobRow>>;

    /// Returns the last things that happened to a job, the newest first; a hundred are kept.
    fn history(&self, id: i64) -> StoreFuture<'_, Vec<JobEvent>>;

    /// Makes jobs ready again whose worker has let its lease end, and fails those that have no
    /// attempt left; returns how many.
    fn reap(&self) -> StoreFuture<'_, u64>;

    /// Deletes up to `max` jobs that have been done, failed or cancelled for so long; returns how many.
    /// In any other state none is.
    fn prune(&self, state: State, older: Duration, max: u32) -> StoreFuture<'_, u64>;

    /// Waits until a job may have become ready or a wish may have been made. It may say so too
    /// often, and after a lost connection too late: ask every second as well.
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Is a job to be put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Who works it off; at most 200 bytes, as `kind` and `unique_key`.
    pub queue: String,
    /// What it is.
    pub kind: String,
    /// Of the jobs with the same key only one is ready, running or paused.
    pub unique_key: Option<String>,
    /// What it is put in for: of an entry only one job is ever put in.
    pub entry: Option<Entry>,
    /// Of its kind so many run at once at most, on all machines together (default: any number).
    pub at_once: Option<u32>,
    /// Which queue gets a job when this one is done or has failed for good, with an
    /// [`EndedJob`](crate::EndedJob) as its payload.
    pub tell_queue: Option<String>,
    /// Those with more go first.
    pub priority: i32,
    /// When it is due, in milliseconds since 1970 (default: at once).
    pub run_at_ms: Option<i64>,
    /// How many times it is begun at most, from 1.
    pub attempts_max: u32,
    /// All that whoever works it off needs to know; at most 1 MiB.
    pub payload: String,
}

impl NewJob {
    /// Makes a job that is due at once and is begun five times at most.
    pub fn new(queue: &str, kind: &str, payload: impl Into<String>) -> Self {
        Self {
            queue: queue.to_owned(),
            kind: kind.to_owned(),
            unique_key: None,
            entry: None,
            at_once: None,
            tell_queue: None,
            priority: 0,
            run_at_ms: None,
            attempts_max: 5,
            payload: payload.into(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let names = [("queue", &self.queue), ("kind", &self.kind)].into_iter();
        let names = names
            .chain(self.unique_key.as_ref().map(|key| ("unique key", key)))
            .chain(self.tell_queue.as_ref().map(|queue| ("queue that is told", queue)));
        for (what, name) in names {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
                let why = format!("its {what} has {} bytes; 1 to {NAME_BYTES_MAX}", name.len());
                return Err(StoreError::Refused(why));
            }
        }
        if self.payload.len() > PAYLOAD_BYTES_MAX || self.payload.contains('\0') {
            let why = format!("its payload has a NUL, or more than {PAYLOAD_BYTES_MAX} bytes");
            return Err(StoreError::Refused(why));
        }
        if let Some(why) = self.entry.as_ref().and_then(Entry::refused) {
            return Err(StoreError::Refused(why));
        }
        match (self.attempts_max, self.at_once) {
            (0, _) => Err(StoreError::Refused("it may be begun no time at all".to_owned())),
            (_, Some(0)) => Err(StoreError::Refused("none of its kind may run".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Says which job it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Its number; of an entry that was noted without a job, 0.
    pub id: i64,
    /// Whether it was put in now.
    pub is_new: bool,
    /// Whether it was not because its entry is in the ledger already.
    pub is_noted: bool,
}

/// The right to work on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub id: i64,
    /// Which holder of it: each one has a higher token than those before.
    pub token: i64,
}

/// Is a job to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The right to.
    pub held: Lease,
    /// What it is.
    pub kind: String,
    /// What is known of it.
    pub payload: String,
    /// What the last holder said of how far it is.
    pub progress: Option<String>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many there are at most.
    pub attempts_max: u32,
    pub(crate) order: (i32, i64),
}

impl Claimed {
    /// Returns what claimed jobs are ordered by: the most urgent first.
    pub(crate) fn place(&self) -> (Reverse<i32>, i64, i64) {
        let (priority, run_at_ms) = self.order;
        (Reverse(priority), run_at_ms, self.held.id)
    }
}

/// Says what others wish of a job that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To go on.
    Go,
    /// To stop so that it can go on later.
    Pause,
    /// To end.
    Cancel,
}

impl Wish {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    pub(crate) fn of(word: &str) -> Self {
        match word {
            "pause" => Self::Pause,
            "cancel" => Self::Cancel,
            _ => Self::Go,
        }
    }
}

/// Says how a holder gives a job back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Done {
        /// What it came to; at most 64 KiB are kept.
        result: String,
    },
    /// It failed, and is tried again then; or has failed for good, without a time or an attempt.
    Failed {
        /// Why; at most 4 KiB are kept.
        error: String,
        /// How long it waits before it is ready again.
        retry_after: Option<Duration>,
    },
    /// It was not its fault: the attempt does not count, and it is ready again after a while.
    Released {
        /// How long it waits.
        wait: Duration,
    },
    /// It was paused; the attempt does not count.
    Paused,
    /// It was cancelled.
    Cancelled,
}

/// Says what a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for its time, or for a worker.
    Ready,
    /// Somebody holds it.
    Running,
    /// It waits to be resumed.
    Paused,
    /// It is done.
    Done,
    /// It failed for good.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Running, Self::Paused, Self::Done, Self::Failed, Self::Cancelled];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether others are told of a job that came to it.
    pub(crate) const fn is_told(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }

    /// Returns the state of that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Is a job as the store has it. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// Who works it off.
    pub queue: String,
    /// What it is.
    pub kind: String,
    /// Of the jobs with the same key only one is ready, running or paused.
    pub unique_key: Option<String>,
    /// What it does.
    pub state: State,
    /// What others wish of it while it is running.
    pub wish: Wish,
    /// Those with more go first.
    pub priority: i32,
    /// When it is due.
    pub run_at_ms: i64,
    /// How many times it was begun.
    pub attempts: u32,
    /// How many times at most.
    pub attempts_max: u32,
    /// Until when its holder has it.
    pub lease_until_ms: Option<i64>,
    /// Who holds it.
    pub worker: Option<String>,
    /// What whoever works it off needs to know.
    pub payload: String,
    /// How far its last holder said it is.
    pub progress: Option<String>,
    /// What it came to.
    pub result: Option<String>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// When it was put in.
    pub created_ms: i64,
    /// When its state last changed.
    pub changed_ms: i64,
}

/// Says which jobs are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Put in before the one with this number: to see more than one answer has.
    pub before: Option<i64>,
    /// The maximum number of rows (default: 100, at most 1,000).
    pub limit: Option<u32>,
}

impl Filter {
    pub(crate) fn rows_max(&self) -> u32 {
        self.limit.unwrap_or(100).min(1000)
    }
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEvent {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What: `inserted`, `claimed`, or the state it came to.
    pub what: String,
    /// More about it: who claimed it, why it failed.
    pub detail: String,
}

/// Says why a store did not do something; reads after "could not".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The job is not held under this token any more: others have it, or it was given back.
    #[error("change job {}: its lease was lost, and it is not this worker's any more", .0.id)]
    LeaseLost(Lease),
    /// There is no such job.
    #[error("find job {0}: there is none with this number")]
    NoJob(i64),
    /// The job is in a state in which this cannot be done.
    #[error("{what} job {id}: it is {state}")]
    NotNow {
        /// What was to be done.
        what: &'static str,
        /// With which job.
        id: i64,
        /// What it is doing.
        state: State,
    },
    /// The job is not taken as it is.
    #[error("take the job: {0}")]
    Refused(String),
    /// The database failed; nothing was done, or it is not known.
    #[error("{what}: {why}")]
    Database {
        /// What was to be done, with which database.
        what: String,
        /// What the database says.
        why: String,
    },
    /// The store was closed.
    #[error("use the store: it was closed")]
    Closed,
}

/// Cuts a text to so many bytes, and marks that it did. A NUL cannot be kept by every database.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    let text = text.replace('\0', "\u{fffd}");
    match text.len() > bytes_max {
        false => text,
        true => {
            let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            format!("{}…", &text[..end])
        }
    }
}

const NAME_BYTES_MAX: usize = 200;
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
pub(crate) const RESULT_BYTES_MAX: usize = 64 << 10;
pub(crate) const ERROR_BYTES_MAX: usize = 4 << 10;
