//! A copy of stdin: what comes through a pipe cannot be read again after a crash, a file can.
//!
//! Does not know: lines. Invariant: the copy has its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::jobs::with_suffix;

/// A copy of stdin.
pub(crate) struct StdinCopy {
    pub(crate) path: PathBuf,
    /// Whether it was there from an earlier session.
    pub(crate) is_old: bool,
}

impl StdinCopy {
    /// Copies stdin beside the output, unless an earlier session has done so; blocks.
    ///
    /// # Errors
    ///
    /// Says what could not be done with which file.
    pub(crate) fn take(output: &Path, from: &mut dyn Read) -> Result<Self, String> {
        let path = with_suffix(output, ".stdin");
        if path.exists() {
            return Ok(Self { path, is_old: true });
        }
        let part = with_suffix(output, ".stdin.part");
        let copied = File::create(&part).and_then(|mut file| {
            io::copy(from, &mut file)?;
            file.sync_all()?;
            fs::rename(&part, &path)
        });
        match copied {
            Ok(()) => Ok(Self { path, is_old: false }),
            Err(error) => Err(format!("cannot copy stdin to {}: {error}", part.display())),
        }
    }

    /// Takes away what an earlier session has copied, if it has.
    pub(crate) fn forget(output: &Path) -> io::Result<()> {
        match fs::remove_file(with_suffix(output, ".stdin")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Takes it away: the run has finished.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
