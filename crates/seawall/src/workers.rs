//! The data path's threads: one runtime each, listeners of their own, nothing shared but the gateway.
//!
//! Does not know: settings, signals. Why a runtime per core: a request stays on the core that
//! accepted it, and a worker that is stuck takes only its own clients with it.

use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use seawall_gateway::Gateway;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::load::Lag;

/// The running workers.
pub(crate) struct Workers {
    /// Each worker says that it has ended, and whether by a panic; closed when all have.
    ended: mpsc::Receiver<Ended>,
    running: usize,
}

/// The end of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Whether a bug of ours ended it.
    pub(crate) panicked: bool,
}

impl Workers {
    /// Starts a thread for each share of listeners; they serve until `stop` and finish by `cut`.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no thread left.
    pub(crate) fn start(
        gateway: &Gateway,
        shares: Vec<Vec<TcpListener>>,
        stop: &CancellationToken,
        cut: &CancellationToken,
        lag: &Arc<Lag>,
    ) -> io::Result<Self> {
        let running = shares.len();
        let (tell, ended) = mpsc::channel(running.max(1));
        for (number, listeners) in shares.into_iter().enumerate() {
            // Made here, so that a failure is reported before anything is served.
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let listeners = {
                let _inside = runtime.enter();
                let listeners = listeners.into_iter().map(tokio::net::TcpListener::from_std);
                listeners.collect::<io::Result<Vec<_>>>()?
            };
            let (gateway, stop, cut) = (gateway.clone(), stop.clone(), cut.clone());
            let (tell, lag) = (tell.clone(), lag.clone());
            thread::Builder::new().name(format!("seawall-{number}")).spawn(move || {
                // Requests' panics are caught by the gateway; this one is the accept loop's.
                let served = catch_unwind(AssertUnwindSafe(|| {
                    runtime.block_on(async {
                        let mut serving = JoinSet::new();
                        for listener in listeners {
                            let (gateway, stop, cut) = (gateway.clone(), stop.clone(), cut.clone());
                            let serve = async move { gateway.serve(listener, stop, cut).await };
                            serving.spawn(serve);
                        }
                        tokio::select! {
                            // A panic in one of them is passed on.
                            _ = serving.join_all() => {}
                            // It never ends, and loses nothing when the serving does.
                            () = lag.watch() => {}
                        }
                    });
                }));
                // There is room for every worker, and nobody listens only when nobody cares.
                let _ = tell.try_send(Ended { panicked: served.is_err() });
            })?;
        }
        Ok(Self { ended, running })
    }

    /// Waits until the next worker has ended; `None` once all have.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn ended(&mut self) -> Option<Ended> {
        if self.running == 0 {
            return None;
        }
        let ended = self.ended.recv().await;
        self.running -= 1;
        ended
    }

    /// Waits until all workers have ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it may be called again.
    pub(crate) async fn all_ended(&mut self) {
        while self.ended().await.is_some() {}
    }
}
