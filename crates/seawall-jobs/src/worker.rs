//! The job worker: claims jobs, runs them, keeps their leases, and gives them back.
//!
//! Does not know: what a job does, which store it is. It is one future and starts no task: jobs
//! are polled in it, so one that blocks holds up the others and lets all their leases end.
//! Invariants: a lease is kept by what stands here and never by the job, also while everything
//! stops; a job whose lease was lost is dropped at once, and what it came to is not told.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::store::{Claimed, Ending, JobStore, Lease, StoreError, Wish};

/// Works jobs of one queue off.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The queue.
    pub queue: String,
    /// What others see as the holder of its jobs.
    pub name: String,
    /// How many jobs run at once (default: 2).
    pub concurrency: u32,
    /// How long after this process died others may take its jobs (default: 30 s). A third of
    /// it is how often it says that it lives.
    pub lease: Duration,
}

/// Is how a job hears what is wished of it, and tells how far it is.
#[derive(Clone, Debug, Default)]
pub struct JobControl {
    /// Cancelled when the worker stops: what can be continued elsewhere is given back
    /// ([`Ending::Released`]), all else may come to its end.
    pub stop: CancellationToken,
    /// Cancelled when the job is to be paused; it answers with [`Ending::Paused`].
    pub pause: CancellationToken,
    /// Cancelled when the job is to end; it answers with [`Ending::Cancelled`].
    pub cancel: CancellationToken,
    progress: Arc<Mutex<Option<String>>>,
}

