//! The settings file as a file: whether it has changed, has come to rest, or is gone.
//!
//! Does not know what stands in it. Invariant: a file that is being written is not read.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use seawall_settings::Source;

/// Watches a settings file.
pub(crate) struct Watched {
    source: Source,
    stamp: Option<Stamp>,
    /// Whether the file has changed and is waited for to come to rest.
    is_moving: bool,
    /// Whether it was not there the last two times.
    is_gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Watched {
    /// Looks at a file for the first time.
    pub(crate) fn new(source: Source) -> Self {
        let stamp = metadata(&source).as_ref().map(stamp);
        Self { source, stamp, is_moving: false, is_gone: false }
    }

    /// Returns where the settings come from.
    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    /// Returns whether the file is gone; one that is being replaced is not.
    pub(crate) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Looks again, [`LOOK_EVERY`] after the last time; returns whether the file has changed and
    /// come to rest since.
    pub(crate) fn look(&mut self) -> bool {
        matches!(self.source, Source::File(_))
            && self.see(metadata(&self.source).as_ref().map(stamp))
    }

    fn see(&mut self, stamp: Option<Stamp>) -> bool {
        let has_moved = stamp != self.stamp;
        let has_come_to_rest = self.is_moving && !has_moved && stamp.is_some();
        self.is_gone = stamp.is_none() && !has_moved;
        self.stamp = stamp;
        self.is_moving = has_moved || (self.is_moving && !has_come_to_rest);
        has_come_to_rest
    }

    /// Returns how much longer the file must be left alone before it may be read.
    pub(crate) fn rests_in(&self) -> Duration {
        let modified = metadata(&self.source).and_then(|metadata| metadata.modified().ok());
        // A file of the future comes from another clock, which says nothing.
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.map_or(Duration::ZERO, |age| LOOK_EVERY.saturating_sub(age))
    }
}

fn metadata(source: &Source) -> Option<Metadata> {
    let Source::File(path) = source else { return None };
    fs::metadata(path).ok()
}

fn stamp(seen: &Metadata) -> Stamp {
    Stamp {
        device: seen.dev(),
        inode: seen.ino(),
        bytes: seen.len(),
        modified: (seen.mtime(), seen.mtime_nsec()),
    }
}

/// How often the file is looked at; it is read once it has rested for so long.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(bytes: u64) -> Option<Stamp> {
        Some(Stamp { device: 1, inode: 1, bytes, modified: (0, 0) })
    }

    fn watched() -> Watched {
        let source = Source::File("seawall.toml".into());
        Watched { source, stamp: stamped(1), is_moving: false, is_gone: false }
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let mut file = watched();
        assert!(!file.see(stamped(1)), "nothing changed");
        assert!(!file.see(stamped(2)), "it moves");
        assert!(!file.see(stamped(3)), "it still moves");
        assert!(file.see(stamped(3)), "it has come to rest");
        assert!(!file.see(stamped(3)), "it is told once");
    }

    #[test]
    fn a_file_that_is_replaced_is_neither_missed_nor_gone() {
        let mut file = watched();
        assert!(!file.see(None) && !file.is_gone, "it may be about to come");
        assert!(!file.see(stamped(2)) && !file.is_gone);
        assert!(file.see(stamped(2)));
    }

    #[test]
    fn a_file_that_stays_away_is_gone_until_it_is_back() {
        let mut file = watched();
        file.see(None);
        assert!(!file.see(None) && file.is_gone, "a file that is gone is not read");
        assert!(!file.see(stamped(2)) && !file.is_gone);
        assert!(file.see(stamped(2)), "it is read when it is back");
    }

    #[test]
    fn a_file_that_was_just_written_is_left_alone_for_a_while() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("seawall.toml");
        fs::write(&path, "").expect("it is written");
        let file = Watched::new(Source::File(path.clone()));
        assert!(file.rests_in() > Duration::ZERO);
        let then = SystemTime::now() - Duration::from_secs(1);
        let written = fs::File::options().write(true).open(&path).expect("it is there");
        written.set_modified(then).expect("it is ours");
        assert_eq!(file.rests_in(), Duration::ZERO);
    }
}
