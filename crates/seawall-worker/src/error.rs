//! Why a run could not begin, or had to stop.
//!
//! Does not know exit codes. Invariant: whatever it says, the files are such that a run can go on
//! once the cause is gone, or were not touched.

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use seawall_lines::LineError;
use tokio::task::JoinError;

use crate::identity::IdentityChange;

/// Says why a run could not begin, or had to stop; reads after "could not".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input could not be read.
    #[error(transparent)]
    Input(#[from] LineError),
    /// The input could not be looked at.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The input.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The input was changed while it was read. What was read has its outcome; whether that is
    /// what stands in the file now is not known.
    #[error(
        "take the run for finished: {} was changed while it was read: {why}; start it again with \
         the file that it began with, or with another output for another file", path.display()
    )]
    InputChanged {
        /// The input.
        path: PathBuf,
        /// What became of it.
        why: String,
    },
    /// The disk refused. The run can go on when the cause is gone: start it again.
    #[error("{what} {}: {source}; the run can go on from there when that is mended", path.display())]
    Disk {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process is at it.
    #[error("take {}: another process has this run under way", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// It is not the run that began here.
    #[error(
        "go on with the run in {}: {}; write to another output, or restore it", state.display(),
        in_words(changes)
    )]
    Changed {
        /// Where the run keeps what it knows.
        state: PathBuf,
        /// What is not the same.
        changes: Vec<IdentityChange>,
    },
    /// There is an output and no run that it belongs to.
    #[error("write {}: it is there already, and no run belongs to it; move it away", path.display())]
    InTheWay {
        /// The output or dead letter file.
        path: PathBuf,
    },
    /// What was written is not there any more.
    #[error(
        "take the run for finished: {}: {why}; restore it, or begin the run anew", path.display()
    )]
    OutputChanged {
        /// The output or dead letter file.
        path: PathBuf,
        /// What became of it.
        why: String,
    },
    /// No line can be sent as it is wanted. Nothing was changed.
    #[error("send the lines: {0}")]
    Unfillable(String),
    /// The run would write over what it reads, or two files into one. Nothing was changed.
    #[error("write {}: {one} and {other} are one file", path.display())]
    SameFile {
        /// What it is.
        one: &'static str,
        /// What it is besides.
        other: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// What the run knew cannot be trusted. Nothing was changed.
    #[error(
        "go on with the run in {}: {why}; nothing was changed; move it and the output away to \
         begin anew", state.display()
    )]
    Damaged {
        /// Where the run keeps what it knows.
        state: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The runtime is stopping.
    #[error("go on: the runtime is stopping; the run can go on when it is started again")]
    Stopped,
}

impl RunError {
    /// Returns whether starting the run again comes to the same, as long as nobody does something
    /// about it.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Input(error) => error.fault().is_lasting(),
            Self::Open { source, .. } => source.kind() == io::ErrorKind::Unsupported,
            Self::Changed { .. }
            | Self::InTheWay { .. }
            | Self::OutputChanged { .. }
            | Self::Unfillable(_)
            | Self::SameFile { .. }
            | Self::Damaged { .. } => true,
            Self::InputChanged { .. } | Self::Disk { .. } | Self::Locked { .. } | Self::Stopped => {
                false
            }
        }
    }
}

/// Makes an error of what the pool did not finish; a panic goes on.
pub(crate) fn stopped(error: JoinError) -> RunError {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => RunError::Stopped,
    }
}

fn in_words(changes: &[IdentityChange]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Adds to an error of the disk what was to be done with which file.
pub(crate) trait Context<T> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, RunError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, RunError> {
        self.map_err(|source| RunError::Disk { what, path: path.to_owned(), source })
    }
}
