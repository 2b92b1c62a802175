//! What people ask of jobs: which there are, how far they are, and to do something with one.
//!
//! Does not know: HTTP. Everything answers with a document, or says why not.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use seawall_admin::{JobAnswer, JobRequest, Jobs, NewRun};
use seawall_jobs::{Clock, EndedJob, Entry, Filter, JobRow, JobStore, NewJob, State, StoreError};
use seawall_settings::{Begins, JobSettings};
use serde_json::{Value as Json, json};
use tokio::task::spawn_blocking;

use super::new_run;
use super::payload::JobPayload;
use super::plan::{Plan, Planned};
use super::queues;
use crate::jobs::Seen;

/// The jobs of the server, for people who ask about them.
pub(crate) struct JobAdmin {
    pub(super) store: ArcSwap<Store>,
    pub(super) plan: Arc<ArcSwap<Plan>>,
    /// How long a payload may be.
    pub(super) payload_bytes_max: usize,
}

/// The store, if it is open.
pub(super) enum Store {
    Open(Arc<dyn JobStore>),
    /// It is not, and why.
    Closed(String),
}

impl Jobs for JobAdmin {
    fn answer(&self, request: JobRequest) -> JobAnswer<'_> {
        Box::pin(self.carry_out(request))
    }
}

impl JobAdmin {
    async fn carry_out(&self, request: JobRequest) -> Result<Json, String> {
        let store = &*self.open()?;
        let said = |error: StoreError| format!("could not {error}");
        match request {
            JobRequest::List { job, state, limit } => {
                self.list(store, (job, state.as_deref()), limit).await
            }
            JobRequest::Show { id } => {
                let row = store.get(id).await.map_err(said)?;
                let row = row.ok_or_else(|| format!("there is no run {id}"))?;
                let history = store.history(id).await.map_err(said)?;
                let history: Vec<_> = history
                    .iter()
                    .map(|one| json!({"at_ms": one.at_ms, "what": one.what, "detail": one.detail}))
                    .collect();
                Ok(json!({ "schema": 1, "run": document(&row), "history": history }))
            }
            JobRequest::Run { job, with } => self.run(store, &job, with).await,
            JobRequest::ResumeFailed { job } => self.resume_failed(store, job).await,
            JobRequest::Pause { id } => {
                store.pause(id).await.map_err(said).map(|s| done("pause", id, s))
            }
            JobRequest::Resume { id } => {
                store.resume(id).await.map_err(said).map(|state| done("resume", id, state))
            }
            JobRequest::Cancel { id } => {
                store.cancel(id).await.map_err(said).map(|state| done("cancel", id, state))
            }
        }
    }

    /// Returns the store, or why it is not open.
    pub(super) fn open(&self) -> Result<Arc<dyn JobStore>, String> {
        match &**self.store.load() {
            Store::Open(store) => Ok(store.clone()),
            Store::Closed(why) => Err(why.clone()),
        }
    }

    async fn list(
        &self,
        store: &dyn JobStore,
        (kind, state): (Option<String>, Option<&str>),
        limit: Option<u32>,
    ) -> Result<Json, String> {
        let state = state.map(|word| {
            let all = State::ALL.map(State::as_str).join(", ");
            State::of(word).ok_or_else(|| format!("`{word}` is not a state; there are: {all}"))
        });
        let queue = Some(queues::LINES.to_owned());
        let (state, said) = (state.transpose()?, |error| format!("could not {error}"));
        let filter = Filter { queue: queue.clone(), kind, state, limit, before: None };
        let rows = store.list(filter).await.map_err(said)?;
        let plan = self.plan.load_full();
        let mut jobs = Vec::new();
        for planned in &plan.jobs {
            let (kind, limit) = (Some(planned.settings.name.to_string()), Some(1));
            let filter = Filter { queue: queue.clone(), kind, limit, ..Filter::default() };
            let last = store.list(filter).await.map_err(said)?.pop();
            jobs.push(job_now(&planned.settings, last).await);
        }
        let runs: Vec<_> = rows.iter().map(document).collect();
        let untold = untold(store).await.map_err(said)?;
        Ok(json!({ "schema": 1, "jobs": jobs, "runs": runs, "untold": untold }))
    }

