//! An upstream that does what a test tells it to, over real sockets on a free loopback port.
//!
//! Does not know: who calls it. Everything it saw is counted and kept, and a test waits for a
//! count instead of sleeping.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_policy::sim::Scenario;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::connection;
use crate::script::{PendingRequest, Script, Shared, UpstreamCounts};
use crate::simulated::Simulated;
use crate::{ScriptedReply, Seen};

/// Serves HTTP/1.1 as a script says; ends, with all its connections, when dropped.
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    asked: mpsc::Receiver<PendingRequest>,
    task: JoinHandle<()>,
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
        each: impl Fn(&Seen) -> ScriptedReply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start(Script::Each(Box::new(each)), mpsc::channel(1).1).await
    }

    /// Listens on a free loopback port and answers with these, one after the other, and with the
    /// last of them from then on.
    ///
    /// # Errors
    ///
    /// Fails if no port can be had.
    pub async fn replies(replies: impl IntoIterator<Item = ScriptedReply>) -> io::Result<Self> {
        let left = Mutex::new(replies.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            let next = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
            next.unwrap_or_else(ScriptedReply::reset)
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

    async fn start(script: Script, asked: mpsc::Receiver<PendingRequest>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Arc::new(Shared::new(script));
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
        self.shared.leave_bodies();
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
    pub async fn asked(&mut self) -> PendingRequest {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        asked.ok().flatten().expect("no request came for 10 s, or this is no conversation")
    }

    /// Returns the counts at this instant.
    pub fn counts(&self) -> UpstreamCounts {
        *self.shared.counts().borrow()
    }

    /// Returns every request that was read, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
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
    pub async fn until(
        &self,
        within: Duration,
        wanted: impl Fn(&UpstreamCounts) -> bool,
    ) -> UpstreamCounts {
        let mut counts = self.shared.counts();
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
    pub async fn cancelled(&self, within: Duration) -> UpstreamCounts {
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
        connections.spawn(connection::serve(stream, shared.number(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// How many requests of a conversation wait for the test.
const ASKED_MAX: usize = 1024;
const BACKLOG: u32 = 4096;
const PATIENCE: Duration = Duration::from_secs(10);
