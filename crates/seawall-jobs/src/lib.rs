//! A durable store of background jobs, and what works them off.
//!
//! Does not know: what a job does, files, HTTP, settings. A job is a row; whoever claims it holds a
//! lease with a token, and only the newest token can change the row, so that a worker that was
//! thought dead cannot finish what another one has begun again. A job is begun at least once: what
//! it does must bear that.
//!
//! ```
//! use std::time::Duration;
//! use seawall_jobs::{Ending, JobStore, NewJob, SqliteStore, Worker};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn make() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("jobs.db")?;
//! store.insert(NewJob::new("mail", "welcome", r#"{"to":"ada@example.org"}"#)).await?;
//! let stop = CancellationToken::new();
//! let worker = Worker { concurrency: 4, ..Worker::new("mail", "this-machine") };
//! worker
//!     .run(&store, stop, async |job, _control| {
//!         println!("{}: {}", job.kind, job.payload);
//!         Ending::Done { result: String::new() }
//!     })
//!     .await;
//! # Ok(())
//! # }
//! ```

/// The guide's page: every piece of Rust in it is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/jobs.md")]
mod guide {}

mod backoff;
mod clock;
mod ended;
mod ledger;
#[cfg(feature = "postgres")]
mod postgres;
mod sql;
mod sqlite;
mod store;
mod worker;

pub use backoff::retry_after;
pub use clock::Clock;
pub use ended::EndedJob;
pub use ledger::{Entry, Noted};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;
pub use store::{
    Claimed, Ending, Filter, Inserted, JobEvent, JobRow, JobStore, Lease, NewJob, State,
    StoreError, StoreFuture, Wish,
};
pub use worker::{JobControl, Worker};
