//! Flights: calls that ask the same at the same time share one answer.
//!
//! Does not know: policies, what an answer is, or whether two calls ask the same. Invariants: a
//! flight is a task on the runtime of whoever came first, so what it opened stays on one thread;
//! it belongs to all who wait for it, so none of them can fail the others by leaving, and when the
//! last one leaves it is cancelled. A flight that has ended, in whatever way, is in no table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::CancelCell;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// Keeps the flights of one kind; clones share them.
pub struct Flights<K, T>(Arc<Tower<K, T>>);

struct Tower<K, T> {
    flying: Mutex<HashMap<K, Flying<T>>>,
    flights_max: usize,
    /// Tells a flight from an earlier one with the same key.
    numbers: AtomicU64,
    /// How many fly although nobody waits for them.
    unattended: AtomicUsize,
    unattended_max: usize,
}

struct Flying<T> {
    number: u64,
    waiters: usize,
    /// Whether it flies on when nobody waits.
    is_unattended: bool,
    landed: watch::Receiver<Option<T>>,
    cancel: Arc<CancelCell>,
    /// Set once the task has begun.
    task: Option<AbortHandle>,
}

/// Is a place on a flight; given back when dropped.
///
/// The last one that is dropped before the landing cancels the flight, for the reason that stands
/// in its own [`CancelCell`].
pub struct Seat<'a, K: Hash + Eq, T> {
    tower: Arc<Tower<K, T>>,
    key: K,
    number: u64,
    cancel: &'a CancelCell,
    landed: watch::Receiver<Option<T>>,
    /// Held by whoever came first.
    task: Option<JoinHandle<()>>,
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Makes an empty table for at most `flights_max` flights at a time, of which
    /// `unattended_max` may be such as nobody waits for.
    pub fn new(flights_max: usize, unattended_max: usize) -> Self {
        Self(Arc::new(Tower {
            flying: Mutex::new(HashMap::new()),
            flights_max,
            numbers: AtomicU64::new(0),
            unattended: AtomicUsize::new(0),
            unattended_max,
        }))
    }

    /// Takes a seat on the flight with this key, and begins it if there is none; `None` if there
    /// are too many flights to begin another. Must be called on a tokio runtime.
    ///
    /// `begin` is given the cell in which the reason will stand if the flight is cancelled.
    pub fn join<'a, F>(
        &self,
        key: K,
        cancel: &'a CancelCell,
        begin: impl FnOnce(Arc<CancelCell>) -> F,
    ) -> Option<Seat<'a, K, T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let tower = &self.0;
        let mut flying = tower.lock();
        if let Some(flight) = flying.get_mut(&key) {
            flight.waiters += 1;
            let (number, landed) = (flight.number, flight.landed.clone());
            drop(flying);
            let tower = tower.clone();
            return Some(Seat { tower, key, number, cancel, landed, task: None });
        }
        let (landing, flight) = tower.enter(&mut flying, &key, 1)?;
        drop(flying);
        let (number, landed) = (landing.number, landing.land.subscribe());
        let mut seat = Seat { tower: tower.clone(), key, number, cancel, landed, task: None };
        // From here on the seat and the landing clear up, should `begin` panic.
        seat.task = Some(tower.take_off(landing, begin(flight)));
        Some(seat)
    }

    /// Begins a flight that nobody waits for, unless there is one with this key or there are too
    /// many; returns whether it has begun. Must be called on a tokio runtime.
    pub fn launch<F>(&self, key: K, begin: impl FnOnce(Arc<CancelCell>) -> F) -> bool
    where
        F: Future<Output = T> + Send + 'static,
    {
        let tower = &self.0;
        let mut flying = tower.lock();
        if flying.contains_key(&key)
            || tower.unattended.load(Ordering::Relaxed) >= tower.unattended_max
        {
            return false;
        }
        let Some((landing, flight)) = tower.enter(&mut flying, &key, 0) else { return false };
        // Under the lock: nobody else can count past the bound in between.
        tower.unattended.fetch_add(1, Ordering::Relaxed);
        drop(flying);
        drop(tower.take_off(landing, begin(flight)));
        true
    }

    /// Returns how many flights there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, T> Tower<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn enter(
        self: &Arc<Self>,
        flying: &mut HashMap<K, Flying<T>>,
        key: &K,
        waiters: usize,
    ) -> Option<(Landing<K, T>, Arc<CancelCell>)> {
        if flying.len() >= self.flights_max {
            return None;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (land, landed) = watch::channel(None);
        let cancel = Arc::new(CancelCell::default());
        let is_unattended = waiters == 0;
        let flight =
            Flying { number, waiters, is_unattended, landed, cancel: cancel.clone(), task: None };
        flying.insert(key.clone(), flight);
        let tower = self.clone();
        Some((Landing { tower, key: key.clone(), number, is_unattended, land }, cancel))
    }

    fn take_off<F>(&self, landing: Landing<K, T>, work: F) -> JoinHandle<()>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (key, number) = (landing.key.clone(), landing.number);
        let task = tokio::spawn(async move {
            let answer = work.await;
            landing.land(answer);
        });
        if let Some(flight) = self.lock().get_mut(&key)
            && flight.number == number
        {
            flight.task = Some(task.abort_handle());
        }
        task
    }
}

