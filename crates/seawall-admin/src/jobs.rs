//! What may be asked of the jobs, as documents.
//!
//! Does not know: what jobs do, where they are kept.

use std::path::PathBuf;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The jobs of the server, as far as they can be asked about.
pub trait Jobs: Send + Sync {
    /// Answers with a document, or says why not.
    ///
    /// # Cancel safety
    ///
    /// What was asked for may have been done.
    fn answer(&self, request: JobRequest) -> JobAnswer<'_>;
}

/// The future that an answer about jobs comes from.
pub type JobAnswer<'a> = Pin<Box<dyn Future<Output = Result<Json, String>> + Send + 'a>>;

/// What is asked of the jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum JobRequest {
    /// All jobs of the settings, and the last runs.
    List {
        /// Those of this job.
        job: Option<String>,
        /// Those in this state.
        state: Option<String>,
        /// So many at most.
        limit: Option<u32>,
    },
    /// One run, and what happened to it.
    Show {
        /// Its number.
        id: i64,
    },
    /// To run a job of the settings now, or over something else than its input.
    Run {
        /// The job.
        job: String,
        /// What is other than in the settings.
        #[serde(default)]
        with: NewRun,
    },
    /// To hold a run.
    Pause {
        /// Its number.
        id: i64,
    },
    /// To let a run go on, or begin again.
    Resume {
        /// Its number.
        id: i64,
    },
    /// To let all that failed begin again, or those of one job.
    ResumeFailed {
        /// The job.
        job: Option<String>,
    },
    /// To end a run.
    Cancel {
        /// Its number.
        id: i64,
    },
}

/// A run to be put in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewRun {
    /// The file that is read instead of the job's input.
    pub path: Option<PathBuf>,
    /// The lines themselves: a text, or a list with a line for each item.
    pub payload: Option<Json>,
    /// Where answers go; by default beside those of the job, under the name of the run.
    pub output: Option<PathBuf>,
    /// Of runs that are put in under one key there is one.
    pub key: Option<String>,
    /// How long it waits before it begins.
    pub delay: Option<String>,
}
