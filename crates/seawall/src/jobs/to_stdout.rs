//! A disk whose output is the standard output: what the run knows of itself is kept only as long
//! as it lasts, and it cannot go on after a crash.
//!
//! Does not know: lines. Invariant: what is written to it comes in order, and once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use seawall_worker::{Disk, DiskFile, FileSystem};

/// A disk whose output is the standard output.
#[derive(Clone, Debug)]
pub(crate) struct ToStdout(Arc<Place>);

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    is_open: AtomicBool,
    written: Arc<AtomicU64>,
}

/// A file of it.
#[derive(Debug)]
pub(crate) enum Either {
    Stdout(Arc<AtomicU64>),
    File(File),
}

impl ToStdout {
    /// Makes one, with a folder for what the run knows of itself.
    ///
    /// # Errors
    ///
    /// Fails if there is no room for the folder.
    pub(crate) fn new() -> io::Result<Self> {
        let temp = std::env::temp_dir();
        let id = std::process::id();
        for number in 0..1000 {
            let folder = temp.join(format!("seawall-map-{id}-{number}"));
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made?;
                    let (is_open, written) = (AtomicBool::new(false), Arc::default());
                    return Ok(Self(Arc::new(Place { folder, is_open, written })));
                }
            }
        }
        Err(io::Error::other(format!("every name in {} is taken", temp.display())))
    }

    /// Returns where a file really is.
    fn real(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(STATE) {
            Ok(rest) => self.0.folder.join("run").join(rest),
            Err(_) => path.to_owned(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left of it is in the system's own folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Disk for ToStdout {
    type File = Either;
    type Lock = <FileSystem as Disk>::Lock;

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        FileSystem.create_directory(&self.real(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_directory(&self.real(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        FileSystem.list(&self.real(directory))
    }

    fn open(&self, path: &Path) -> io::Result<Option<Either>> {
        match path == Path::new(STDOUT) {
            true => {
                Ok(self.0.is_open.load(Relaxed).then(|| Either::Stdout(self.0.written.clone())))
            }
            false => Ok(FileSystem.open(&self.real(path))?.map(Either::File)),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Either> {
        if path == Path::new(STDOUT) {
            self.0.is_open.store(true, Relaxed);
            return Ok(Either::Stdout(self.0.written.clone()));
        }
        FileSystem.create(&self.real(path)).map(Either::File)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(&self.real(from), &self.real(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(&self.real(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        FileSystem.lock(&self.real(path))
    }
}

impl DiskFile for Either {
    fn length(&self) -> io::Result<u64> {
        match self {
            Self::Stdout(written) => Ok(written.load(Relaxed)),
            Self::File(file) => DiskFile::length(file),
        }
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        match self {
            Self::Stdout(_) => Err(io::Error::other("what was written to it cannot be read")),
            Self::File(file) => DiskFile::read_exact_at(file, buffer, at),
        }
    }

    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self {
            Self::Stdout(written) => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
                written.store(at + bytes.len() as u64, Relaxed);
                Ok(())
            }
            Self::File(file) => DiskFile::write_all_at(file, bytes, at),
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::Stdout(_) => Err(io::Error::other("what was written to it cannot be cut")),
            Self::File(file) => DiskFile::truncate(file, length),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(file) => DiskFile::sync(file),
        }
    }
}

/// How the standard output is called, and the folder that a run has beside an output of that name.
const STDOUT: &str = "-";
const STATE: &str = "-.seawall";
