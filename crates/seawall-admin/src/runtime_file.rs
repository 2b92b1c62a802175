//! The file in which a running server says to its own user where it is.
//!
//! Invariant: only this user can read it, and it is never written through somebody else's link.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Where a running server is.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Whereabouts {
    pub(super) pid: u32,
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    /// The settings file, whole, its links not followed.
    pub(super) file: Option<PathBuf>,
    /// The token, if the process made it; one from the settings is not written down.
    pub(super) token: Option<String>,
}

impl Whereabouts {
    /// Returns whether the server still runs, as far as its number says.
    pub(super) fn is_alive(&self) -> bool {
        is_alive(self.pid)
    }

    /// Returns whether it serves a settings file.
    pub(super) fn serves(&self, file: &Path) -> bool {
        is_served(self.file.as_deref(), file)
    }

    /// Returns what it serves, for people.
    pub(super) fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "settings of no file".to_owned(),
        }
    }
}

/// Returns whether a file is the one that is served, by its name or by where its links lead now.
pub(super) fn is_served(served: Option<&Path>, file: &Path) -> bool {
    let Some(served) = served else { return false };
    let led_to = |path: &Path| fs::canonicalize(path).ok();
    served == file || led_to(served).is_some_and(|served| led_to(file) == Some(served))
}

/// A written file; it is removed when dropped.
pub(super) struct RuntimeFile(PathBuf);

impl RuntimeFile {
    /// Writes the file.
    pub(super) fn write(whereabouts: &Whereabouts) -> io::Result<Self> {
        Self::write_in(&directory(), whereabouts)
    }

    fn write_in(directory: &Path, whereabouts: &Whereabouts) -> io::Result<Self> {
        own_directory(directory)?;
        sweep(directory);
        put(directory, whereabouts).map(Self)
    }
}

/// Writes the file anew where another server may have put its own and ended.
pub(super) fn write_again(whereabouts: &Whereabouts) -> io::Result<()> {
    put(&directory(), whereabouts).map(drop)
}

/// Puts a new file under another name, then gives it the name: readers see all of it or none.
fn put(directory: &Path, whereabouts: &Whereabouts) -> io::Result<PathBuf> {
    let path = directory.join(name(whereabouts.admin.port()));
    let fresh =
        directory.join(format!(".{}-{}", std::process::id(), name(whereabouts.admin.port())));
    drop(fs::remove_file(&fresh));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(whereabouts)?)?;
    fs::rename(&fresh, &path)?;
    Ok(path)
}

impl Drop for RuntimeFile {
    fn drop(&mut self) {
        // If another server has taken the name since, its file stays.
        if read_at(&self.0).is_ok_and(|there| there.pid == std::process::id()) {
            drop(fs::remove_file(&self.0));
        }
    }
}

/// Reads where the server with this admin port is.
pub(super) fn read(admin_port: u16) -> io::Result<Whereabouts> {
    let directory = directory();
    // Otherwise somebody else could send our token to a port of theirs.
    own_directory(&directory)?;
    read_at(&directory.join(name(admin_port)))
}

/// Finds the running server that serves a settings file.
pub(super) fn find(file: &Path) -> Option<Whereabouts> {
    let directory = directory();
    own_directory(&directory).ok()?;
    running(&directory).find(|there| there.serves(file) && there.is_alive())
}

/// Lists what servers wrote, some of them long gone.
fn running(directory: &Path) -> impl Iterator<Item = Whereabouts> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten().take(FILES_MAX);
    files.filter_map(|file| read_at(&file.path()).ok())
}

/// Removes what killed servers left behind.
fn sweep(directory: &Path) {
    for gone in running(directory).filter(|there| !there.is_alive()) {
        drop(fs::remove_file(directory.join(name(gone.admin.port()))));
    }
    for file in fs::read_dir(directory).into_iter().flatten().flatten().take(FILES_MAX) {
        let name = file.file_name();
        let pid = name.to_str().and_then(|name| {
            name.strip_prefix("seawall-")?.strip_suffix(".sock")?.split_once('-')?.1.parse().ok()
        });
        if pid.is_some_and(|pid| !is_alive(pid)) {
            drop(fs::remove_file(file.path()));
        }
    }
}

/// Returns where a server offers its listening sockets; the file has its own name, so that a new
/// server on the same port does not take it away.
pub(super) fn socket_path(admin_port: u16, pid: u32) -> PathBuf {
    directory().join(format!("seawall-{admin_port}-{pid}.sock"))
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Somebody else's process with this number is alive, too, and is left alone.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

fn read_at(path: &Path) -> io::Result<Whereabouts> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn name(admin_port: u16) -> String {
    format!("seawall-{admin_port}.json")
}

fn directory() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()) {
        Some(directory) => directory.into(),
        None => format!("/tmp/seawall-{}", rustix::process::getuid().as_raw()).into(),
    }
}

/// Makes the directory if it is not there, and refuses one that others could have prepared.
fn own_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    let is_ours = found.is_dir() && found.uid() == rustix::process::getuid().as_raw();
    if !is_ours || found.mode() & 0o077 != 0 {
        let what = format!("{} is not a directory of this user alone", directory.display());
        return Err(io::Error::other(what));
    }
    Ok(())
}

/// More servers than this are not looked through.
const FILES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn whereabouts() -> Whereabouts {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (pid, token) = (std::process::id(), Some("token".to_owned()));
        Whereabouts { pid, listen: at(8080), admin: at(9090), file: None, token }
    }

    #[test]
    fn only_its_user_can_read_it_and_it_goes_with_the_server() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("run");
        let file = RuntimeFile::write_in(&directory, &whereabouts()).expect("it is written");
        let path = directory.join("seawall-9090.json");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        assert_eq!(read_at(&path).expect("it is read").token.as_deref(), Some("token"));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_server_left_is_swept_away() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("run");
        let mut gone = whereabouts();
        // Above the highest number that Linux gives to a process.
        (gone.pid, gone.admin) = (1 << 23, SocketAddr::from(([127, 0, 0, 1], 9091)));
        std::mem::forget(RuntimeFile::write_in(&directory, &gone).expect("it is written"));
        let socket = directory.join(format!("seawall-9091-{}.sock", gone.pid));
        let ours = directory.join(format!("seawall-9091-{}.sock", std::process::id()));
        for socket in [&socket, &ours] {
            fs::write(socket, "").expect("it is written");
        }
        assert!(directory.join("seawall-9091.json").exists());
        let _file = RuntimeFile::write_in(&directory, &whereabouts()).expect("it is written");
        assert!(!directory.join("seawall-9091.json").exists());
        assert!(!socket.exists() && ours.exists());
        assert!(directory.join("seawall-9090.json").exists());
    }

    #[test]
    fn a_directory_that_others_can_use_is_refused() {
        let parent = tempfile::tempdir().expect("a directory");
        let open = parent.path().join("open");
        fs::create_dir(&open).expect("a directory");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
        assert!(RuntimeFile::write_in(&open, &whereabouts()).is_err());
        let link = parent.path().join("link");
        symlink(parent.path(), &link).expect("a link");
        assert!(RuntimeFile::write_in(&link, &whereabouts()).is_err());
    }
}