    async fn run(&self, store: &dyn JobStore, job: &str, with: NewRun) -> Result<Json, String> {
        let plan = self.plan.load_full();
        let settings = &self.planned(&plan, job)?.settings;
        let now = Clock::System.now_ms();
        let (what, delay) =
            (new_run::what(&with, self.payload_bytes_max).await?, new_run::delay(&with)?);
        let output = new_run::output(&with)?;
        let entry = with.key.as_ref().map(|key| {
            let item = blake3::hash(key.as_bytes()).to_hex().to_string();
            Entry { ledger: format!("runs {job}"), item, ..Entry::default() }
        });
        let payload = match what {
            Some(what) => JobPayload::ad_hoc(settings, what, output, run_name(job, entry.as_ref())),
            None if settings.begins == Begins::WithFiles => {
                let folder = settings.input.display();
                let why = format!("job `{job}` begins with files that appear in {folder}");
                return Err(format!("{why}: a path or a payload says over what else"));
            }
            None if output.is_some() => {
                return Err("an output needs a path or a payload".to_owned());
            }
            None => JobPayload::at(settings, now, false),
        };
        let run_at_ms = delay.map(|delay| now.saturating_add(delay));
        let row = NewJob { entry, run_at_ms, ..payload.row(settings) };
        let inserted = store.insert(row).await.map_err(|error| format!("could not {error}"))?;
        let id = inserted.id;
        let done = match (inserted.is_new, inserted.is_noted) {
            (true, _) => format!("job `{job}` queued as run {id}"),
            (false, true) => format!("job `{job}` was already queued under this key, as run {id}"),
            (false, false) => format!("job `{job}` is already queued or running, as run {id}"),
        };
        Ok(json!({ "schema": 1, "done": done, "id": id, "is_new": inserted.is_new }))
    }

    /// Lets runs that failed begin again, the newest of those over one input.
    async fn resume_failed(
        &self,
        store: &dyn JobStore,
        job: Option<String>,
    ) -> Result<Json, String> {
        if let Some(job) = &job {
            self.planned(&self.plan.load_full(), job)?;
        }
        let (mut before, mut resumed, mut left) = (None, 0_u32, 0_u32);
        loop {
            let (queue, kind, state) =
                (Some(queues::LINES.to_owned()), job.clone(), Some(State::Failed));
            let filter = Filter { queue, kind, state, before, limit: Some(100) };
            let rows = store.list(filter).await.map_err(|error| format!("could not {error}"))?;
            before = rows.last().map(|row| row.id);
            if rows.is_empty() || resumed >= RESUMED_AT_ONCE {
                let done = match (resumed, rows.is_empty()) {
                    (0, _) => "no run has failed".to_owned(),
                    (1, true) => "1 run that failed begins again".to_owned(),
                    (_, true) => format!("{resumed} runs that failed begin again"),
                    (_, false) => format!("{resumed} runs begin again, and there are more"),
                };
                let done = match left {
                    0 => done,
                    _ => format!("{done}; of {left} more the same input has a run by now"),
                };
                return Ok(json!({ "schema": 1, "done": done, "resumed": resumed, "left": left }));
            }
            for row in rows {
                match store.resume(row.id).await {
                    Ok(_) => resumed += 1,
                    // Another run over the input is under way, or somebody was quicker.
                    Err(StoreError::Refused(_) | StoreError::NotNow { .. }) => left += 1,
                    Err(error) => return Err(format!("could not {error}")),
                }
            }
        }
    }

    fn planned<'a>(&self, plan: &'a Plan, job: &str) -> Result<&'a Planned, String> {
        plan.job(job).ok_or_else(|| {
            let all: Vec<_> = plan.jobs.iter().map(|one| &*one.settings.name).collect();
            format!("no job `{job}`; there are: {}", all.join(", "))
        })
    }
}

/// Names a new run: keys of lines are made of it. Under one key it is the same.
fn run_name(job: &str, entry: Option<&Entry>) -> String {
    let name = match entry {
        Some(entry) => blake3::hash(format!("{job}\0{}", entry.item).as_bytes()),
        None => {
            // No secret: it has to be another one each time, and no more.
            let half = || RandomState::new().build_hasher().finish();
            blake3::hash(format!("{job}\0{}\0{}", half(), half()).as_bytes())
        }
    };
    name.to_hex()[..32].to_owned()
}

