//! Runs that end well, that are cut off, and whose disk fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod damage;
mod disk_faults;
mod forward;
mod kill;
mod ordinary;
mod power;
mod scene;
mod selecting;
mod sim;
