//! Jobs: a file whose every line goes through a policy, once.
//!
//! Does not know: flags, TOML. `work` is one run as the worker's crate wants it, `steer` carries it
//! out and listens to signals, `show` and `summary` tell people how it goes and how it ended.

mod bar;
mod copy;
mod dry_run;
mod first_lines;
mod seen;
mod show;
mod speed;
mod steer;
mod summary;
mod to_stdout;
mod work;

pub(crate) use copy::StdinCopy;
pub(crate) use dry_run::dry_run;
pub(crate) use seen::Seen;
pub(crate) use show::{Form, Show};
pub(crate) use speed::Speed;
pub(crate) use steer::{Steered, Stopping, steer};
pub(crate) use summary::{Outcome, exit_of};
pub(crate) use to_stdout::ToStdout;
pub(crate) use work::Work;
