//! Parts for tests of asynchronous code that talks to other services: an upstream that follows a
//! script over real sockets, a table of the ways in which origins go wrong, and an observer that keeps
//! what it is told.
//!
//! Does not know: Seawall's gateway, nor any HTTP library. It speaks HTTP by hand, so that it can
//! speak it wrongly.
//!
//! # Examples
//!
//! A test reads as a conversation: the test is the other side.
//!
//! ```
//! use std::time::Duration;
//! use seawall_testkit::{ScriptedReply, ScriptedUpstream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut upstream = ScriptedUpstream::conversation().await?;
//! let mut client = tokio::net::TcpStream::connect(upstream.address()).await?;
//! client.write_all(b"GET /oslo HTTP/1.1\r\nHost: weather\r\n\r\n").await?;
//!
//! let asked = upstream.asked().await;
//! assert_eq!(asked.target(), "/oslo");
//! asked.reply(ScriptedReply::ok("sunny").then_close());
//!
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.ends_with("sunny"));
//! upstream.until(Duration::from_secs(1), |counts| counts.closed == 1).await;
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod connection;
mod events;
pub mod faults;
pub mod frames;
mod nat;
mod reply;
mod request;
mod script;
mod simulated;
mod upstream;

pub use events::{EventPattern, Events};
pub use nat::{Forgets, Nat};
pub use reply::ScriptedReply;
pub use request::Seen;
pub use script::{PendingRequest, UpstreamCounts};
/// For the macros.
#[doc(hidden)]
pub use seawall_core as core;
pub use upstream::ScriptedUpstream;
