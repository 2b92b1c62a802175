//! Carries a run out, shows it, and listens to signals meanwhile.
//!
//! Does not know: what the run does. The first signal lets calls under way end, the second drops
//! them, the third ends the process; whichever it is, nothing is lost or written twice.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use seawall_worker::{RunError, RunSummary};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;

use super::show::Show;
use crate::jobs::{Grace, Progress, Work};

/// How a run is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopping {
    /// How long calls under way may take after the first signal.
    pub(crate) grace: Duration,
}

/// How steering ended.
pub(crate) enum Steered {
    /// The run ended.
    Ended(Result<RunSummary, RunError>),
    /// A third signal ended it, as any death would: the next run goes on.
    Aborted(u8),
}

/// Runs to the end, or until it is told to stop.
///
/// # Errors
///
/// Fails if the system does not let us listen to signals.
///
/// # Cancel safety
///
/// As [`seawall_worker::run`].
pub(crate) async fn steer(work: &Work, show: &mut Show, stopping: Stopping) -> io::Result<Steered> {
    let control = &work.control;
    let mut signals = Signals::new()?;
    let mut running = pin!(work.run());
    let mut ticks = interval(TICK);
    let mut grace = Grace::default();
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut running => break ended,
            stop = signals.next() => match stop {
                UserSignal::Status => {
                    let now = Instant::now();
                    show.say(now, &Progress::of(work, now));
                }
                UserSignal::Stop(_) if !control.drain.is_cancelled() => {
                    let seconds = stopping.grace.as_secs_f64();
                    show.print(&format!(
                        "stopping: no new lines, {seconds} s for calls in flight; once more to drop \
                         them"
                    ));
                    control.drain.cancel();
                    grace.begin(stopping.grace);
                }
                UserSignal::Stop(_) if !control.halt.is_cancelled() => {
                    show.print("stopping now: calls in flight are dropped, and sent again on \
                                resume");
                    control.halt.cancel();
                }
                UserSignal::Stop(signal) => {
                    show.end();
                    return Ok(Steered::Aborted(signal));
                }
            },
            () = grace.is_over(), if !control.halt.is_cancelled() => control.halt.cancel(),
            _ = ticks.tick() => {
                let now = Instant::now();
                show.take(now, &Progress::of(work, now));
            }
        }
    };
    show.end();
    Ok(Steered::Ended(ended))
}

enum UserSignal {
    Stop(u8),
    Status,
}

struct Signals {
    stops: [Signal; 3],
    status: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Self {
            stops: [signal(interrupt)?, signal(terminate)?, signal(hangup)?],
            status: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses none.
    async fn next(&mut self) -> UserSignal {
        let [interrupt, terminate, hangup] = &mut self.stops;
        tokio::select! {
            _ = interrupt.recv() => UserSignal::Stop(2),
            _ = terminate.recv() => UserSignal::Stop(15),
            _ = hangup.recv() => UserSignal::Stop(1),
            _ = self.status.recv() => UserSignal::Status,
        }
    }
}

/// How often the run is looked at.
const TICK: Duration = Duration::from_millis(125);
