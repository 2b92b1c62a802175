//! The gateway over real TCP, with scripted origins on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[path = "../../../seawall-wire/tests/corpus/mod.rs"]
mod corpus;

mod answers;
mod cache;
mod coalesce;
mod ends;
mod fallback;
mod house;
mod http2;
mod leave;
mod refuse;
mod serve;
mod stop;
mod streams;
mod tunnel;
