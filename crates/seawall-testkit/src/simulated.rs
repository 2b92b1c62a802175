//! The engine of simulated upstreams behind a real socket.
//!
//! Does not know: what is decided; that is [`seawall_policy::sim`]'s. Here it is carried out, in
//! real time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seawall_policy::sim::{BusySlot, Engine, Scenario, Then};
use tokio::time::sleep;

use crate::ScriptedReply;

/// Plays a scenario to whoever connects.
pub(crate) struct Simulated {
    engine: Mutex<Engine>,
    /// Whether it stops working for a client that has left.
    notices_leaving: bool,
}

impl Simulated {
    pub(crate) fn new(scenario: Scenario, seed: u64, notices_leaving: bool) -> Self {
        let engine = Engine::new(scenario, seed, Instant::now());
        Self { engine: Mutex::new(engine), notices_leaving }
    }

    /// Returns whether a connection that comes now is refused.
    pub(crate) fn is_down(&self) -> bool {
        self.lock().phase(Instant::now()).behaviour.is_down
    }

    /// Works on a request for as long as it takes, and returns what comes of it. Dropping the
    /// future leaves the place to the next, if the upstream notices.
    pub(crate) async fn work(&self) -> ScriptedReply {
        let plan = self.lock().arrive(Instant::now());
        let mut working = Working { simulated: self, place: plan.place };
        if !plan.delay.is_zero() {
            sleep(plan.delay).await;
        }
        working.place = None;
        match plan.then {
            Then::Answer { status } => ScriptedReply::status(status, BODY),
            Then::Hang => ScriptedReply::hang(),
            Then::Reset | Then::Refuse => ScriptedReply::reset(),
            Then::Drip { bytes_per_second } => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY.len());
                let every = Duration::from_secs(1) / bytes_per_second.max(1);
                ScriptedReply::raw(head).and(ScriptedReply::drip(BODY, every))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Working<'a> {
    simulated: &'a Simulated,
    place: Option<BusySlot>,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take()
            && self.simulated.notices_leaving
        {
            self.simulated.lock().leave(place, Instant::now());
        }
    }
}

const BODY: &str = "{\"simulated\":true}";
