//! The rules of the house: what a machine can check about the source itself.
//!
//! Does not know: what any of the code does. It reads manifests and text.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the source has failed")]

mod circles;
mod dependencies;
mod floors;
mod licences;
mod metadata;
mod names;
mod pages;
mod source;
