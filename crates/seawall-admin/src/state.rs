//! What the admin port may know of the running host, and the orders it may give.
//!
//! Does not know HTTP. The host writes, the admin port reads; an order is carried out by the host
//! alone, one after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_watch::{About, JobsStatus, Recorder, SettingsStatus, Status};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::by_hand::ByHand;

/// What the admin port may know of the host.
pub struct State {
    recorder: Arc<Recorder>,
    about: Mutex<About>,
}

/// What the host is to do.
#[derive(Debug)]
pub enum Order {
    /// Stop; the second time, at once. Holds the signal's number.
    Stop(u8),
    /// Finish what is in flight and stop: another process has the listening sockets, and serves.
    Replaced,
    /// Read the settings again and say what came of it.
    Reload {
        /// Whether they are taken even if most routes are lost by it.
        is_forced: bool,
        /// Who is told.
        reply: Option<oneshot::Sender<Reloaded>>,
    },
    /// Begin a new file for the log of requests.
    ReopenLog,
    /// Do something to an upstream and say what was done, or why not.
    ByHand(ByHand, oneshot::Sender<Result<String, String>>),
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct Reloaded {
    /// The generation in force.
    pub generation: u64,
    /// Why the file is not in force.
    pub refused: Option<Refused>,
    /// What takes effect only after a restart.
    pub restart_needed: Option<String>,
    /// What was remarked, for people.
    pub warnings: String,
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// How many errors there are.
    pub errors: usize,
    /// All of them, one line each.
    pub brief: String,
    /// All of them with the lines of the file, for people.
    pub human: String,
}

/// Gives orders to the host; at most this many wait.
pub const ORDERS_MAX: usize = 16;

/// The end that orders are given at.
pub type Orders = mpsc::Sender<Order>;

impl State {
    /// Begins as a host that is starting.
    pub fn new(recorder: Arc<Recorder>, mode: &'static str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let about = About { version, mode, phase: "starting", ..About::default() };
        Self { recorder, about: Mutex::new(about) }
    }

    /// Returns the numbers.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Says what the server is doing now.
    pub fn status(&self) -> Status {
        let about = self.lock().clone();
        self.recorder.status(about, Instant::now().into_std())
    }

    /// Returns whether new clients are welcome, and if not, why.
    pub fn phase(&self) -> &'static str {
        self.lock().phase
    }

    /// Returns whether there are jobs that cannot be run.
    pub fn lacks_jobs(&self) -> bool {
        self.lock().jobs.as_ref().is_some_and(|jobs| jobs.store_error.is_some())
    }

    /// Changes what is known of the jobs.
    pub fn note_jobs(&self, note: impl FnOnce(&mut JobsStatus)) {
        note(self.lock().jobs.get_or_insert_default());
    }

    /// Notes whether new clients are welcome, in a word of [`About::phase`].
    pub fn set_phase(&self, phase: &'static str) {
        self.lock().phase = phase;
    }

    /// Notes at which addresses clients are served, by the first generation of a file.
    pub fn listens(&self, addresses: &[SocketAddr], file: &str) {
        let mut about = self.lock();
        let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
        about.listen = Some(addresses.join(", "));
        about.settings.file = Some(file.to_owned());
        about.settings.generation = 1;
    }

    /// Changes what is known of the settings.
    pub fn note_settings(&self, note: impl FnOnce(&mut SettingsStatus)) {
        note(&mut self.lock().settings);
    }

    fn lock(&self) -> MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
