//! What an attempt that was given up must still do: a database has to be told to stop.
//!
//! Does not know: what is done. Invariant: neither the number of such tasks nor the time of one is
//! without a bound, so that a service that hangs cannot fill the memory of whoever calls it.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The work that attempts leave behind when they are dropped; clones share the bound.
///
/// A future that is dropped cannot wait. Where giving up takes more than closing a connection, such
/// as PostgreSQL's cancel request, the attempt's guard hands it to [`begin`](Self::begin) from its
/// destructor, together with the connection, which goes back to its pool afterwards.
#[derive(Clone, Debug)]
pub struct Cancellations {
    places: Arc<Semaphore>,
    time_max: Duration,
}

impl Cancellations {
    /// Lets so many be under way at a time, each for so long; what takes longer is dropped.
    pub fn new(at_once_max: usize, time_max: Duration) -> Self {
        let places = Arc::new(Semaphore::new(at_once_max.min(Semaphore::MAX_PERMITS)));
        Self { places, time_max }
    }

    /// Begins one on the runtime of the attempt.
    ///
    /// # Errors
    ///
    /// Gives the work back if too much is under way, or there is no runtime: dropping it must be
    /// enough.
    pub fn begin<F>(&self, work: F) -> Result<(), F>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Err(work) };
        if Handle::try_current().is_err() {
            return Err(work);
        }
        let time_max = self.time_max;
        drop(tokio::spawn(async move {
            // What takes too long is dropped, and its connection with it.
            let _is_over = timeout(time_max, work).await;
            drop(place);
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Connection(Arc<AtomicUsize>);

    impl Drop for Connection {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_dropped_and_its_place_is_free_again() {
        let (cancellations, closed) =
            (Cancellations::new(1, Duration::from_secs(5)), Arc::<AtomicUsize>::default());
        let hang = |connection: Connection| async move {
            let _connection = connection;
            std::future::pending::<()>().await;
        };
        assert!(cancellations.begin(hang(Connection(closed.clone()))).is_ok());
        tokio::task::yield_now().await;
        let refused = cancellations.begin(hang(Connection(closed.clone())));
        assert!(refused.is_err(), "the place is taken");
        drop(refused);
        assert_eq!(closed.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(closed.load(Ordering::Relaxed), 2);
        assert!(cancellations.begin(async {}).is_ok(), "the place is free");
    }

    #[test]
    fn without_a_runtime_the_work_is_given_back() {
        let cancellations = Cancellations::new(1, Duration::from_secs(5));
        assert!(cancellations.begin(async {}).is_err());
    }
}
