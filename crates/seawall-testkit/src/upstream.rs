//! An upstream that does what a test tells it to, over real sockets on a free loopback port.
//!
//! Does not know: who calls it. Everything it saw is counted and kept, and a test waits for a
//! count instead of sleeping.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_policy::sim::Scenario;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::connection;
use crate::simulated::Simulated;
use crate::{Reply, Seen};

/// Serves HTTP/1.1 as a script says; ends, with all its connections, when dropped.
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    asked: mpsc::Receiver<Asked>,
    task: JoinHandle<()>,
}

/// Holds a request that waits for the test's reply. Dropping it resets the connection.
#[derive(Debug)]
pub struct Asked {
    seen: Seen,
    reply: oneshot::Sender<Reply>,
}

/// Counts what a scripted upstream has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
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

/// Holds what the connections of one upstream share.
pub(crate) struct Shared {
    script: Script,
    counts: watch::Sender<Counts>,
    seen: Mutex<Vec<Seen>>,
    reads_body: AtomicBool,
    /// The number of the last connection.
    numbers: AtomicU64,
}

enum Script {
    /// The test answers every request itself.
    Conversation(mpsc::Sender<Asked>),
    /// A function does.
    Each(Box<dyn Fn(&Seen) -> Reply + Send + Sync>),
    /// The engine of simulated upstreams does.
    Simulated(Simulated),
}

impl Asked {
    /// Does this with the request.
    pub fn reply(self, reply: Reply) {
        // A client that has left is counted, and no longer waits for the reply.
        let _ = self.reply.send(reply);
    }
}

impl std::ops::Deref for Asked {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl ScriptedUpstream {
    /// Listens on a free loopback port; the test answers every request, as in
    /// [`ScriptedUpstream::asked`].
    ///
    /// # Errors
    ///
    /// Fails if no port can be had.
    pub async fn conversation() -> io::Result<Self> {
        let (tx, rx) = mpsc::channel(ASKED_MAX);
        Self::start(Script::Conversation(tx), rx).await
    }

    /// Listens on a free loopback port and answers every request by a function.
    ///
    /// # Errors
    ///
    /// Fails if no port can be had.
    pub async fn answering(
        each: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start(Script::Each(Box::new(each)), mpsc::channel(1).1).await
    }

    /// Listens on a free loopback port and answers with these, one after the other, and with the
    /// last of them from then on.
    ///
    /// # Errors
    ///
    /// Fails if no port can be had.
    pub async fn replies(replies: impl IntoIterator<Item = Reply>) -> io::Result<Self> {
        let left = Mutex::new(replies.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            let next = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
            next.unwrap_or_else(Reply::reset)
        })
        .await
    }

    /// Listens on a free loopback port and plays a scenario, from a seed. While it is down, new
    /// connections are reset.
    ///
    /// `notices_leaving` is whether it stops working for clients that have left. Many real ones
    /// do not, and a caller's limits have to hold for those too.
    ///
    /// # Errors
    ///
    /// Fails if no port can be had.
    pub async fn simulated(
        scenario: Scenario,
        seed: u64,
        notices_leaving: bool,
    ) -> io::Result<Self> {
        let simulated = Simulated::new(scenario, seed, notices_leaving);
        Self::start(Script::Simulated(simulated), mpsc::channel(1).1).await
    }

    async fn start(script: Script, asked: mpsc::Receiver<Asked>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Arc::new(Shared {
            script,
            counts: watch::Sender::new(Counts::default()),
            seen: Mutex::default(),
            reads_body: AtomicBool::new(true),
            numbers: AtomicU64::new(0),
        });
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, asked, task })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it listens, as `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leaves the bodies of requests where they are: replies are decided after the head.
    pub fn leave_bodies(&self) {
        self.shared.reads_body.store(false, Ordering::Relaxed);
    }

    /// Waits for the next request of a conversation.
    ///
    /// # Panics
    ///
    /// Panics if none comes for 10 s: a test that waits for ever says nothing.
    ///
    /// # Cancel safety
    ///
    /// No request is lost if the future is dropped.
    pub async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        asked.ok().flatten().expect("no request came for 10 s, or this is no conversation")
    }

    /// Returns the counts at this instant.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Returns every request that was read, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the counts are as wanted, and returns them.
    ///
    /// # Panics
    ///
    /// Panics if they are not `within` that time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn until(&self, within: Duration, wanted: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        let waited = tokio::time::timeout(within, counts.wait_for(|counts| wanted(counts))).await;
        match waited {
            Ok(Ok(counts)) => *counts,
            _ => panic!("not within {within:?}; the upstream has {:?}", self.counts()),
        }
    }

    /// Waits until a client has left before the end of its answer.
    ///
    /// # Panics
    ///
    /// Panics if none has `within` that time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn cancelled(&self, within: Duration) -> Counts {
        self.until(within, |counts| counts.cancelled > 0).await
    }

    /// Stops listening and cuts every connection, as a killed process does.
    ///
    /// # Cancel safety
    ///
    /// It is stopping in any case.
    pub async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Listens again on the same port, after [`ScriptedUpstream::kill`].
    ///
    /// # Errors
    ///
    /// Fails if somebody else has taken the port.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to wait for.
    pub async fn restart(&mut self) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        // The connections that were cut still occupy the port otherwise.
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        self.task = tokio::spawn(accept(socket.listen(BACKLOG)?, Arc::clone(&self.shared)));
        Ok(())
    }
}

impl Drop for ScriptedUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections; dropping it ends them all.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if shared.refuses() {
            // A listener cannot refuse one connection; this is as close as it gets.
            let _ = stream.set_zero_linger();
            continue;
        }
        let number = 1 + shared.numbers.fetch_add(1, Ordering::Relaxed);
        connections.spawn(connection::serve(stream, number, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    pub(crate) fn reads_body(&self) -> bool {
        self.reads_body.load(Ordering::Relaxed)
    }

    fn refuses(&self) -> bool {
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
    pub(crate) async fn decide(&self, seen: Seen) -> Option<Reply> {
        match &self.script {
            Script::Each(each) => Some(each(&seen)),
            Script::Simulated(simulated) => Some(simulated.work().await),
            Script::Conversation(asked) => {
                let (reply, decided) = oneshot::channel();
                asked.send(Asked { seen, reply }).await.ok()?;
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

/// How many requests of a conversation wait for the test.
const ASKED_MAX: usize = 1024;
/// How many requests are kept to be looked at; later ones are only counted.
const SEEN_MAX: usize = 100_000;
const BACKLOG: u32 = 4096;
const PATIENCE: Duration = Duration::from_secs(10);
