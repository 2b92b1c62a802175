//! A job that is run by hand: `seawall map`, `seawall job run`.
//!
//! Does not know: flags, TOML, servers. `steer` carries the run out and listens to signals, `show`
//! and `summary` tell people how it goes and how it ended.

mod bar;
mod copy;
mod dry_run;
mod show;
mod steer;
mod summary;

pub(crate) use copy::StdinCopy;
pub(crate) use dry_run::dry_run;
pub(crate) use show::{Form, Show};
pub(crate) use steer::{Steered, Stopping, steer};
pub(crate) use summary::{Outcome, exit_of};
