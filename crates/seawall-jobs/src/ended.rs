//! What others are told when a job is done or has failed for good: a job of its own, in a queue of
//! its own, put in together with the end itself.
//!
//! Does not know: who is told, and how. Invariant: an end and the job that tells of it are in the
//! store together or not at all, so that a process that is killed between the two changes nothing.

use serde::{Deserialize, Serialize};

use crate::store::{JobRow, NewJob, State};

/// A job that has ended, as the job that tells of it has it in its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedJob {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub kind: String,
    /// `done` or `failed`.
    pub state: String,
    /// How many times it was begun.
    pub attempts: u32,
    /// What it came to, if it is done.
    pub result: Option<String>,
    /// Why it failed, if it has.
    pub error: Option<String>,
    /// When it was put in, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// The token of its last holder.
    pub token: i64,
}

impl EndedJob {
    /// Reads the payload of a job that tells of one.
    pub fn read(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }

    /// Returns whether it failed.
    pub fn has_failed(&self) -> bool {
        self.state == State::Failed.as_str()
    }

    /// Names this end of this job: the same however often it is told, and no other's. A job that was
    /// resumed after it failed ends once more.
    pub fn key(&self) -> String {
        format!("{}-{}-{}", self.created_ms, self.id, self.token)
    }

    /// Makes the job that tells of one.
    pub(crate) fn told_in(queue: &str, row: JobRow, token: i64) -> NewJob {
        let JobRow { id, kind, state, attempts, result, error, created_ms, changed_ms, .. } = row;
        let state = state.as_str().to_owned();
        let ended = Self {
            id,
            kind: kind.clone(),
            state,
            attempts,
            result,
            error,
            created_ms,
            ended_ms: changed_ms,
            token,
        };
        let payload = serde_json::to_string(&ended).unwrap_or_default();
        NewJob { attempts_max: TOLD_TIMES_MAX, ..NewJob::new(queue, &kind, payload) }
    }
}

/// With the waits of [`retry_after`](crate::retry_after) a day and a half.
const TOLD_TIMES_MAX: u32 = 200;
