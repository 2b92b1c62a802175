//! Seawall: an asynchronous backend that keeps answering when the services behind it do not.
//!
//! Knows flags and signals, which no other crate does; decides nothing about requests.

mod accepted;
mod by_hand;
pub mod cli;
pub mod commands;
mod demo;
pub mod exit;
pub mod files;
pub mod host;
mod jobs;
pub mod listen;
mod load;
mod names;
pub mod panics;
mod plan;
mod ports;
mod reload;
mod signals;
pub mod start;
mod start_error;
pub mod upstreams;
mod watched;
mod workers;
