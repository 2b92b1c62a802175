//! How much this process has to do: what load shedding goes by.
//!
//! Does not know: who is shed. Two things say that there is too much: the processors are busy all
//! the time, and workers come late to what they were to do. The second also shows a quota that the
//! processors' time does not (a container's), and a worker that something blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use seawall_policy::shed::Load;
use seawall_watch::Recorder;
use tokio::time::{Instant, sleep_until};

/// How late the latest worker came since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Lag(AtomicU64);

impl Lag {
    /// Measures how late this thread's runtime wakes, for as long as it is polled.
    ///
    /// # Cancel safety
    ///
    /// It never ends by itself, and nothing is lost.
    pub(crate) async fn watch(&self) {
        loop {
            let due = Instant::now() + PULSE;
            sleep_until(due).await;
            self.note(due.elapsed());
        }
    }

    fn note(&self, late: Duration) {
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: the number stands for itself.
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

/// Works out the load four times a second.
pub(crate) struct Gauge {
    load: Arc<Load>,
    lag: Arc<Lag>,
    recorder: Arc<Recorder>,
    workers: usize,
    before: (Instant, Duration),
}

impl Gauge {
    /// Begins with no load; `workers` threads do what there is to do.
    pub(crate) fn new(
        load: Arc<Load>,
        lag: Arc<Lag>,
        recorder: Arc<Recorder>,
        workers: usize,
    ) -> Self {
        Self { load, lag, recorder, workers, before: (Instant::now(), processor_time()) }
    }

    /// Says how much there was to do since it was last asked.
    pub(crate) fn sample(&mut self) {
        let (now, used) = (Instant::now(), processor_time());
        let (then, used_then) = std::mem::replace(&mut self.before, (now, used));
        let offered = (now - then).as_secs_f64() * self.workers as f64;
        let busy = used.saturating_sub(used_then).as_secs_f64() / offered.max(1e-9);
        let load = blend(self.load.get(), busy, self.lag.take());
        self.load.set(load);
        self.recorder.set_load(load);
    }
}

/// Moves the load a part of the way to the larger of the two signs, so that one late wake-up sheds
/// nobody, and a second of them does.
fn blend(before: f64, busy: f64, late: Duration) -> f64 {
    let lag = late.as_secs_f64() / LAG_MAX.as_secs_f64();
    let seen = busy.max(lag).clamp(0.0, 1.0);
    before + (seen - before) * WEIGHT
}

/// Returns the processor time that all threads of this process have used.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// How often the load is worked out.
pub(crate) const SAMPLE: Duration = Duration::from_millis(250);
/// How often each worker looks whether it is late.
const PULSE: Duration = Duration::from_millis(100);
/// A worker that is so late has more than it can do: half of a queue's usual patience.
const LAG_MAX: Duration = Duration::from_millis(50);
/// What one sample counts for: four in a row, a second, make up nine tenths.
const WEIGHT: f64 = 0.44;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_all_there_is_to_do_is_a_high_load() {
        let load = (0..4).fold(0.0, |load, _| blend(load, 1.0, Duration::ZERO));
        assert!((0.9..1.0).contains(&load), "{load}");
        let load = (0..4).fold(load, |load, _| blend(load, 0.0, Duration::ZERO));
        assert!(load < 0.1, "{load}");
    }

    #[test]
    fn one_late_wake_up_sheds_nobody() {
        assert!(blend(0.1, 0.1, Duration::from_secs(5)) < 0.8);
    }

    #[test]
    fn late_workers_are_a_load_of_their_own() {
        let load = (0..8).fold(0.0, |load, _| blend(load, 0.2, Duration::from_millis(50)));
        assert!(load > 0.95, "{load}");
    }

    #[tokio::test]
    async fn a_worker_that_is_kept_busy_wakes_late() {
        let lag = Lag::default();
        let busy = async {
            // The first pulse is on its way now.
            tokio::task::yield_now().await;
            let until = Instant::now() + PULSE + LAG_MAX;
            while Instant::now() < until {}
        };
        tokio::select! {
            () = lag.watch() => unreachable!("it never ends"),
            () = async { busy.await; tokio::time::sleep(Duration::from_millis(1)).await; } => {}
        }
        assert!(lag.take() >= LAG_MAX - Duration::from_millis(5));
        assert_eq!(lag.take(), Duration::ZERO);
    }
}
