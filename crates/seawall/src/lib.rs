//! Seawall: an asynchronous backend that keeps answering when the services behind it do not.
//!
//! Knows TOML, flags and signals, which no other crate does; decides nothing about requests.

pub mod cli;
pub mod exit;
pub mod settings;
