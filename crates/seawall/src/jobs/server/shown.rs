//! What the status page shows of jobs: looked up now and then, so that the page waits for nothing.
//!
//! Does not know: HTTP, who looks. What it shows is a moment old, and marked as lost when the store
//! cannot be asked.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use seawall_admin::State;
use seawall_jobs::{Clock, Filter, JobRow, JobStore, State as Doing, StoreError};
use seawall_watch::{JobStatus, JobsStatus, Recorder, RunStatus};
use serde_json::Value as Json;
use tokio::time::{MissedTickBehavior, interval};

use super::admin::{JobAdmin, begins};
use super::plan::Plan;
use super::queues;

/// Looks, for as long as it is polled.
pub(super) async fn watch(admin: &JobAdmin, state: &State, recorder: &Recorder) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = match admin.open() {
            Ok(store) => look(&*store, &admin.plan.load_full(), Clock::System.now_ms())
                .await
                .map_err(|error| format!("could not {error}")),
            Err(why) => Err(why),
        };
        recorder.set_store_is_down(looked.is_err());
        state.note_jobs(|jobs| match looked {
            Ok(seen) => *jobs = seen,
            // What was seen last is better than nothing.
            Err(why) => jobs.store_error = Some(why),
        });
    }
}

async fn look(store: &dyn JobStore, plan: &Plan, now: i64) -> Result<JobsStatus, StoreError> {
    let rows = |state, limit| {
        let (queue, limit) = (Some(queues::LINES.to_owned()), Some(limit));
        store.list(Filter { queue, state, limit, ..Filter::default() })
    };
    let mut newest: BTreeMap<i64, JobRow> = BTreeMap::new();
    // A long run is none of the newest rows, and neither is one that failed a while ago.
    for (state, limit) in [(None, ROWS_MAX), (Some(Doing::Running), 50), (Some(Doing::Failed), 50)]
    {
        newest.extend(rows(state, limit).await?.into_iter().map(|row| (row.id, row)));
    }
    let (queue, limit) = (Some(queues::ENDS.to_owned()), Some(50));
    let untold = Filter { queue, state: Some(Doing::Failed), limit, ..Filter::default() };
    let untold = store.list(untold).await?;
    let mut inputs = HashSet::new();
    let is_last = |row: &&JobRow| match &row.unique_key {
        // Of the runs over one input only the last counts.
        Some(key) => inputs.insert(key.clone()),
        None => true,
    };
    let lasts: Vec<&JobRow> = newest.values().rev().filter(is_last).collect();
    let failed = lasts.iter().filter(|row| row.state == Doing::Failed);
    let jobs = plan.jobs.iter().map(|planned| {
        let (begins, next) = begins(&planned.settings.begins, now);
        let last = newest.values().rev().find(|row| *row.kind == *planned.settings.name);
        JobStatus {
            name: planned.settings.name.to_string(),
            begins,
            next_seconds: next.map(|next| seconds(next - now)),
            last: last.map(|row| run(row, now)),
        }
    });
    Ok(JobsStatus {
        store_error: None,
        jobs: jobs.collect(),
        failed: failed.copied().chain(&untold).map(|row| run(row, now)).collect(),
    })
}

fn run(row: &JobRow, now: i64) -> RunStatus {
    let read = |text: &Option<String>| -> Json {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (progress, result) = (read(&row.progress), read(&row.result));
    let lines = |key: &str| result[key].as_u64().or_else(|| progress[key].as_u64());
    let length = progress["input_length"].as_f64().filter(|length| *length > 0.0);
    let done = match row.state {
        Doing::Done => Some(1.0),
        _ => progress["done_bytes"].as_f64().zip(length).map(|(done, all)| (done / all).min(1.0)),
    };
    RunStatus {
        id: row.id,
        job: row.kind.clone(),
        state: row.state.as_str(),
        attempts: row.attempts,
        attempts_max: row.attempts_max,
        done,
        lines_ok: lines("ok"),
        lines_dead: lines("dead"),
        error: row.error.clone(),
        changed_seconds_ago: seconds(now - row.changed_ms),
    }
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or(0)
}

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many of the newest runs are looked through for the last one of each job.
const ROWS_MAX: u32 = 200;
