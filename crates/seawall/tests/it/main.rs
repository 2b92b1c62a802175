//! The built binary: what it prints where, and the codes it ends with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod commands;
mod guide;
mod simulate;