impl<K, T> Tower<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flying<T>>> {
        // Under the lock keys are hashed and compared, and nothing else that is foreign runs; a
        // table that a panic in there has left is a whole one.
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, T> Tower<K, T> {
    /// Takes a flight out of the table, if it is the one with this number.
    fn remove(&self, key: &K, number: u64) -> Option<Flying<T>> {
        match self.lock().entry(key.clone()) {
            Entry::Occupied(flight) if flight.get().number == number => Some(flight.remove()),
            _ => None,
        }
    }
}

impl<K: Hash + Eq, T: Clone> Seat<'_, K, T> {
    /// Returns whether it is the seat of whoever came first.
    pub fn is_first(&self) -> bool {
        self.task.is_some()
    }

    /// Waits for the landing; `None` if there is none: the task panicked, or its runtime ended.
    ///
    /// # Panics
    ///
    /// Passes the task's panic on to whoever came first, and to nobody else.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it may be asked again.
    pub async fn landed(&mut self) -> Option<T> {
        if let Ok(answer) = self.landed.wait_for(Option::is_some).await {
            return answer.clone();
        }
        if let Some(task) = &mut self.task
            && let Err(error) = task.await
            && let Ok(panic) = error.try_into_panic()
        {
            resume_unwind(panic);
        }
        None
    }
}

impl<K: Hash + Eq, T> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut flying = self.tower.lock();
        let Some(flight) = flying.get_mut(&self.key) else { return };
        if flight.number != self.number {
            return;
        }
        flight.waiters -= 1;
        if flight.waiters > 0 || flight.is_unattended {
            return;
        }
        let flight = flying.remove(&self.key);
        drop(flying);
        if let Some(Flying { cancel, task, .. }) = flight {
            cancel.set(self.cancel.reason());
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}

/// Ends a flight, at the latest when it is dropped.
struct Landing<K: Hash + Eq + Clone, T> {
    tower: Arc<Tower<K, T>>,
    key: K,
    number: u64,
    is_unattended: bool,
    land: watch::Sender<Option<T>>,
}

impl<K: Hash + Eq + Clone, T> Landing<K, T> {
    fn land(self, answer: T) {
        // Out of the table first: whoever comes now begins anew.
        let flight = self.tower.remove(&self.key, self.number);
        self.land.send_replace(Some(answer));
        drop(flight);
    }
}

impl<K: Hash + Eq + Clone, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        drop(self.tower.remove(&self.key, self.number));
        if self.is_unattended {
            self.tower.unattended.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("flying", &self.0.lock().len()).finish()
    }
}
