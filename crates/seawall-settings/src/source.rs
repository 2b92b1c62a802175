//! Where settings come from, and their text, read within a bound.
//!
//! Does not know: what the text means.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

/// The most bytes a settings file may have; one with 10,000 routes has about 1 MiB.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where settings come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, read again at every load.
    File(PathBuf),
    /// Standard input; can be read once.
    Stdin,
    /// A text with a name, such as the demo's.
    Text {
        /// What errors call it.
        name: Arc<str>,
        /// The text.
        text: Arc<str>,
    },
}

/// The text of settings under the name that errors call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What errors call it: a path, `<stdin>`.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

impl Source {
    /// Returns the source that `--config` names; without it, `./seawall.toml` if there is one.
    pub fn find(config: Option<&Path>) -> Option<Self> {
        match config {
            Some(path) if path == Path::new("-") => Some(Self::Stdin),
            Some(path) => Some(Self::File(path.to_owned())),
            None => {
                let usual = Path::new(USUAL);
                usual.exists().then(|| Self::File(usual.to_owned()))
            }
        }
    }

    /// Returns the whole path of the file, its links not followed: what it is known by.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => absolute(path).ok(),
            Self::Stdin | Self::Text { .. } => None,
        }
    }

    /// Returns what errors call it.
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::File(path) => path.display().to_string().into(),
            Self::Stdin => "<stdin>".into(),
            Self::Text { name, .. } => name.clone(),
        }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// Says in one sentence why there is no text: missing, not a file, too long, not UTF-8.
    pub fn read(&self) -> Result<Text, Unreadable> {
        let name = self.name();
        let bytes = match self {
            Self::Text { text, .. } => return Ok(Text { name, text: text.clone() }),
            Self::File(path) => open(path).and_then(read_bounded),
            Self::Stdin => read_bounded(io::stdin().lock()),
        };
        let bytes = bytes.map_err(|error| Unreadable {
            name: name.clone(),
            why: error.to_string(),
            is_missing: error.kind() == io::ErrorKind::NotFound,
        })?;
        let unreadable = |at: usize, what: &str| {
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            let why = format!("not text: byte {at} (line {line}) {what}");
            Err(Unreadable { name: name.clone(), why, is_missing: false })
        };
        let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r".contains(byte);
        match (str::from_utf8(&bytes), bytes.iter().position(is_control)) {
            (Err(error), _) => unreadable(error.valid_up_to(), "is not UTF-8"),
            (Ok(_), Some(at)) => unreadable(at, "is a control character"),
            (Ok(text), None) => Ok(Text { name: name.clone(), text: text.into() }),
        }
    }
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {name}: {why}")]
pub struct Unreadable {
    /// What was to be read.
    pub name: Arc<str>,
    /// Why it was not.
    pub why: String,
    /// Whether it does not exist.
    pub is_missing: bool,
}

/// The file that is used when none is named.
pub const USUAL: &str = "seawall.toml";

fn open(path: &Path) -> io::Result<File> {
    // Asked before opening: opening a FIFO that nobody writes to would hang.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path)
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("longer than {} MiB", BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.toml");
        std::fs::write(&path, bytes).unwrap();
        Source::File(path).read().map_or_else(|error| error.why, |text| text.text.to_string())
    }

    #[test]
    fn d4_a_file_that_is_no_settings_gives_one_clear_error() {
        assert_eq!(check(&vec![b'#'; 10 << 20]), "longer than 4 MiB");
        assert_eq!(check(b"a = 1\n\xff\xfe"), "not text: byte 6 (line 2) is not UTF-8");
        assert_eq!(check(b"\x7fELF"), "not text: byte 0 (line 1) is a control character");
        assert_eq!(check(b"a = 1\r\n\tb = \"\xc3\xbc\""), "a = 1\r\n\tb = \"\u{fc}\"");
        let folder = Source::File("/".into()).read().unwrap_err();
        assert_eq!(folder.why, "not a regular file");
        let nothing = Source::File("/nowhere/seawall.toml".into()).read().unwrap_err();
        assert!(nothing.is_missing);
    }
}
