//! The files of a folder that is watched: which there are, what is in them, and what becomes of
//! one that was read.
//!
//! Does not know: the store, jobs. All of it blocks. A file is known by its path and a hash of its
//! content; size, times and inode, which differ from machine to machine, only tell when to look
//! again. Invariant: only a file with the content that was read is moved or deleted.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use seawall_settings::WhenDone;

/// A file that has come to rest, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Appeared {
    pub(super) name: OsString,
    /// What it looks like.
    pub(super) stamp: String,
    /// What is in it.
    pub(super) fingerprint: String,
    /// Where it is.
    pub(super) item: String,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Those that are to be looked at, with what they look like; so many at most.
    pub(super) fresh: Vec<(OsString, String)>,
    /// Those that were looked at before and have not changed.
    pub(super) settled: HashSet<Look>,
}

/// A name and what the file looks like, hashed: of a million files that are done, that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Look([u8; 16]);

impl Look {
    pub(super) fn of(name: &OsStr, stamp: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(name.as_bytes()).update(&[0]).update(stamp.as_bytes());
        let hash = hasher.finalize();
        Self(std::array::from_fn(|at| hash.as_bytes()[at]))
    }
}

/// Lists the files of a folder that may be read.
pub(super) fn list(folder: &Path, settled: &HashSet<Look>) -> io::Result<Listed> {
    let mut listed = Listed::default();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let bytes = name.as_bytes();
        let is_odd = bytes.starts_with(b".")
            || [".part", ".tmp"].iter().any(|end| bytes.ends_with(end.as_bytes()));
        if is_odd {
            continue;
        }
        // Of the entry itself: a link leads who knows where.
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.file_type().is_file() {
            continue;
        }
        let stamp = stamp(&metadata);
        let look = Look::of(&name, &stamp);
        if settled.contains(&look) {
            listed.settled.insert(look);
        } else if listed.fresh.len() < FRESH_MAX {
            listed.fresh.push((name, stamp));
        }
        if listed.settled.len() > SETTLED_MAX {
            let why = format!(
                "it has more than {SETTLED_MAX} files: `when_done` moves or deletes those that are done"
            );
            return Err(io::Error::other(why));
        }
    }
    // The same order on every machine.
    listed.fresh.sort();
    Ok(listed)
}

/// Says what a file looks like on this machine.
fn stamp(metadata: &Metadata) -> String {
    format!(
        "{}:{} {} {}.{} {}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}

/// Says what a file looked like to version 1, which knew files by that.
pub(super) fn old_stamp(stamp: &str) -> String {
    stamp.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ")
}

/// Names the place of a file, the same however the way to its folder is spelled.
pub(super) fn item(folder: &Path, name: &OsStr) -> io::Result<String> {
    let path = fs::canonicalize(folder)?.join(name);
    Ok(blake3::hash(path.as_os_str().as_bytes()).to_hex().to_string())
}

/// Reads what is in a file; nothing if it is not what it looked like, or is written meanwhile.
pub(super) fn fingerprint(path: &Path, looked: &str) -> io::Result<Option<String>> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if stamp(&file.metadata()?) != looked {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file)?;
    let is_same = stamp(&file.metadata()?) == looked;
    Ok(is_same.then(|| hasher.finalize().to_hex().to_string()))
}

/// Returns whether a file is still what was put in.
pub(super) fn is_still(path: &Path, looked: &str, was: &str) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    let now = stamp(&metadata);
    let is_file = metadata.file_type().is_file();
    Ok(is_file && (now == looked || fingerprint(path, &now)?.as_deref() == Some(was)))
}

