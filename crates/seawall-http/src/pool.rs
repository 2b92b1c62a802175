//! Idle connections of one upstream, ready to be used again.
//!
//! Does not know: HTTP, what a connection is. A connection is only given back to the runtime
//! that opened it, because that runtime's thread is told when bytes arrive. With one runtime per
//! core every runtime has a lock of its own, so no core waits for another.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, sleep_until};

/// Holds connections that wait for their next request; the last one used is the first one out.
pub(crate) struct Pool<C> {
    shards: [Arc<Shard<C>>; SHARDS],
    idle_max: usize,
    idle_timeout: Duration,
}

/// Holds the idle connections of one runtime (of two, when their numbers collide).
struct Shard<C> {
    idle: Mutex<Vec<Idle<C>>>,
    /// Whether a task watches this shard for connections that have been idle for too long.
    is_watched: AtomicBool,
}

struct Idle<C> {
    connection: C,
    runtime: Id,
    since: Instant,
    until: Instant,
}

impl<C: Send + 'static> Pool<C> {
    /// Makes an empty pool that keeps at most `idle_max` connections a runtime.
    pub(crate) fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        let shard = |_| {
            Arc::new(Shard { idle: Mutex::new(Vec::new()), is_watched: AtomicBool::new(false) })
        };
        Self { shards: std::array::from_fn(shard), idle_max, idle_timeout }
    }

    /// Takes the connection that was used last on this runtime; says since when it has been idle.
    pub(crate) fn take(&self) -> Option<(C, Instant)> {
        let runtime = Handle::current().id();
        let mut idle = self.shard(runtime).lock();
        let place = idle.iter().rposition(|idle| idle.runtime == runtime)?;
        let found = idle.swap_remove(place);
        drop(idle);
        // The clock is read only now: most takes find a connection, few find an old one. The
        // ones below it are older still; the watcher closes them.
        (found.until > Instant::now()).then_some((found.connection, found.since))
    }

    /// Closes, on all runtimes, what has been idle at least since an instant: one that had been
    /// idle since then was found dead, and whatever forgot it has most likely forgotten these.
    pub(crate) fn close_idle_since(&self, instant: Instant) {
        for shard in &self.shards {
            let suspect: Vec<_> =
                shard.lock().extract_if(.., |idle| idle.since <= instant).collect();
            drop(suspect);
        }
    }

    /// Keeps a connection for the next request; closes it if there are too many. `limit` is how
    /// long the upstream said that it would keep it.
    pub(crate) fn put(&self, connection: C, limit: Option<Duration>) {
        let runtime = Handle::current().id();
        let shard = self.shard(runtime);
        let keep = limit.map_or(self.idle_timeout, |limit| limit.min(self.idle_timeout));
        let since = Instant::now();
        let until = since + keep;
        let mut idle = shard.lock();
        if idle.len() >= self.idle_max {
            drop(idle);
            return;
        }
        idle.push(Idle { connection, runtime, since, until });
        drop(idle);
        if !shard.is_watched.swap(true, Ordering::AcqRel) {
            // One task a runtime, not one a connection; it ends when nothing is idle any more,
            // or with its upstream.
            tokio::spawn(watch(Watched(Arc::downgrade(shard))));
        }
    }

    /// Returns how many connections are idle, on all runtimes.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, runtime: Id) -> &Arc<Shard<C>> {
        let mut number = Number(0);
        runtime.hash(&mut number);
        &self.shards[number.0 as usize % SHARDS]
    }
}

impl<C> Shard<C> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle<C>>> {
        // Nothing panics under this lock; a list of connections is whole at any time anyway.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what is too old; returns when the next one will be.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.lock();
        let old: Vec<_> = idle.extract_if(.., |idle| idle.until <= now).collect();
        let next = idle.iter().map(|idle| idle.until).min();
        drop(idle);
        drop(old);
        next
    }
}

/// Closes connections that have been idle for too long.
async fn watch<C: Send>(watched: Watched<C>) {
    loop {
        let next = match watched.0.upgrade() {
            Some(shard) => shard.expire(Instant::now()),
            None => return,
        };
        let Some(next) = next else { return };
        sleep_until(next).await;
    }
}

/// Says that a shard is no longer watched, even when its runtime ends.
struct Watched<C>(Weak<Shard<C>>);

impl<C> Drop for Watched<C> {
    fn drop(&mut self) {
        if let Some(shard) = self.0.upgrade() {
            shard.is_watched.store(false, Ordering::Release);
        }
    }
}

/// Takes the number out of a runtime's id, which can only be hashed.
struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// More than one machine has cores that share an upstream's pool; ids count up, so runtimes that
/// are started together get different shards.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(idle_max: usize) -> Pool<u32> {
        Pool::new(idle_max, Duration::from_secs(30))
    }

    fn take(pool: &Pool<u32>) -> Option<u32> {
        pool.take().map(|(connection, _)| connection)
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_connection_in_is_the_first_out() {
        let pool = pool(8);
        pool.put(1, None);
        pool.put(2, None);
        assert_eq!(take(&pool), Some(2));
        assert_eq!(take(&pool), Some(1));
        assert_eq!(take(&pool), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pool_keeps_no_more() {
        let pool = pool(1);
        pool.put(1, None);
        pool.put(2, None);
        assert_eq!(pool.idle(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_is_closed_without_being_asked_for() {
        let pool = pool(8);
        pool.put(1, None);
        pool.put(2, Some(Duration::from_secs(4)));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(pool.idle(), 1);
        tokio::time::sleep(Duration::from_secs(26)).await;
        assert_eq!(pool.idle(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_been_idle_longer_than_a_dead_one_is_closed() {
        let pool = pool(8);
        for connection in 1..=3 {
            pool.put(connection, None);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let (dead, since) = pool.take().expect("three are idle");
        pool.put(4, None);
        pool.close_idle_since(since);
        assert_eq!((dead, pool.idle()), (3, 1));
        assert_eq!(take(&pool), Some(4));
    }

    #[test]
    fn a_connection_stays_on_its_runtime() {
        let pool = pool(8);
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        let (first, second) = (runtime().unwrap(), runtime().unwrap());
        first.block_on(async { pool.put(1, None) });
        assert_eq!(second.block_on(async { take(&pool) }), None);
        assert_eq!(first.block_on(async { take(&pool) }), Some(1));
    }

    #[test]
    fn a_runtime_that_ends_leaves_its_shard_to_be_watched_again() {
        let pool = pool(8);
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        let first = runtime().unwrap();
        first.block_on(async { pool.put(1, None) });
        drop(first);
        assert!(pool.shards.iter().all(|shard| !shard.is_watched.load(Ordering::Acquire)));
    }
}
