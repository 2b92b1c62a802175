//! Lines as they come out of files, pipes and compressed files.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod cancel;
mod coding;
mod inputs;
mod memory;
mod naive;
mod pipe;
mod splitting;
mod text;
