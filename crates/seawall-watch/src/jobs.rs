//! Counts what becomes of jobs and their lines.
//!
//! Does not know: what a job is. Whoever runs one tells it now and then, never once a line.

use std::time::Duration;

use serde::Serialize;

use crate::count::{Count, Counts};

/// Says how a run of a job ended, for now or for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every line has its outcome.
    Done,
    /// It stopped, and is begun again or has failed for good.
    Failed,
    /// The server stopped.
    GivenBack,
    /// Somebody holds it.
    Paused,
    /// Somebody ended it.
    Cancelled,
}

impl RunEnd {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Done, Self::Failed, Self::GivenBack, Self::Paused, Self::Cancelled];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::GivenBack => "given_back",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Counts of one job.
#[derive(Debug, Default)]
pub struct JobCells {
    pub(crate) runs_started: Count,
    pub(crate) runs_ended: Counts<{ RunEnd::ALL.len() }>,
    pub(crate) lines_ended: Counts<{ LINE_OUTCOMES.len() }>,
    pub(crate) retries: Count,
    pub(crate) in_flight: Count,
    pub(crate) oldest_millis: Count,
}

/// Says what became of lines since somebody told it last, and what they do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineNumbers {
    /// How many more have an answer.
    pub ok: u64,
    /// How many more failed.
    pub dead: u64,
    /// How many more needed no answer.
    pub filtered: u64,
    /// How many more attempts were not the first of their line.
    pub retries: u64,
    /// How many calls are under way.
    pub in_flight: u64,
    /// For how long the first line without an outcome has been that.
    pub oldest: Duration,
}

impl JobCells {
    /// Counts a run that begins, or goes on.
    pub fn run_started(&self) {
        self.runs_started.add();
    }

    /// Counts a run that ended.
    pub fn run_ended(&self, end: RunEnd) {
        self.runs_ended.add(end as usize);
        self.in_flight.set(0);
        self.oldest_millis.set(0);
    }

    /// Counts lines.
    pub fn lines(&self, numbers: LineNumbers) {
        let LineNumbers { ok, dead, filtered, retries, in_flight, oldest } = numbers;
        for (place, more) in [ok, dead, filtered].into_iter().enumerate() {
            self.lines_ended.add_many(place, more);
        }
        self.retries.add_many(retries);
        self.in_flight.set(in_flight);
        self.oldest_millis.set(u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX));
    }
}

/// Says how the jobs are, as the store had it a moment ago.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JobsStatus {
    /// Why the store cannot be used now; it is tried again.
    pub store_error: Option<String>,
    /// The jobs of the settings, in their order.
    pub jobs: Vec<JobStatus>,
    /// The runs that have failed for good, the newest first, and of those over the same input only
    /// the last.
    pub failed: Vec<RunStatus>,
}

/// Says how one job is.
#[derive(Clone, Debug, Serialize)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// When it begins: by hand, with files, or a schedule.
    pub begins: String,
    /// In how many seconds it begins next, if by schedule.
    pub next_seconds: Option<u64>,
    /// Its last run.
    pub last: Option<RunStatus>,
}

/// Says how one run is.
#[derive(Clone, Debug, Serialize)]
pub struct RunStatus {
    /// Its number.
    pub id: i64,
    /// Its job.
    pub job: String,
    /// What it does: `ready`, `running`, `paused`, `done`, `failed`, `cancelled`.
    pub state: &'static str,
    /// Which attempt it is at.
    pub attempts: u32,
    /// How many there are at most.
    pub attempts_max: u32,
    /// How much of the input is done, 0 to 1, if that is known.
    pub done: Option<f64>,
    /// Lines with an answer.
    pub lines_ok: Option<u64>,
    /// Lines that failed.
    pub lines_dead: Option<u64>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// How long ago its state changed.
    pub changed_seconds_ago: u64,
}

impl JobsStatus {
    /// Says what is wrong now, in words.
    pub(crate) fn attention(&self) -> Vec<String> {
        let store = self.store_error.iter().map(|why| format!("no jobs are run: {why}"));
        let named = self.failed.iter().take(FAILED_NAMED_MAX).map(|run| {
            let why = run.error.as_deref().unwrap_or("nobody says why");
            format!("job {}: run {} failed: {why}", run.job, run.id)
        });
        let more = self.failed.len().saturating_sub(FAILED_NAMED_MAX);
        let more = (more > 0).then(|| format!("{more} more runs of jobs failed"));
        store.chain(named).chain(more).collect()
    }
}

/// How many failed runs are named; the others are counted.
const FAILED_NAMED_MAX: usize = 5;
/// What becomes of lines, each at its place.
pub(crate) const LINE_OUTCOMES: [&str; 3] = ["ok", "dead", "filtered"];
/// How many jobs are told apart; the further ones are counted together as `other`.
pub(crate) const JOBS_MAX: u16 = 1024;
