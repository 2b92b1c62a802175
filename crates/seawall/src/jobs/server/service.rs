//! The thread of the job worker, on a runtime of its own: it never holds up a request.
//!
//! Does not know: HTTP, flags. Invariant: a database that is not there keeps nobody from starting
//! and is tried again; when the thread stops, jobs are given back so that they go on elsewhere.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use seawall_admin::State as HostState;
use seawall_core::Secret;
use seawall_jobs::{JobStore, PostgresStore, SqliteStore, State, StoreError, Worker};
use seawall_settings::WorkerSettings;
use seawall_watch::Recorder;
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::admin::{JobAdmin, Store};
use super::ends;
use super::plan::Plan;
use super::queues;
use super::runner::carry_out;
use super::shown;

/// The running thread.
pub(crate) struct Service {
    plan: Arc<ArcSwap<Plan>>,
    admin: Arc<JobAdmin>,
    stop: CancellationToken,
    hurry: CancellationToken,
    ended: CancellationToken,
    _thread: JoinHandle<()>,
}

/// The store as far as it is known before any port is bound. A file is there or will never be;
/// a database may be down for a while, and the gateway does not wait for it.
pub(crate) enum Found {
    /// A file that was opened.
    File(Arc<dyn JobStore>),
    /// The address of a database.
    Database(Secret),
}

impl Found {
    /// Opens the file, or looks at the address.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, or the address means nothing.
    pub(crate) fn look(settings: &WorkerSettings) -> Result<Self, StoreError> {
        Ok(match &settings.postgres {
            Some(url) => {
                PostgresStore::check(url.expose())?;
                Self::Database(url.clone())
            }
            None => Self::File(Arc::new(SqliteStore::open(&settings.store)?)),
        })
    }
}

impl Service {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no thread left.
    pub(crate) fn start(
        found: Found,
        settings: WorkerSettings,
        plan: Plan,
        recorder: Arc<Recorder>,
        state: Arc<HostState>,
    ) -> io::Result<Self> {
        let plan = Arc::new(ArcSwap::from_pointee(plan));
        let [stop, hurry, ended] = [(); 3].map(|()| CancellationToken::new());
        let store = match &found {
            Found::File(store) => Store::Open(store.clone()),
            Found::Database(_) => Store::Closed("the database was not reached yet".to_owned()),
        };
        let admin = Arc::new(JobAdmin {
            store: ArcSwap::from_pointee(store),
            plan: plan.clone(),
            payload_bytes_max: settings.payload_bytes_max,
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // Also if it panics: nobody waits for ever.
        let gone = ended.clone().drop_guard();
        let (admin_there, stop_there, hurry_there) = (admin.clone(), stop.clone(), hurry.clone());
        let thread = thread::Builder::new().name("seawall-jobs".to_owned()).spawn(move || {
            let _gone = gone;
            let (admin, stop) = (admin_there, stop_there);
            runtime.block_on(async {
                tokio::select! {
                    // What is shown is of no use any more.
                    () = serve(found, &settings, &admin, &recorder, &stop, &hurry_there) => {}
                    () = shown::watch(&admin, &state, &recorder) => {}
                }
            });
        })?;
        Ok(Self { plan, admin, stop, hurry, ended, _thread: thread })
    }

    /// Returns what the admin port asks.
    pub(crate) fn admin(&self) -> Arc<JobAdmin> {
        self.admin.clone()
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

async fn serve(
    found: Found,
    settings: &WorkerSettings,
    admin: &JobAdmin,
    recorder: &Recorder,
    stop: &CancellationToken,
    hurry: &CancellationToken,
) {
    let store = match found {
        Found::File(store) => store,
        Found::Database(url) => tokio::select! {
            store = reached(&url, admin) => store,
            // Nothing was begun.
            () = stop.cancelled() => return,
        },
    };
    work(&*store, settings, admin, recorder, stop, hurry).await;
}

/// Opens a database, and tries again for as long as that fails.
async fn reached(url: &Secret, admin: &JobAdmin) -> Arc<dyn JobStore> {
    let mut wait = TRY_AGAIN_MIN;
    let mut told = None;
    loop {
        let error = match PostgresStore::connect(url.expose()).await {
            Ok(store) => {
                let store: Arc<dyn JobStore> = Arc::new(store);
                admin.store.store(Arc::new(Store::Open(store.clone())));
                return store;
            }
            Err(error) => error,
        };
        admin.store.store(Arc::new(Store::Closed(format!("could not {error}"))));
        if told.as_ref() != Some(&error) {
            warn!(event = "jobs.store_failed", "no jobs are run: could not {error}");
            told = Some(error);
        }
        sleep(wait).await;
        wait = (wait * 2).min(TRY_AGAIN_MAX);
    }
}

async fn work(
    store: &dyn JobStore,
    settings: &WorkerSettings,
    admin: &JobAdmin,
    recorder: &Recorder,
    stop: &CancellationToken,
    hurry: &CancellationToken,
) {
    let plan = &*admin.plan;
    let name = settings.name.clone().unwrap_or_else(name);
    let worker = Worker {
        concurrency: settings.concurrency,
        lease: settings.lease,
        ..Worker::new(queues::LINES, &name)
    };
    info!(event = "jobs.started", worker = name, "job worker started");
    let working = worker.run(store, stop.clone(), async |claimed, control| {
        Box::pin(carry_out(plan, recorder, claimed, &control, hurry)).await
    });
    let besides = async {
        tokio::select! {
            () = super::intake::watch(plan, store) => {}
            () = super::schedules::watch(plan, store) => {}
            () = prune(store, settings) => {}
            () = stop.cancelled() => {}
        }
    };
    // Beside the runs: what they leave to be told does not wait for one of them to end.
    let teller = Worker {
        concurrency: ends::AT_ONCE,
        lease: settings.lease,
        ..Worker::new(queues::ENDS, &name)
    };
    let telling = teller.run(store, stop.clone(), async |claimed, control| {
        ends::tell(plan, store, claimed, &control).await
    });
    tokio::join!(working, telling, besides);
}

/// Deletes what ended long ago, for as long as it is polled.
async fn prune(store: &dyn JobStore, settings: &WorkerSettings) {
    let mut ticks = interval(PRUNE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ended = [
            (State::Done, settings.keep_done),
            (State::Failed, settings.keep_failed),
            (State::Cancelled, settings.keep_cancelled),
        ];
        for (state, keep) in ended {
            if let Err(error) = store.prune(state, keep, PRUNED_AT_ONCE).await {
                warn!(event = "jobs.prune_failed", "could not {error}");
            }
        }
    }
}

/// Names this process as no other is.
fn name() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id())
}

/// How long a database that is not there is left alone, at first and at most.
const TRY_AGAIN_MIN: Duration = Duration::from_millis(500);
const TRY_AGAIN_MAX: Duration = Duration::from_secs(15);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNED_AT_ONCE: u32 = 10_000;
