//! Every store does the same: one suite for all, and what is special to each.

#![expect(clippy::unwrap_used, reason = "a test whose fixture is not as expected has failed")]

mod conformance;
mod ends;
mod kill;
mod model;
mod older;
#[cfg(feature = "postgres")]
mod postgres;
mod runtime;
#[cfg(feature = "postgres")]
mod server;
mod sqlite;
