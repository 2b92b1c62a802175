//! The thread that works jobs off, on a runtime of its own: what it does never holds up a request.
//!
//! Does not know: HTTP, flags. Invariant: the store is open before it begins, and before any port
//! is; when it stops, jobs are given back so that they go on elsewhere.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use seawall_jobs::{JobStore, PostgresStore, SqliteStore, Worker};
use seawall_watch::Recorder;
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::desk::Desk;
use super::errand::QUEUE;
use super::plan::Plan;
use super::runner::{Stopping, carry_out};
use crate::settings::WorkerMeant;

/// Is the running thread.
pub(crate) struct Service {
    plan: Arc<ArcSwap<Plan>>,
    desk: Arc<Desk>,
    stop: CancellationToken,
    hurry: CancellationToken,
    ended: CancellationToken,
    _thread: JoinHandle<()>,
}

/// Says why jobs cannot be worked off.
#[derive(Debug, Error)]
#[error("cannot work jobs off: {0}")]
pub(crate) struct CannotStart(String);

/// Is a store that was opened, by a thread that waits to begin; dropped, it ends.
pub(crate) struct Opened {
    store: Arc<dyn JobStore>,
    begin: oneshot::Sender<Begun>,
    ended: CancellationToken,
    thread: JoinHandle<()>,
}

/// Is what the thread begins with.
struct Begun {
    plan: Arc<ArcSwap<Plan>>,
    recorder: Arc<Recorder>,
    stop: CancellationToken,
    stopping: Stopping,
}

impl Opened {
    /// Starts the thread, and opens the store in it; blocks until it is open.
    ///
    /// # Errors
    ///
    /// Says why the store cannot be opened.
    pub(crate) fn open(meant: &WorkerMeant) -> Result<Self, CannotStart> {
        let ended = CancellationToken::new();
        let (opened_tx, opened) = std::sync::mpsc::sync_channel(1);
        let (begin, begun) = oneshot::channel::<Begun>();
        let meant = meant.clone();
        // Also if it panics: nobody waits for ever.
        let gone = ended.clone().drop_guard();
        let failed = |why: String| CannotStart(why);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let thread = thread::Builder::new().name("seawall-jobs".to_owned()).spawn(move || {
            let _gone = gone;
            runtime.block_on(async {
                let store = match open(&meant).await {
                    Ok(store) => store,
                    Err(error) => {
                        let _ = opened_tx.send(Err(error));
                        return;
                    }
                };
                let _ = opened_tx.send(Ok(store.clone()));
                if let Ok(begun) = begun.await {
                    work(&*store, &meant, begun).await;
                }
            });
        });
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        let store = opened
            .recv()
            .map_err(|_| failed("its thread ended".to_owned()))?
            .map_err(|error| failed(format!("could not {error}")))?;
        Ok(Self { store, begin, ended, thread })
    }

    /// Begins to work jobs off; `grace` is how long calls under way may take when it is stopped.
    pub(crate) fn begin(self, plan: Plan, grace: Duration, recorder: Arc<Recorder>) -> Service {
        let plan = Arc::new(ArcSwap::from_pointee(plan));
        let [stop, hurry] = [(); 2].map(|()| CancellationToken::new());
        let stopping = Stopping { grace, hurry: hurry.clone() };
        let begun = Begun { plan: plan.clone(), recorder, stop: stop.clone(), stopping };
        // It waits for this, or has ended and said so.
        let _ = self.begin.send(begun);
        let desk = Arc::new(Desk { store: self.store, plan: plan.clone() });
        Service { plan, desk, stop, hurry, ended: self.ended, _thread: self.thread }
    }
}

impl Service {
    /// Returns what the admin port asks.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        self.desk.clone()
    }

    /// Returns where the plan in force is changed.
    pub(crate) fn plan(&self) -> Arc<ArcSwap<Plan>> {
        self.plan.clone()
    }

    /// Begins no job any more; those under way are given back when their calls have ended.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for no call any more.
    pub(crate) fn hurry(&self) {
        self.stop.cancel();
        self.hurry.cancel();
    }

    /// Waits until every job was given back.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.hurry();
    }
}

async fn open(meant: &WorkerMeant) -> Result<Arc<dyn JobStore>, seawall_jobs::StoreError> {
    Ok(match &meant.postgres {
        Some(url) => Arc::new(PostgresStore::connect(url.expose()).await?),
        None => Arc::new(SqliteStore::open(&meant.store)?),
    })
}

async fn work(store: &dyn JobStore, meant: &WorkerMeant, begun: Begun) {
    let Begun { plan, recorder, stop, stopping } = begun;
    let name = meant.name.clone().unwrap_or_else(name);
    let worker =
        Worker { concurrency: meant.concurrency, lease: meant.lease, ..Worker::new(QUEUE, &name) };
    info!(event = "jobs.started", worker = name, "jobs are worked off");
    let working = worker.run(store, stop.clone(), async |claimed, control| {
        carry_out(&plan, &recorder, claimed, &control, &stopping).await
    });
    let besides = async {
        tokio::select! {
            () = super::intake::watch(&plan, store) => {}
            () = super::schedules::watch(&plan, store) => {}
            () = prune(store, meant.keep) => {}
            () = stop.cancelled() => {}
        }
    };
    tokio::join!(working, besides);
}

/// Deletes what ended long ago, for as long as it is polled.
async fn prune(store: &dyn JobStore, keep: Duration) {
    let mut ticks = interval(PRUNE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.prune(keep, PRUNED_AT_ONCE).await {
            warn!(event = "jobs.prune_failed", "could not {error}");
        }
    }
}

/// Names this process as no other is.
fn name() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id())
}

const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNED_AT_ONCE: u32 = 10_000;
