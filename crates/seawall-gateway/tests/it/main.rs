//! The gateway over real TCP, with scripted origins on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod answers;
mod house;
mod leave;
mod serve;
mod stop;
