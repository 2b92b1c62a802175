//! What a run depends on: the input, by its size and samples of it, and what was asked for.
//!
//! Does not know: journals. Invariant: a run goes on only if all of it is the same, and what is
//! not is named.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::settings::Settings;

/// Is the input, opened once: what is named is what is read.
pub(crate) struct Input {
    file: File,
    length: u64,
    modified: (i64, i64),
    samples: String,
}

impl Input {
    /// Opens it; blocks.
    pub(crate) fn open(settings: &Settings) -> io::Result<Self> {
        // A pipe that nobody writes to would be waited for; of a file it changes nothing.
        let mut flags = OFlags::NONBLOCK;
        flags.set(OFlags::NOFOLLOW, !settings.follows_links);
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&settings.input);
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(number) if number == Errno::LOOP.raw_os_error() && !settings.follows_links => {
                unsupported("it is a link, and none is followed here")
            }
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            // It could not be read again after a crash.
            let is_pipe = metadata.file_type().is_fifo();
            let what = if is_pipe { "it is a pipe" } else { "it is no regular file" };
            return Err(io::Error::other(format!(
                "{what}, and cannot be read again after a crash"
            )));
        }
        let (length, modified) = (metadata.len(), modified(&metadata));
        let samples = samples(&file, length)?;
        Ok(Self { file, length, modified, samples })
    }

    /// Returns the file, to be read.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Says what became of it since it was opened, if that may have changed what was read; blocks.
    ///
    /// What was put behind its end does not count: it was read up to the length that it had.
    pub(crate) fn change(&self) -> io::Result<Option<String>> {
        let metadata = self.file.metadata()?;
        let (was, is) = (self.length, metadata.len());
        if is < was {
            return Ok(Some(format!("it had {was} bytes and has {is}")));
        }
        let is_untouched = modified(&metadata) == self.modified;
        if is_untouched || (is > was && samples(&self.file, was)? == self.samples) {
            return Ok(None);
        }
        Ok(Some("it was written to".to_owned()))
    }
}

fn unsupported(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// Names what the run depends on; blocks.
pub(crate) fn identity(settings: &Settings, input: &Input) -> io::Result<BTreeMap<String, String>> {
    let mut identity: BTreeMap<String, String> = settings
        .identity
        .iter()
        .map(|(name, value)| (format!("setting {name}"), value.clone()))
        .collect();
    let mut add = |name: &str, value: String| identity.insert(name.to_owned(), value);
    add(INPUT[0], input.length.to_string());
    add(INPUT[1], input.samples.clone());
    add("order", if settings.is_ordered { "as the input" } else { "as they come" }.to_owned());
    let sends = if settings.is_at_most_once { "at most once" } else { "at least once" };
    add("sends", sends.to_owned());
    add("line bytes", settings.line_bytes_max.to_string());
    add(DEAD, dead_letters(settings)?);
    Ok(identity)
}

/// Names the dead letter file: within the output's folder by its name there, so that a run can be
/// moved to another folder.
fn dead_letters(settings: &Settings) -> io::Result<String> {
    let [output, dead] = [&settings.output, &settings.dead].map(std::path::absolute);
    let (output, dead) = (output?, dead?);
    let within = output.parent().and_then(|folder| dead.strip_prefix(folder).ok());
    Ok(match within {
        None => dead.display().to_string(),
        Some(name) => match (name.to_str(), output.file_name().and_then(OsStr::to_str)) {
            // The usual one, whatever the output is called by now.
            (Some(name), Some(output)) if name.strip_prefix(output) == Some(".dead") => {
                "OUTPUT.dead".to_owned()
            }
            _ => name.display().to_string(),
        },
    })
}

/// Hashes the first and last 64 KiB and fifteen places between; less than a millisecond.
fn samples(file: &File, length: u64) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; EDGE];
    let mut sample = |at: u64, bytes: usize| -> io::Result<()> {
        // Fits: it is at most `EDGE`.
        let wanted = (length - at.min(length)).min(bytes as u64) as usize;
        file.read_exact_at(&mut buffer[..wanted], at)?;
        hasher.update(&buffer[..wanted]);
        Ok(())
    };
    sample(0, EDGE)?;
    for place in 1..=PLACES {
        sample(length / (PLACES + 1) * place, PLACE)?;
    }
    sample(length.saturating_sub(EDGE as u64), EDGE)?;
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// What the input adds to what a run depends on.
pub(crate) const INPUT: [&str; 2] = ["input bytes", "input samples"];
const DEAD: &str = "dead letters";
const OLD_DEAD: &str = "dead letter file";
const EDGE: usize = 64 * 1024;
const PLACES: u64 = 15;
const PLACE: usize = 4096;

/// One thing that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityChange {
    /// What is not the same.
    pub field: String,
    /// What it was when the run began.
    pub was: String,
    /// What it is now.
    pub is: String,
}

impl fmt::Display for IdentityChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {} and is {}", self.field, self.was, self.is)
    }
}

/// Reads what an earlier session depended on: before, it named the dead letter file by its whole
/// path.
pub(crate) fn read(
    mut was: BTreeMap<String, String>,
    settings: &Settings,
) -> io::Result<BTreeMap<String, String>> {
    if let Some(path) = was.remove(OLD_DEAD) {
        let name = match std::path::absolute(&settings.dead)?.display().to_string() == path {
            true => dead_letters(settings)?,
            false => path,
        };
        was.insert(DEAD.to_owned(), name);
    }
    Ok(was)
}

/// Returns what differs.
pub(crate) fn changes(
    was: &BTreeMap<String, String>,
    is: &BTreeMap<String, String>,
) -> Vec<IdentityChange> {
    let value = |map: &BTreeMap<String, String>, name: &str| {
        map.get(name).cloned().unwrap_or_else(|| "nothing".to_owned())
    };
    let names: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let differing = names.into_iter().filter(|name| was.get(*name) != is.get(*name));
    differing
        .map(|name| IdentityChange {
            field: name.clone(),
            was: value(was, name),
            is: value(is, name),
        })
        .collect()
}