/// Does with a file that was read what is to be done with it. May be done again, and then finishes
/// what was begun.
pub(super) fn put_away(
    path: &Path,
    looked: &str,
    was: &str,
    when_done: WhenDone,
) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    if when_done == WhenDone::Keep {
        return Ok(());
    }
    let hidden = hidden(folder, name, was);
    // Under a name that nobody writes to: then it is looked at once more.
    match is_still(path, looked, was) {
        Ok(true) => {
            let before = fs::symlink_metadata(path)?;
            fs::rename(path, &hidden)?;
            let after = fs::symlink_metadata(&hidden)?;
            let seen =
                |one: &Metadata| (one.dev(), one.ino(), one.len(), one.mtime(), one.mtime_nsec());
            if seen(&before) != seen(&after) {
                return rename_to_free(&hidden, path);
            }
        }
        // Another content has come: it has a run of its own.
        Ok(false) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if fs::symlink_metadata(&hidden).is_err() {
        return Ok(());
    }
    match when_done {
        WhenDone::Keep => {}
        WhenDone::Delete => fs::remove_file(&hidden)?,
        WhenDone::Move => {
            let done = folder.join(DONE);
            match fs::create_dir(&done) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let mut other = name.to_owned();
            other.push(format!(".{}", &was[..8]));
            match rename_to_free(&hidden, &done.join(name)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    fs::rename(&hidden, done.join(other))?;
                }
                moved => moved?,
            }
            File::open(&done)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Returns whether a file was about to be put away.
pub(super) fn is_half_put_away(path: &Path, was: &str) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
    fs::symlink_metadata(hidden(folder, name, was)).is_ok()
}

fn hidden(folder: &Path, name: &OsStr, was: &str) -> PathBuf {
    let Look(look) = Look::of(name, was);
    folder.join(format!(".seawall-{:032x}", u128::from_be_bytes(look)))
}

/// Renames a file unless the other name is taken.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do that.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

fn is_gone(error: &io::Error) -> bool {
    // A link that took the file's place meanwhile is no file of ours.
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// The folder within the folder that files are moved to.
const DONE: &str = "done";
/// How many files are looked at in one look; the others have their turn when these are done.
const FRESH_MAX: usize = 10_000;
/// How many files of a folder can be done: 16 bytes of memory each.
const SETTLED_MAX: usize = 4_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(path: &Path) -> (String, String) {
        let stamp = stamp(&fs::symlink_metadata(path).expect("it is there"));
        let fingerprint = fingerprint(path, &stamp).expect("it can be read").expect("it rests");
        (stamp, fingerprint)
    }

    #[test]
    fn a_file_that_was_read_is_kept_moved_or_deleted() {
        let folder = tempfile::tempdir().expect("there is room");
        let at = |name: &str| folder.path().join(name);
        let put = |text: &str, when_done| {
            fs::write(at("a"), text).expect("there is room");
            let (stamp, fingerprint) = looked(&at("a"));
            for _ in 0..2 {
                put_away(&at("a"), &stamp, &fingerprint, when_done).expect("it can be put away");
            }
            fingerprint
        };
        put("1", WhenDone::Keep);
        assert!(at("a").exists());
        put("2", WhenDone::Move);
        assert_eq!(fs::read(at("done/a")).expect("it was moved"), b"2");
        let third = put("3", WhenDone::Move);
        let other = at(&format!("done/a.{}", &third[..8]));
        assert_eq!(fs::read(other).expect("it was moved beside the first"), b"3");
        put("4", WhenDone::Delete);
        let left = fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(left, 1, "only `done` is left");
    }

    #[test]
    fn another_content_under_the_name_is_left_alone_and_what_was_begun_is_finished() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("a");
        fs::write(&path, "read").expect("there is room");
        let (stamp, fingerprint) = looked(&path);
        fs::write(&path, "new").expect("there is room");
        put_away(&path, &stamp, &fingerprint, WhenDone::Delete).expect("there is nothing to do");
        assert_eq!(fs::read(&path).expect("it was left"), b"new");
        let hidden = hidden(folder.path(), OsStr::new("a"), &fingerprint);
        fs::write(&hidden, "read").expect("there is room");
        assert!(is_half_put_away(&path, &fingerprint));
        put_away(&path, &stamp, &fingerprint, WhenDone::Delete).expect("it can be put away");
        assert!(!hidden.exists() && path.exists());
    }
}
