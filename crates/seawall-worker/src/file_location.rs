//! Where a file is, by what it is and not by how it is spelled.
//!
//! Does not know: what files are for. Invariant: two paths that lead to one file have one place,
//! through links, `.` and `..`, and also if the file is not there yet.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::RunError;
use crate::settings::Settings;

/// The place of a file or folder: device and inode of what is there, and the names of what is not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileLocation {
    device: u64,
    inode: u64,
    missing: PathBuf,
}

impl FileLocation {
    /// Finds the place that a path leads to; blocks.
    ///
    /// # Errors
    ///
    /// Fails if the way there may not be looked at, or is too long a chain of links.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut path = std::path::absolute(path)?;
        let mut missing: Vec<OsString> = Vec::new();
        let mut left_out = 0;
        for _ in 0..STEPS_MAX {
            match std::fs::metadata(&path) {
                Ok(metadata) => {
                    let missing = missing.into_iter().rev().collect();
                    let (device, inode) = (metadata.dev(), metadata.ino());
                    return Ok(Self { device, inode, missing });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let parent = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
            // A link whose target is not there yet.
            if let Ok(target) = std::fs::read_link(&path) {
                path = parent.join(target);
                continue;
            }
            match path.file_name() {
                None => left_out += 1,
                Some(_) if left_out > 0 => left_out -= 1,
                Some(name) => missing.push(name.to_owned()),
            }
            path = parent;
        }
        Err(io::Error::other("too many names and links lead there"))
    }
}

/// Refuses a run that would write over what it reads, or two files into one; blocks.
pub(crate) fn check(settings: &Settings) -> Result<(), RunError> {
    let state = settings.state();
    let files = [
        ("the input", &settings.input),
        ("the output", &settings.output),
        ("the dead letter file", &settings.dead),
        ("the folder of the run", &state),
    ];
    let mut places: Vec<(&'static str, FileLocation)> = Vec::new();
    for (name, path) in files {
        // What cannot be looked at cannot be opened either, and is told then.
        let Ok(place) = FileLocation::of(path) else { continue };
        if let Some((other, _)) = places.iter().find(|(_, other)| *other == place) {
            return Err(RunError::SameFile { one: other, other: name, path: path.clone() });
        }
        places.push((name, place));
    }
    Ok(())
}

/// More names and links than a system follows.
const STEPS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn one_file_has_one_place_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("x")).unwrap();
        fs::write(at("x/a"), "").unwrap();
        fs::hard_link(at("x/a"), at("b")).unwrap();
        symlink(at("x"), at("y")).unwrap();
        symlink("x/not-yet", at("dangling")).unwrap();
        let same = |one: &str, other: &str| {
            FileLocation::of(&at(one)).unwrap() == FileLocation::of(&at(other)).unwrap()
        };
        for (one, other) in [
            ("x", "x/."),
            ("x", "y"),
            ("x/a", "y/../x/a"),
            ("x/a", "b"),
            ("x/not-yet", "y/not-yet"),
            ("x/not-yet", "dangling"),
            ("new/a/b", "new/c/../a/b"),
        ] {
            assert!(same(one, other), "{one} and {other}");
        }
        for (one, other) in [("x", "x/a"), ("x/c", "x/d"), ("new/a", "other/a")] {
            assert!(!same(one, other), "{one} and {other}");
        }
    }
}