/// Returns what could not be told so far.
async fn untold(store: &dyn JobStore) -> Result<Vec<Json>, StoreError> {
    let mut untold = Vec::new();
    for state in [State::Failed, State::Ready] {
        let (queue, limit) = (Some(queues::ENDS.to_owned()), Some(UNTOLD_MAX));
        let filter = Filter { queue, state: Some(state), limit, ..Filter::default() };
        let rows = store.list(filter).await?;
        untold.extend(rows.iter().filter(|row| row.error.is_some()).map(document));
    }
    Ok(untold)
}

/// Says what a job does: its last run, or what its files say if it was run by hand since.
async fn job_now(settings: &JobSettings, last: Option<JobRow>) -> Json {
    let is_live = |row: &JobRow| matches!(row.state, State::Ready | State::Running | State::Paused);
    let of_row = |row: &JobRow| {
        let progress = row.progress.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let progress: Json = progress.unwrap_or_default();
        let number = |key: &str| progress[key].as_f64().filter(|number| *number > 0.0);
        let share = number("done_bytes").zip(number("input_length")).map(|(done, all)| done / all);
        (Some(row.state.as_str()), row.error.clone(), share)
    };
    let files = match settings.begins {
        Begins::ByHand => {
            let settings = settings.clone();
            spawn_blocking(move || Seen::of(&settings).ok()).await.ok().flatten()
        }
        Begins::At(_) | Begins::WithFiles => None,
    };
    // What a run by hand has done since the last one of the server.
    let files = files.filter(|seen| match &last {
        None => true,
        Some(_) if seen.state == "running" => true,
        Some(row) if row.state == State::Failed => seen.state == "finished",
        Some(row) => !is_live(row) && seen.state != "not begun",
    });
    let (state, why, share) = match (files, &last) {
        (Some(seen), _) => (Some(seen.state), seen.why().map(str::to_owned), seen.share),
        (None, Some(row)) => of_row(row),
        (None, None) => (Some("not begun"), None, None),
    };
    listed(settings, state, why, share)
}

/// Writes what is listed of a job.
pub(crate) fn listed(
    settings: &JobSettings,
    state: Option<&str>,
    why: Option<String>,
    share: Option<f64>,
) -> Json {
    let (begins, next) = begins(&settings.begins, Clock::System.now_ms());
    json!({
        "job": &*settings.name, "state": state, "why": why, "share": share, "begins": begins,
        "next_ms": next, "input": shown(&settings.input), "output": shown(&settings.output),
    })
}

/// Says when a job begins, in words, and when next, if by schedule.
pub(super) fn begins(begins: &Begins, now_ms: i64) -> (String, Option<i64>) {
    match begins {
        Begins::ByHand => ("by hand".to_owned(), None),
        Begins::At(schedule) => (schedule.as_str().to_owned(), schedule.after(now_ms)),
        Begins::WithFiles => ("with files".to_owned(), None),
    }
}

fn done(what: &str, id: i64, state: State) -> Json {
    let done = match (what, state) {
        ("resume", State::Running) => format!("run {id} resumed"),
        (_, State::Running) => format!("run {id} will {what} when its calls under way have ended"),
        _ => format!("run {id} is {state}"),
    };
    json!({ "schema": 1, "done": done, "id": id, "state": state.as_str() })
}

fn document(row: &JobRow) -> Json {
    let payload = JobPayload::read(&row.payload);
    let json_of = |text: &Option<String>| -> Option<Json> {
        text.as_ref().and_then(|text| serde_json::from_str(text).ok())
    };
    json!({
        "id": row.id,
        "job": row.kind,
        "state": row.state.as_str(),
        "wish": row.wish.as_str(),
        "priority": row.priority,
        "attempts": row.attempts,
        "attempts_max": row.attempts_max,
        "run_at_ms": row.run_at_ms,
        "lease_until_ms": row.lease_until_ms,
        "worker": row.worker,
        "input": payload.as_ref().map(|payload| shown(&payload.input)),
        "output": payload.as_ref().map(|payload| shown(&payload.output)),
        "dead_letter": payload.as_ref().map(|payload| shown(&payload.dead_letter())),
        "of_run": EndedJob::read(&row.payload).map(|ended| ended.id),
        "progress": json_of(&row.progress),
        "result": json_of(&row.result),
        "error": row.error,
        "created_ms": row.created_ms,
        "changed_ms": row.changed_ms,
    })
}

/// How many runs begin again at one word, and how much is listed of what was not told.
const RESUMED_AT_ONCE: u32 = 1000;
const UNTOLD_MAX: u32 = 20;

/// Writes a path, whatever its name is.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
