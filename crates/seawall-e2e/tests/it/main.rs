//! End-to-end tests: the seawall binary between real clients and real upstreams, on loopback.
//!
//! A test that proves a row of the robustness plan begins with its name (`u4_...`). Tests under
//! `heavy` measure time or hold thousands of sockets and run alone (`.config/nextest.toml`, and a
//! lock of their own under plain `cargo test`).

#![expect(clippy::unwrap_used, reason = "a test whose fixture is not as expected has failed")]

mod access;
mod ad_hoc;
mod admin;
mod batch;
mod commands;
mod connections;
#[path = "../../../seawall-wire/tests/corpus/mod.rs"]
mod corpus;
mod cuts;
mod ends;
mod example;
mod fallback;
mod fixture;
mod grpc;
mod heavy;
mod http2;
mod input;
mod jobs;
mod log;
mod map;
mod message;
mod process;
mod progress;
mod readers;
mod redirect;
mod replacing;
mod seeing;
#[path = "../../../seawall-jobs/tests/it/server.rs"]
mod server;
mod strategies;
mod target;
mod tunnel;
mod upstream;
mod words;
