//! Sends every line of a file through a call, and writes each outcome exactly once, whatever
//! crashes.
//!
//! Does not know: TOML, flags, signals, Prometheus. It is given settings as they are meant and an
//! async function for one line; what that does with the line is its own affair. [`Forward`] is one
//! such: it sends the line to an HTTP service through a policy.
//!
//! What holds, for any number of crashes: when the run has finished, every line has exactly one
//! record in the output or in the dead letter file, or was filtered. A call whose outcome was not
//! written is made again, with the same key ([`Job::key`]); if that must not be,
//! [`Settings::is_at_most_once`] says so.

/// The guide's page: every piece of Rust in it is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/worker.md")]
mod guide {}

mod bits;
mod checkpoint;
mod control;
mod dead;
mod disk;
mod engine;
mod error;
mod file_location;
mod files;
mod finder;
mod finished;
mod forward;
mod identity;
mod job;
mod json;
mod overview;
mod pace;
mod progress;
mod record;
mod recover;
mod replay;
mod run;
mod select;
mod selecting;
mod settings;
mod spill;
mod template;
mod waiting;
mod window;
mod would;
mod writer;

pub use checkpoint::LineCounts;
pub use control::{Control, RunConclusion};
pub use disk::{Disk, DiskFile, FileSystem};
pub use error::RunError;
pub use file_location::FileLocation;
pub use forward::{Answers, BadForward, Filled, Forward};
pub use identity::IdentityChange;
pub use job::{Job, LineOutcome};
pub use overview::{RunOverview, has_finished, look};
pub use pace::{Pace, Weight, WeightOf};
pub use progress::{Progress, ProgressSnapshot};
pub use run::{RunSummary, run, run_on, run_select, run_select_on};
pub use select::{BadSelect, Select, Selected};
pub use settings::{FailuresMax, Settings, Sync};
pub use would::{Would, would};
