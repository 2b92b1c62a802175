//! What the files of a run say of it, for who looks from outside.
//!
//! Does not know: how a run goes on. Nothing is changed, and a run that is under way is not
//! disturbed; what it has done since its last checkpoint is not seen.

use std::fs::{File, TryLockError};
use std::io;

use crate::checkpoint::{Checkpoint, LineCounts};
use crate::disk::FileSystem;
use crate::files::{Paths, generation, read};
use crate::identity::{INPUT, Input, identity};
use crate::settings::Settings;

/// An overview of a run, by its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOverview {
    /// Its name.
    pub run: String,
    /// How lines ended.
    pub counts: LineCounts,
    /// The first line without an outcome.
    pub sequence: u64,
    /// Where in the input it begins.
    pub offset: u64,
    /// Whether every line has its outcome.
    pub is_finished: bool,
    /// Whether a process has it under way.
    pub is_running: bool,
    /// Why it stopped before its end the last time, unless it was told to, or killed.
    pub failed: Option<String>,
}

/// Reads what the files of a run say of it; nothing if there is no run. Blocks.
///
/// # Errors
///
/// Fails if a file cannot be read, or none of them is what was written.
pub fn look(settings: &Settings) -> io::Result<Option<RunOverview>> {
    let paths = Paths::new(settings);
    let Some(checkpoint) = newest(&paths)? else { return Ok(None) };
    let is_running = is_locked(&paths)?;
    let Checkpoint { run, counts, sequence, offset, is_finished, .. } = checkpoint;
    let failed = match is_running || is_finished {
        true => None,
        false => read(&FileSystem, &paths.failed())?,
    };
    let failed = failed.map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(Some(RunOverview { run, counts, sequence, offset, is_finished, is_running, failed }))
}

/// Writes down why a run stopped before its end, for who looks from outside, or takes away what
/// stands there; blocks. Nothing depends on it: where it cannot be written, it is not.
pub(crate) fn note_failed(settings: &Settings, why: Option<&str>) {
    let paths = Paths::new(settings);
    // Another process that has the run says itself how it ends.
    if !paths.state.is_dir() || is_locked(&paths).unwrap_or(true) {
        return;
    }
    let _ = match why {
        Some(why) => std::fs::write(paths.failed(), why),
        None => std::fs::remove_file(paths.failed()),
    };
}

/// Reads the newest checkpoint that is whole.
fn newest(paths: &Paths) -> io::Result<Option<Checkpoint>> {
    let names = match std::fs::read_dir(&paths.state) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let names = names.iter().filter_map(|name| name.to_str());
    let mut generations: Vec<u64> =
        names.filter(|name| name.starts_with("checkpoint.")).filter_map(generation).collect();
    generations.sort_unstable_by(|one, other| other.cmp(one));
    for &number in &generations {
        // One that went away meanwhile has a newer one in its place: look again.
        let bytes = read(&FileSystem, &paths.checkpoint(number))?.unwrap_or_default();
        if let Ok(checkpoint) = Checkpoint::decode(&bytes) {
            return Ok(Some(checkpoint));
        }
    }
    match generations.is_empty() {
        true => Ok(None),
        false => Err(io::Error::other("no checkpoint is what was written")),
    }
}

/// Returns whether a run over this very input, as far as its size and samples tell, has finished.
/// Blocks.
///
/// # Errors
///
/// As [`look`], and if the input cannot be read.
pub fn has_finished(settings: &Settings) -> io::Result<bool> {
    let Some(checkpoint) = newest(&Paths::new(settings))? else { return Ok(false) };
    let input = Input::open(settings)?;
    let is = identity(settings, &input)?;
    let is_same = |part: &str| checkpoint.identity.get(part) == is.get(part);
    Ok(checkpoint.is_finished && INPUT.iter().all(|part| is_same(part)))
}

pub(crate) fn is_locked(paths: &Paths) -> io::Result<bool> {
    let file = match File::open(paths.lock()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // Shared: two who look at once do not take each other for the run.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
