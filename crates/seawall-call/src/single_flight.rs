//! Single flight: calls that ask the same at the same time share one answer.
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

/// A table of the flights of one kind; clones share it.
pub struct SingleFlight<K, T>(Arc<Table<K, T>>);

struct Table<K, T> {
    flights: Mutex<HashMap<K, Flight<T>>>,
    flights_max: usize,
    /// Tells a flight from an earlier one with the same key.
    numbers: AtomicU64,
    /// How many fly although nobody waits for them.
    unattended: AtomicUsize,
    unattended_max: usize,
}

struct Flight<T> {
    number: u64,
    waiters: usize,
    /// Whether it flies on when nobody waits.
    is_unattended: bool,
    answer: watch::Receiver<Option<T>>,
    cancel: Arc<CancelCell>,
    /// Set once the task has begun.
    task: Option<AbortHandle>,
}

/// A call that waits for the answer of a flight, the first one included; dropping it leaves.
///
/// The last one that leaves before there is an answer cancels the flight, for the reason that stands
/// in its own [`CancelCell`].
pub struct Follower<'a, K: Hash + Eq, T> {
    table: Arc<Table<K, T>>,
    key: K,
    number: u64,
    cancel: &'a CancelCell,
    answer: watch::Receiver<Option<T>>,
    /// Held by whoever came first.
    task: Option<JoinHandle<()>>,
}

impl<K, T> SingleFlight<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Makes an empty table for at most `flights_max` flights at a time, of which
    /// `unattended_max` may be such as nobody waits for.
    pub fn new(flights_max: usize, unattended_max: usize) -> Self {
        Self(Arc::new(Table {
            flights: Mutex::new(HashMap::new()),
            flights_max,
            numbers: AtomicU64::new(0),
            unattended: AtomicUsize::new(0),
            unattended_max,
        }))
    }

    /// Joins the flight with this key, and begins it if there is none; `None` if there are too
    /// many flights to begin another. Must be called on a tokio runtime.
    ///
    /// `begin` is given the cell in which the reason will stand if the flight is cancelled.
    pub fn join<'a, F>(
        &self,
        key: K,
        cancel: &'a CancelCell,
        begin: impl FnOnce(Arc<CancelCell>) -> F,
    ) -> Option<Follower<'a, K, T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let table = &self.0;
        let mut flights = table.lock();
        if let Some(flight) = flights.get_mut(&key) {
            flight.waiters += 1;
            let (number, answer) = (flight.number, flight.answer.clone());
            drop(flights);
            let table = table.clone();
            return Some(Follower { table, key, number, cancel, answer, task: None });
        }
        let (leader, flight) = table.enter(&mut flights, &key, 1)?;
        drop(flights);
        let (number, answer) = (leader.number, leader.answers.subscribe());
        let mut follower =
            Follower { table: table.clone(), key, number, cancel, answer, task: None };
        // From here on the follower and the leader clear up, should `begin` panic.
        follower.task = Some(table.lead(leader, begin(flight)));
        Some(follower)
    }

    /// Begins a flight that nobody waits for, unless there is one with this key or there are too
    /// many; returns whether it has begun. Must be called on a tokio runtime.
    pub fn launch<F>(&self, key: K, begin: impl FnOnce(Arc<CancelCell>) -> F) -> bool
    where
        F: Future<Output = T> + Send + 'static,
    {
        let table = &self.0;
        let mut flights = table.lock();
        if flights.contains_key(&key)
            || table.unattended.load(Ordering::Relaxed) >= table.unattended_max
        {
            return false;
        }
        let Some((leader, flight)) = table.enter(&mut flights, &key, 0) else { return false };
        // Under the lock: nobody else can count past the bound in between.
        table.unattended.fetch_add(1, Ordering::Relaxed);
        drop(flights);
        drop(table.lead(leader, begin(flight)));
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

impl<K, T> Table<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn enter(
        self: &Arc<Self>,
        flights: &mut HashMap<K, Flight<T>>,
        key: &K,
        waiters: usize,
    ) -> Option<(Leader<K, T>, Arc<CancelCell>)> {
        if flights.len() >= self.flights_max {
            return None;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (answers, answer) = watch::channel(None);
        let cancel = Arc::new(CancelCell::default());
        let is_unattended = waiters == 0;
        let flight =
            Flight { number, waiters, is_unattended, answer, cancel: cancel.clone(), task: None };
        flights.insert(key.clone(), flight);
        let table = self.clone();
        Some((Leader { table, key: key.clone(), number, is_unattended, answers }, cancel))
    }

    fn lead<F>(&self, leader: Leader<K, T>, work: F) -> JoinHandle<()>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (key, number) = (leader.key.clone(), leader.number);
        let task = tokio::spawn(async move {
            let answer = work.await;
            leader.publish(answer);
        });
        if let Some(flight) = self.lock().get_mut(&key)
            && flight.number == number
        {
            flight.task = Some(task.abort_handle());
        }
        task
    }
}

impl<K, T> Table<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
        // Under the lock keys are hashed and compared, and nothing else that is foreign runs; a
        // table that a panic in there has left is a whole one.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, T> Table<K, T> {
    /// Takes a flight out of the table, if it is the one with this number.
    fn remove(&self, key: &K, number: u64) -> Option<Flight<T>> {
        match self.lock().entry(key.clone()) {
            Entry::Occupied(flight) if flight.get().number == number => Some(flight.remove()),
            _ => None,
        }
    }
}

impl<K: Hash + Eq, T: Clone> Follower<'_, K, T> {
    /// Returns whether it came first, and so began the flight.
    pub fn is_first(&self) -> bool {
        self.task.is_some()
    }

    /// Waits for the answer; `None` if there is none: the task panicked, or its runtime ended.
    ///
    /// # Panics
    ///
    /// Passes the task's panic on to whoever came first, and to nobody else.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it may be asked again.
    pub async fn answer(&mut self) -> Option<T> {
        if let Ok(answer) = self.answer.wait_for(Option::is_some).await {
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

impl<K: Hash + Eq, T> Drop for Follower<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.table.lock();
        let Some(flight) = flights.get_mut(&self.key) else { return };
        if flight.number != self.number {
            return;
        }
        flight.waiters -= 1;
        if flight.waiters > 0 || flight.is_unattended {
            return;
        }
        let flight = flights.remove(&self.key);
        drop(flights);
        if let Some(Flight { cancel, task, .. }) = flight {
            cancel.set(self.cancel.reason());
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}

/// The work of a flight: it answers all followers, and ends the flight at the latest when dropped.
struct Leader<K: Hash + Eq + Clone, T> {
    table: Arc<Table<K, T>>,
    key: K,
    number: u64,
    is_unattended: bool,
    answers: watch::Sender<Option<T>>,
}

impl<K: Hash + Eq + Clone, T> Leader<K, T> {
    fn publish(self, answer: T) {
        // Out of the table first: whoever comes now begins anew.
        let flight = self.table.remove(&self.key, self.number);
        self.answers.send_replace(Some(answer));
        drop(flight);
    }
}

impl<K: Hash + Eq + Clone, T> Drop for Leader<K, T> {
    fn drop(&mut self) {
        drop(self.table.remove(&self.key, self.number));
        if self.is_unattended {
            self.table.unattended.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<K, T> Clone for SingleFlight<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T> fmt::Debug for SingleFlight<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("flights", &self.0.lock().len()).finish()
    }
}
