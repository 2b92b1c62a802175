//! What a scripted upstream does with a request, and what it has seen so far.
//!
//! Does not know: sockets. Its connections share it, and the test reads it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use crate::simulated::Simulated;
use crate::{ScriptedReply, Seen};

/// A request that waits for the test's reply. Dropping it resets the connection.
#[derive(Debug)]
pub struct PendingRequest {
    seen: Seen,
    reply: oneshot::Sender<ScriptedReply>,
}

/// The counts of what a scripted upstream has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that have ended.
    pub closed: u64,
    /// Requests that were read.
    pub requests: u64,
    /// Requests that were answered to the end of their script.
    pub finished: u64,
    /// Requests whose client left before the end of their answer.
    pub cancelled: u64,
    /// Requests that wait for their answer.
    pub in_flight: u64,
    /// The most that ever did at once.
    pub in_flight_max: u64,
    /// When the last client left before the end of its answer.
    pub cancelled_at: Option<Instant>,
}

/// The script and the records that the connections of one upstream share.
pub(crate) struct Shared {
    script: Script,
    counts: watch::Sender<UpstreamCounts>,
    seen: Mutex<Vec<Seen>>,
    reads_body: AtomicBool,
    /// The number of the last connection.
    numbers: AtomicU64,
}

/// How a scripted upstream answers.
pub(crate) enum Script {
    /// The test answers every request itself.
    Conversation(mpsc::Sender<PendingRequest>),
    /// A function does.
    Each(Box<dyn Fn(&Seen) -> ScriptedReply + Send + Sync>),
    /// The engine of simulated upstreams does.
    Simulated(Simulated),
}

impl PendingRequest {
    /// Does this with the request.
    pub fn reply(self, reply: ScriptedReply) {
        // A client that has left is counted, and no longer waits for the reply.
        let _ = self.reply.send(reply);
    }
}

impl std::ops::Deref for PendingRequest {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Shared {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script,
            counts: watch::Sender::new(UpstreamCounts::default()),
            seen: Mutex::default(),
            reads_body: AtomicBool::new(true),
            numbers: AtomicU64::new(0),
        }
    }

    /// Leaves the bodies of requests where they are.
    pub(crate) fn leave_bodies(&self) {
        self.reads_body.store(false, Ordering::Relaxed);
    }

    /// Returns the counts, as they are and as they change.
    pub(crate) fn counts(&self) -> watch::Receiver<UpstreamCounts> {
        self.counts.subscribe()
    }

    /// Returns every request that was read.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Numbers a connection, from 1.
    pub(crate) fn number(&self) -> u64 {
        1 + self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn reads_body(&self) -> bool {
        self.reads_body.load(Ordering::Relaxed)
    }

    /// Returns whether a connection that comes now is refused.
    pub(crate) fn refuses(&self) -> bool {
        matches!(&self.script, Script::Simulated(simulated) if simulated.is_down())
    }

    /// Counts a connection for as long as the guard lives.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.counts.send_modify(|counts| counts.opened += 1);
        Open(Arc::clone(self))
    }

    /// Counts a request; it is in flight until it is finished, or cancelled by dropping it.
    pub(crate) fn enter(self: &Arc<Self>, seen: Seen) -> InFlight {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < SEEN_MAX {
            all.push(seen);
        }
        drop(all);
        self.counts.send_modify(|counts| {
            counts.requests += 1;
            counts.in_flight += 1;
            counts.in_flight_max = counts.in_flight_max.max(counts.in_flight);
        });
        InFlight { shared: Arc::clone(self), is_finished: false }
    }

    /// Decides what is done with a request; `None` if nobody decides.
    pub(crate) async fn decide(&self, seen: Seen) -> Option<ScriptedReply> {
        match &self.script {
            Script::Each(each) => Some(each(&seen)),
            Script::Simulated(simulated) => Some(simulated.work().await),
            Script::Conversation(asked) => {
                let (reply, decided) = oneshot::channel();
                asked.send(PendingRequest { seen, reply }).await.ok()?;
                decided.await.ok()
            }
        }
    }
}

/// Counts an open connection.
pub(crate) struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.closed += 1);
    }
}

/// Counts a request in flight.
pub(crate) struct InFlight {
    shared: Arc<Shared>,
    is_finished: bool,
}

impl InFlight {
    /// Counts it as answered to the end of its script.
    pub(crate) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.counts.send_modify(|counts| {
            counts.in_flight -= 1;
            if self.is_finished {
                counts.finished += 1;
            } else {
                counts.cancelled += 1;
                counts.cancelled_at = Some(Instant::now());
            }
        });
    }
}

/// How many requests are kept to be looked at; later ones are only counted.
const SEEN_MAX: usize = 100_000;
