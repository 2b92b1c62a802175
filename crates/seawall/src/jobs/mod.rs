//! Jobs: files whose every line goes through a policy, once. By hand from the command line, or by
//! the server, at its time or when a file appears.
//!
//! Does not know: flags, TOML, HTTP. What both share stands here: `work` is one run as the worker's
//! crate wants it, `run` carries it out, `first_lines` looks whether it can be sent at all, `seen`
//! says what its files say, `progress` and `speed` how far it is and how fast.

pub(crate) mod by_hand;
mod first_lines;
mod grace;
mod progress;
mod run;
mod seen;
pub(crate) mod server;
mod speed;
mod suffix;
mod to_stdout;
mod work;

pub(crate) use grace::Grace;
pub(crate) use progress::Progress;
pub(crate) use seen::Seen;
pub(crate) use speed::{Speed, share};
pub(crate) use suffix::with_suffix;
pub(crate) use to_stdout::ToStdout;
pub(crate) use work::Work;
