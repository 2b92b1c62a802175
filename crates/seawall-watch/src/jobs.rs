//! Counts what becomes of jobs and their lines.
//!
//! Does not know: what a job is. Whoever runs one tells it now and then, never once a line.

use std::time::Duration;

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

/// What becomes of lines, each at its place.
pub(crate) const LINE_OUTCOMES: [&str; 3] = ["ok", "dead", "filtered"];
/// How many jobs are told apart; the further ones are counted together as `other`.
pub(crate) const JOBS_MAX: u16 = 1024;