impl JobControl {
    /// Tells how far the job is; others see it with the next sign of life. At most 64 KiB.
    pub fn set_progress(&self, progress: String) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    fn take_progress(&self) -> Option<String> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Worker {
    /// Works off a queue under a name that no other process has.
    pub fn new(queue: &str, name: &str) -> Self {
        let (queue, name) = (queue.to_owned(), name.to_owned());
        Self { queue, name, concurrency: 2, lease: Duration::from_secs(30) }
    }

    /// Works until it is told to stop, and then until the jobs it has are over. A job that panics
    /// has failed, and is tried again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the jobs it has: others take them when their leases have ended.
    pub async fn run<S, W>(&self, store: &S, stop: CancellationToken, work: W)
    where
        S: JobStore + ?Sized,
        W: AsyncFn(Claimed, JobControl) -> Ending,
    {
        let mut running = FuturesUnordered::new();
        let mut claiming: Option<Pin<Box<dyn Future<Output = _> + '_>>> = None;
        let mut told = None;
        let mut next_claim = Instant::now();
        let mut next_reap = Instant::now();
        loop {
            let is_stopping = stop.is_cancelled();
            if is_stopping && running.is_empty() && claiming.is_none() {
                return;
            }
            // Made before the claim: what changes meanwhile is not missed.
            let changed = store.changed();
            let room = self.concurrency.max(1).saturating_sub(running.len() as u32);
            if claiming.is_none() && !is_stopping && room > 0 && Instant::now() >= next_claim {
                let is_time = Instant::now() >= next_reap;
                if is_time {
                    next_reap = Instant::now() + self.lease / 3;
                }
                claiming = Some(Box::pin(self.claim(store, room, is_time)));
            }
            tokio::select! {
                biased;
                Some(()) = running.next() => next_claim = Instant::now(),
                claimed = async { claiming.as_mut().expect("polled only if it is there").await },
                    if claiming.is_some() => {
                    claiming = None;
                    let taken = self.taken(claimed, &mut told);
                    // Of a kind with a limit one is claimed at a time: there may be more.
                    let wait = if taken.is_empty() { POLL_EVERY } else { Duration::ZERO };
                    next_claim = Instant::now() + wait;
                    for job in taken {
                        running.push(self.attend(store, job, &stop, &work));
                    }
                }
                () = stop.cancelled(), if !is_stopping => {}
                () = changed, if !is_stopping && claiming.is_none() => next_claim = Instant::now(),
                () = sleep_until(next_claim), if !is_stopping && claiming.is_none() && room > 0 => {}
            }
        }
    }

    /// Claims as many as there is room for.
    async fn claim<S: JobStore + ?Sized>(
        &self,
        store: &S,
        room: u32,
        reaps: bool,
    ) -> Result<Vec<Claimed>, StoreError> {
        if reaps {
            store.reap().await?;
        }
        store.claim(&self.queue, &self.name, room, self.lease).await
    }

    /// Takes what was claimed; why nothing could be is told once, and tried again.
    fn taken(
        &self,
        claimed: Result<Vec<Claimed>, StoreError>,
        told: &mut Option<StoreError>,
    ) -> Vec<Claimed> {
        match claimed {
            Ok(claimed) => {
                if told.take().is_some() {
                    info!(event = "jobs.claim_again", queue = self.queue, "jobs are claimed again");
                }
                claimed
            }
            Err(error) => {
                if told.as_ref() != Some(&error) {
                    warn!(event = "jobs.claim_failed", queue = self.queue, "could not {error}");
                    *told = Some(error);
                }
                Vec::new()
            }
        }
    }

    /// Runs one job, keeps its lease, and gives it back.
    async fn attend<S, W>(&self, store: &S, job: Claimed, stop: &CancellationToken, work: &W)
    where
        S: JobStore + ?Sized,
        W: AsyncFn(Claimed, JobControl) -> Ending,
    {
        let control = JobControl { stop: stop.clone(), ..JobControl::default() };
        let (held, attempt) = (job.held, job.attempt);
        let ending = AssertUnwindSafe(work(job, control.clone())).catch_unwind();
        let mut until = Instant::now() + self.lease;
        let ended = tokio::select! {
            ended = ending => ended,
            () = self.keep(store, held, &control, &mut until) => {
                warn!(event = "jobs.lease_lost", job = held.id, "the job is dropped: its lease was lost");
                return;
            }
        };
        let ending = ended.unwrap_or_else(|panic| {
            let error = format!("it panicked: {}", said(&*panic));
            error!(event = "jobs.panicked", job = held.id, "{error}");
            // Not the same for each, and not by chance: tests can say what comes.
            let chance = (held.id % 16) as f64 / 16.0;
            let retry_after = Some(crate::retry_after(attempt, chance));
            Ending::Failed { error, retry_after }
        });
        self.settle(store, held, ending, until).await;
    }

    /// Says that a job lives, hears what is wished of it, and returns when its lease is lost.
    async fn keep<S: JobStore + ?Sized>(
        &self,
        store: &S,
        held: Lease,
        control: &JobControl,
        until: &mut Instant,
    ) {
        let every = (self.lease / 3).max(Duration::from_millis(1));
        let mut beats = interval_at(Instant::now() + every, every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changed = store.changed();
            tokio::select! {
                _ = beats.tick() => {}
                // Somebody may wish something of it.
                () = changed => {}
            }
            let progress = control.take_progress();
            let sent = Instant::now();
            match store.heartbeat(held, self.lease, progress).await {
                Ok(wish) => {
                    *until = sent + self.lease;
                    match wish {
                        Wish::Go => {}
                        Wish::Pause => control.pause.cancel(),
                        Wish::Cancel => control.cancel.cancel(),
                    }
                }
                Err(StoreError::LeaseLost(_)) => return,
                Err(error) if Instant::now() >= *until => {
                    warn!(event = "jobs.heartbeat_failed", job = held.id, "could not {error}");
                    return;
                }
                Err(error) => {
                    debug!(event = "jobs.heartbeat_failed", job = held.id, "could not {error}");
                }
            }
            // Many changes are one look.
            sleep(LOOK_EVERY.min(every)).await;
        }
    }

    /// Gives a job back, for as long as it is ours to give.
    async fn settle<S: JobStore + ?Sized>(
        &self,
        store: &S,
        held: Lease,
        ending: Ending,
        until: Instant,
    ) {
        loop {
            match store.settle(held, ending.clone()).await {
                Ok(()) => return,
                Err(error @ (StoreError::LeaseLost(_) | StoreError::Closed)) => {
                    warn!(event = "jobs.ending_lost", job = held.id, "could not {error}");
                    return;
                }
                Err(error) if Instant::now() >= until => {
                    error!(event = "jobs.ending_lost", job = held.id, "could not {error}");
                    return;
                }
                Err(error) => {
                    warn!(event = "jobs.settle_failed", job = held.id, "could not {error}");
                    sleep(POLL_EVERY).await;
                }
            }
        }
    }
}

/// Returns what a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// How often a store is asked that did not say that anything changed.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often a job's wishes are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);
