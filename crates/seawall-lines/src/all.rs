//! Lines one at a time, and all lines at once: for when a batch is not worth the thought.
//!
//! Does not know: how lines are read. Invariant: nothing is left out without an error, and what is
//! kept is bounded.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio_util::sync::CancellationToken;

use crate::batch::OwnedLines;
use crate::error::{LineError, LineFault};
use crate::reader::LineReader;
use crate::rules::{OwnedLine, Position};

/// Reads all lines of a small file as text.
///
/// # Errors
///
/// Says which line could not be read, and why: also when a line is not UTF-8, when there are more
/// than 64 MiB, and when `cancel` was cancelled before the end.
///
/// # Cancel safety
///
/// Dropping the future closes the file; what was read is gone.
pub async fn read_lines(
    path: impl AsRef<Path>,
    cancel: &CancellationToken,
) -> Result<Vec<String>, LineError> {
    let path = path.as_ref();
    tokio::select! {
        // Whoever has cancelled wants no lines, even if all of them are there.
        biased;
        () = cancel.cancelled() => {
            let name: Arc<Path> = path.into();
            Err(LineError::reading(&name, Position::default(), LineFault::Cancelled))
        }
        lines = collect(path) => lines,
    }
}

async fn collect(path: &Path) -> Result<Vec<String>, LineError> {
    let mut reader = LineReader::open(path).await?;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = reader.next().await? {
        for line in &batch {
            let name: Arc<Path> = reader.name().into();
            let at = Position { sequence: line.sequence, offset: line.offset };
            // Each line costs what a `String` does besides its bytes.
            bytes += line.bytes.len() + size_of::<String>();
            if bytes > READ_LINES_BYTES_MAX {
                let fault = LineFault::TooMuch { bytes_max: READ_LINES_BYTES_MAX };
                return Err(LineError::reading(&name, at, fault));
            }
            let text = line.text().map_err(|error| {
                let fault = LineFault::NotText { byte: error.valid_up_to() };
                LineError::reading(&name, at, fault)
            })?;
            lines.push(text.to_owned());
        }
    }
    Ok(lines)
}

/// How much [`read_lines`] reads at most: what it returns is in memory as a whole.
pub const READ_LINES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Gives the lines of a reader one at a time, each with bytes of its own.
///
/// An error comes once, and then the end: whoever takes `Err` for a line that can be skipped does
/// not go on for ever.
pub struct LineStream {
    reader: LineReader,
    lines: Option<OwnedLines>,
    has_failed: bool,
}

impl LineReader {
    /// Gives the lines one at a time, each with bytes of its own.
    pub const fn into_stream(self) -> LineStream {
        LineStream { reader: self, lines: None, has_failed: false }
    }
}

impl Stream for LineStream {
    type Item = Result<OwnedLine, LineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(line) = this.lines.as_mut().and_then(Iterator::next) {
                return Poll::Ready(Some(Ok(line)));
            }
            // Before the next batch is asked for: the reader may wait for this one.
            this.lines = None;
            if this.has_failed {
                return Poll::Ready(None);
            }
            match ready!(this.reader.poll_next(cx)) {
                Ok(Some(batch)) => this.lines = Some(batch.into_owned_lines()),
                Ok(None) => return Poll::Ready(None),
                Err(error) => {
                    this.has_failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}
