//! Names of files that are made of another one's: `cities.txt.stdin` of `cities.txt`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Puts a suffix behind a name, whatever the name is.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
