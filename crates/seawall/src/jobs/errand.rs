//! What stands in the store for one run: which job, over which file, into which output.
//!
//! Does not know: the store, what the job does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use seawall_jobs::NewJob;
use serde::{Deserialize, Serialize};

use crate::settings::{Begins, JobMeant};

/// Is one run of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Errand {
    /// The job's name in the settings.
    pub(super) job: String,
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
    pub(super) dead: Option<PathBuf>,
    /// For which time it was put in, if by schedule.
    pub(super) scheduled_ms: Option<i64>,
    /// What the file looked like, if it appeared in a folder.
    pub(super) stamp: Option<String>,
}

impl Errand {
    /// Makes the run of a job at a time: by schedule, or by hand.
    pub(super) fn at(meant: &JobMeant, now_ms: i64, is_scheduled: bool) -> Self {
        let mark = |path: &PathBuf| match meant.begins {
            // Each run has an output of its own: the input is another one by then.
            Begins::At(_) => with_suffix(path, &format!(".{}", now_ms / 1000)),
            Begins::ByHand | Begins::WithFiles => path.clone(),
        };
        Self {
            job: meant.name.to_string(),
            input: meant.input.clone(),
            output: mark(&meant.output),
            dead: meant.dead.as_ref().map(mark),
            scheduled_ms: is_scheduled.then_some(now_ms),
            stamp: None,
        }
    }

    /// Makes the run of a job over a file that appeared in its folder.
    pub(super) fn over(meant: &JobMeant, name: &str, stamp: String) -> Self {
        Self {
            job: meant.name.to_string(),
            input: meant.input.join(name),
            output: meant.output.join(format!("{name}.out")),
            dead: meant.dead.as_ref().map(|folder| folder.join(format!("{name}.dead"))),
            scheduled_ms: None,
            stamp: Some(stamp),
        }
    }

    /// Returns the job as it is to be run.
    pub(super) fn meant(&self, meant: &JobMeant) -> JobMeant {
        JobMeant {
            input: self.input.clone(),
            output: self.output.clone(),
            dead: self.dead.clone(),
            ..meant.clone()
        }
    }

    /// Makes what is put into the store: of runs over the same file one is under way.
    pub(super) fn row(&self, meant: &JobMeant) -> NewJob {
        let payload = serde_json::to_string(self).unwrap_or_default();
        // Names may be long; a key is not.
        let key = blake3::hash(format!("{}\0{}", self.job, self.input.display()).as_bytes());
        NewJob {
            unique_key: Some(key.to_hex().to_string()),
            priority: meant.priority,
            attempts_max: meant.attempts_max,
            ..NewJob::new(QUEUE, &self.job, payload)
        }
    }

    /// Reads what stands in the store.
    pub(super) fn read(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The queue of all jobs of settings files.
pub(super) const QUEUE: &str = "lines";
