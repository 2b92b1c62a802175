//! What people ask of jobs: which there are, how far they are, and to do something with one.
//!
//! Does not know: HTTP. Everything answers with a document, or says why not.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use seawall_jobs::{Clock, Filter, JobRow, JobStore, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::errand::Errand;
use super::plan::Plan;
use crate::settings::Begins;

/// Answers what people ask.
pub(crate) struct Desk {
    pub(super) store: ArcSwap<Store>,
    pub(super) plan: Arc<ArcSwap<Plan>>,
}

/// Is the store, if it is open.
pub(super) enum Store {
    Open(Arc<dyn JobStore>),
    /// It is not, and why.
    Closed(String),
}

/// Says what is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// All jobs of the settings, and the last runs.
    List {
        /// Those in this state.
        state: Option<String>,
        /// So many at most.
        limit: Option<u32>,
    },
    /// One run, and what happened to it.
    Show { id: i64 },
    /// To run a job of the settings now.
    Run { job: String },
    /// To hold a run.
    Pause { id: i64 },
    /// To let a run go on, or begin again.
    Resume { id: i64 },
    /// To end a run.
    Cancel { id: i64 },
}

impl Desk {
    /// Answers.
    ///
    /// # Errors
    ///
    /// Says why it was not done.
    ///
    /// # Cancel safety
    ///
    /// What was asked for may have been done.
    pub(crate) async fn answer(&self, ask: Ask) -> Result<Json, String> {
        let store = &*self.open()?;
        let said = |error: seawall_jobs::StoreError| format!("could not {error}");
        match ask {
            Ask::List { state, limit } => self.list(store, state.as_deref(), limit).await,
            Ask::Show { id } => {
                let row = store.get(id).await.map_err(said)?;
                let row = row.ok_or_else(|| format!("there is no run {id}"))?;
                let history = store.history(id).await.map_err(said)?;
                let history: Vec<_> = history
                    .iter()
                    .map(|one| json!({"at_ms": one.at_ms, "what": one.what, "detail": one.detail}))
                    .collect();
                Ok(json!({ "schema": 1, "run": document(&row), "history": history }))
            }
            Ask::Run { job } => self.run(store, &job).await,
            Ask::Pause { id } => store.pause(id).await.map_err(said).map(|s| done("pause", id, s)),
            Ask::Resume { id } => {
                store.resume(id).await.map_err(said).map(|state| done("resume", id, state))
            }
            Ask::Cancel { id } => {
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
        state: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Json, String> {
        let state = state.map(|word| {
            let all = State::ALL.map(State::as_str).join(", ");
            State::of(word).ok_or_else(|| format!("`{word}` is no state: {all}"))
        });
        let filter = Filter { state: state.transpose()?, limit, ..Filter::default() };
        let rows = store.list(filter).await.map_err(|error| format!("could not {error}"))?;
        let now = Clock::System.now_ms();
        let plan = self.plan.load();
        let jobs = plan.jobs.iter().map(|planned| {
            let meant = &planned.meant;
            let (begins, next) = begins(&meant.begins, now);
            json!({
                "job": &*meant.name, "begins": begins, "next_ms": next,
                "input": shown(&meant.input), "output": shown(&meant.output),
            })
        });
        let jobs: Vec<_> = jobs.collect();
        let runs: Vec<_> = rows.iter().map(document).collect();
        Ok(json!({ "schema": 1, "jobs": jobs, "runs": runs }))
    }

    async fn run(&self, store: &dyn JobStore, job: &str) -> Result<Json, String> {
        let plan = self.plan.load_full();
        let planned = plan.job(job).ok_or_else(|| {
            let all: Vec<_> = plan.jobs.iter().map(|one| &*one.meant.name).collect();
            format!("no job `{job}`; there are: {}", all.join(", "))
        })?;
        if planned.meant.begins == Begins::WithFiles {
            let folder = planned.meant.input.display();
            return Err(format!("job `{job}` begins with files that appear in {folder}"));
        }
        let errand = Errand::at(&planned.meant, Clock::System.now_ms(), false);
        let inserted = store.insert(errand.row(&planned.meant)).await;
        let inserted = inserted.map_err(|error| format!("could not {error}"))?;
        let done = match inserted.is_new {
            true => format!("job `{job}` is put in as run {}", inserted.id),
            false => format!("job `{job}` is under way already, as run {}", inserted.id),
        };
        Ok(json!({ "schema": 1, "done": done, "id": inserted.id, "is_new": inserted.is_new }))
    }
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
        ("resume", State::Running) => format!("run {id} goes on"),
        (_, State::Running) => format!("run {id} will {what} when its calls under way have ended"),
        _ => format!("run {id} is {state}"),
    };
    json!({ "schema": 1, "done": done, "id": id, "state": state.as_str() })
}

fn document(row: &JobRow) -> Json {
    let errand = Errand::read(&row.payload);
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
        "input": errand.as_ref().map(|errand| shown(&errand.input)),
        "output": errand.as_ref().map(|errand| shown(&errand.output)),
        "dead_letter": errand.as_ref().map(|errand| {
            let settings = seawall_worker::Settings::new(&errand.input, &errand.output);
            shown(&errand.dead.clone().unwrap_or(settings.dead))
        }),
        "progress": json_of(&row.progress),
        "result": json_of(&row.result),
        "error": row.error,
        "created_ms": row.created_ms,
        "changed_ms": row.changed_ms,
    })
}

/// Writes a path, whatever its name is.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
