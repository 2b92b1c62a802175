//! Reads big files line by line without blocking: in batches, read ahead, within a bound of bytes.
//!
//! Does not know: policies, calls, journals, settings. It knows tokio's pool for blocking work and
//! the file system, and nothing else of the outside. It is a crate of its own because people
//! import it alone.
//!
//! A line handed over alone costs more than reading it: a channel that carries single lines moves
//! half a gigabyte a second, batches move seven. So a [`LineReader`] gives a [`LineBatch`], whose
//! lines are borrowed from the memory they were read into.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = tempfile::NamedTempFile::new()?;
//! # std::fs::write(file.path(), "oslo\r\nrome\n")?;
//! # let path = file.path();
//! use seawall_lines::{LineReader, OnLong};
//!
//! let mut reader = LineReader::open(path).line_bytes_max(1000).on_long(OnLong::Cut).await?;
//! let mut seen = Vec::new();
//! while let Some(batch) = reader.next().await? {
//!     seen.extend(batch.iter().map(|line| (line.sequence, line.offset, line.bytes.to_vec())));
//! }
//! assert_eq!(seen, [(0, 0, b"oslo".to_vec()), (1, 6, b"rome".to_vec())]);
//! # Ok(())
//! # }
//! ```

/// The guide's page: every piece of Rust in it is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/lines.md")]
mod guide {}

mod all;
mod batch;
mod buffer_pool;
mod coding;
#[cfg(any(feature = "gzip", feature = "zstd"))]
mod counted;
mod decoder;
mod error;
#[cfg(feature = "gzip")]
mod gzip;
mod input;
pub mod newlines;
mod open;
pub mod pipe;
mod reader;
mod rules;
mod seam;
mod source;
mod utf16;
mod waiting;
#[cfg(feature = "zstd")]
mod zstandard;

pub use all::{LineStream, READ_LINES_BYTES_MAX, read_lines};
pub use batch::{LineBatch, Lines, OwnedLines};
pub use coding::Coding;
pub use error::{LineError, LineFault};
pub use reader::{LineReader, Opening};
pub use rules::{Bom, Eol, Line, OnLong, OwnedLine, Position};
