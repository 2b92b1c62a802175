//! Where a run keeps what it knows, and a file that only grows.
//!
//! Does not know: what is in the files.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};
use crate::error::{Context, RunError};
use crate::settings::Settings;

/// Names the files of a run.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) output: PathBuf,
    pub(crate) dead: PathBuf,
    pub(crate) state: PathBuf,
}

impl Paths {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (output, dead) = (settings.output.clone(), settings.dead.clone());
        Self { output, dead, state: settings.state() }
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    pub(crate) fn checkpoint(&self, generation: u64) -> PathBuf {
        self.state.join(format!("checkpoint.{generation}.json"))
    }

    /// Where it stands why the last session ended before the end.
    pub(crate) fn failed(&self) -> PathBuf {
        self.state.join("failed")
    }

    pub(crate) fn unfinished(&self) -> PathBuf {
        self.state.join("checkpoint.tmp")
    }

    pub(crate) fn journal(&self, generation: u64) -> PathBuf {
        self.state.join(format!("journal.{generation}"))
    }

    pub(crate) fn spill(&self, number: u64) -> PathBuf {
        self.state.join(format!("{SPILL}{number}"))
    }
}

/// Returns the generation that a file's name says.
pub(crate) fn generation(name: &str) -> Option<u64> {
    let number = match name.strip_prefix("checkpoint.") {
        Some(rest) => rest.strip_suffix(".json")?,
        None => name.strip_prefix("journal.")?,
    };
    number.parse().ok()
}

/// How the name of a spill begins; its number follows.
pub(crate) const SPILL: &str = "spill.";

/// Returns the directory that a file is in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Is a file that only grows.
#[derive(Debug)]
pub(crate) struct Tail<F> {
    pub(crate) file: F,
    pub(crate) path: PathBuf,
    /// How much of it is in order; what stands behind is written over.
    pub(crate) length: u64,
}

impl<F: DiskFile> Tail<F> {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        if !bytes.is_empty() {
            self.file.write_all_at(bytes, self.length).context("write", &self.path)?;
            self.length += bytes.len() as u64;
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), RunError> {
        self.file.sync().context("make durable", &self.path)
    }
}

/// Reads a whole file; nothing if there is none. Longer ones than any of ours are an error.
pub(crate) fn read<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = disk.open(path)? else { return Ok(None) };
    let length = file.length()?;
    if length > STATE_BYTES_MAX {
        return Err(io::Error::other("it is longer than any that this program writes"));
    }
    // Fits: it is below the bound.
    let mut bytes = vec![0; length as usize];
    if !file.read_exact_at(&mut bytes, 0)? {
        return Err(io::Error::other("it became shorter while it was read"));
    }
    Ok(Some(bytes))
}

/// A journal is checkpointed long before.
const STATE_BYTES_MAX: u64 = 1 << 30;
