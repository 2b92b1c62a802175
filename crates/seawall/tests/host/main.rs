//! A host that runs, seen from its two ports.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and is a program"
)]

mod admin;
mod life;
mod reload;
mod support;
