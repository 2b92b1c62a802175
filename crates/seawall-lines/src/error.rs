//! What can keep a reader from reading, with the line and the offset where it happened.
//!
//! Does not know how to go on: an error is the end of its reader, and is told again when asked.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::rules::Position;

/// Says which input could not be read, where, and why.
///
/// Reads after "could not": "could not read line 4 of orders.csv (byte 1201): ...".
#[derive(Clone, Debug)]
pub struct LineError {
    name: Arc<Path>,
    at: Option<Position>,
    fault: LineFault,
}

/// Says why an input could not be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LineFault {
    /// The system refused; while opening if the error has no position.
    Io(Arc<io::Error>),
    /// It is something else than a regular file, and that was not asked for.
    NotRegular(&'static str),
    /// It is compressed in a way that this build cannot read.
    Coding(&'static str),
    /// It is something that is not read at all.
    NotRead(&'static str),
    /// Its lines end with carriage returns alone, as those of old Macs did.
    OnlyCr,
    /// The compressed bytes are not what they should be.
    Decode(Arc<io::Error>),
    /// It is shorter than where reading was to start.
    Short {
        /// The offset at which reading was to start.
        start: u64,
        /// How many bytes there are.
        length: u64,
    },
    /// It became shorter while it was read.
    Truncated {
        /// How many bytes it had when it was opened.
        length: u64,
        /// Where it ended now.
        found: u64,
    },
    /// A line is longer than the limit.
    TooLong {
        /// The limit.
        line_bytes_max: usize,
    },
    /// A line is not UTF-8, and text was asked for.
    NotText {
        /// The line's first byte that is not.
        byte: usize,
    },
    /// There is more than was to be read at once.
    TooMuch {
        /// The limit.
        bytes_max: usize,
    },
    /// Reading was cancelled.
    Cancelled,
    /// The runtime is stopping.
    Stopped,
}

impl LineFault {
    /// Returns whether reading the same input again comes to the same.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NotRegular(_)
            | Self::Coding(_)
            | Self::NotRead(_)
            | Self::OnlyCr
            | Self::Decode(_)
            | Self::Short { .. }
            | Self::TooLong { .. }
            | Self::NotText { .. }
            | Self::TooMuch { .. } => true,
            Self::Io(_) | Self::Truncated { .. } | Self::Cancelled | Self::Stopped => false,
        }
    }
}

impl LineError {
    pub(crate) fn opening(name: &Arc<Path>, fault: LineFault) -> Self {
        Self { name: Arc::clone(name), at: None, fault }
    }

    pub(crate) fn reading(name: &Arc<Path>, at: Position, fault: LineFault) -> Self {
        Self { name: Arc::clone(name), at: Some(at), fault }
    }

    /// Returns which input it was.
    pub fn path(&self) -> PathBuf {
        self.name.to_path_buf()
    }

    /// Returns where the line begins that could not be read; nothing if it was not opened.
    pub const fn position(&self) -> Option<Position> {
        self.at
    }

    /// Returns why.
    pub const fn fault(&self) -> &LineFault {
        &self.fault
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.display();
        match self.at {
            None => write!(f, "open {name}: {}", self.fault),
            Some(Position { sequence, offset }) => {
                // People count lines from 1.
                let line = sequence + 1;
                write!(f, "read line {line} of {name} (byte {offset}): {}", self.fault)
            }
        }
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotRegular(what) => {
                write!(f, "it is a {what}; allow any kind of file if that is meant")
            }
            Self::Coding(coding) => {
                write!(f, "it is compressed with {coding}, which this build cannot read")
            }
            Self::NotRead(what) => {
                write!(f, "it is {what}, which is not read here; convert it first")
            }
            Self::OnlyCr => f.write_str(
                "its lines end with carriage returns alone; convert it (`tr '\\r' '\\n'`), or say \
                 that only a line feed ends a line",
            ),
            Self::Decode(error) => write!(f, "the compressed input is damaged or cut: {error}"),
            Self::Short { start, length } => {
                write!(f, "it was to start at byte {start}, and has {length}; is it the same file?")
            }
            Self::Truncated { length, found } => write!(
                f,
                "the file had {length} bytes and now ends at {found}: it was cut while it was \
                 read; read a copy that nobody writes"
            ),
            Self::TooLong { line_bytes_max } => write!(
                f,
                "it is longer than {line_bytes_max} bytes; raise the limit, or cut long lines"
            ),
            Self::NotText { byte } => write!(
                f,
                "byte {byte} of the line is not UTF-8; convert the file, or read lines as bytes"
            ),
            Self::TooMuch { bytes_max } => write!(
                f,
                "the lines before it hold {bytes_max} bytes, which is all that may be read at \
                 once; read them in batches"
            ),
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Stopped => f.write_str("the runtime is stopping"),
        }
    }
}

impl Error for LineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.fault {
            LineFault::Io(error) | LineFault::Decode(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}
