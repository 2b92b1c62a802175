//! The disk as the worker uses it: small enough to be simulated, with all that can go wrong.
//!
//! Does not know: journals, lines. Everything here blocks: it is called in the pool for blocking
//! work. Invariant: nothing is taken for durable before `sync` has returned well; what a failed
//! `sync` was to make durable is lost.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Is a place for files.
pub trait Disk: Send + 'static {
    /// A file that is open.
    type File: DiskFile;
    /// Keeps others out until it is dropped.
    type Lock: Send + 'static;

    /// Makes a directory, unless it is there already.
    ///
    /// # Errors
    ///
    /// As the system says, as with all that follow.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which names a directory has.
    ///
    /// # Errors
    ///
    /// Names that were made or changed since may be gone.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Returns the names in a directory.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Opens a file to read and write; nothing if there is none.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn open(&self, path: &Path) -> io::Result<Option<Self::File>>;

    /// Makes an empty file, in place of any that was there.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file another name, in place of any that had it.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, unless there is none.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock that a file stands for; nothing if another process has it.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
}

/// Is a file that is open.
pub trait DiskFile: Send + 'static {
    /// Returns how long it is.
    ///
    /// # Errors
    ///
    /// As the system says, as with all that follow.
    fn length(&self) -> io::Result<u64>;

    /// Reads at an offset until the buffer is full; returns false if the file ends before.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<bool>;

    /// Writes at an offset.
    ///
    /// # Errors
    ///
    /// Any part may have been written.
    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Sets its length.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    ///
    /// What was written since the last time may be lost, even if it can still be read.
    fn sync(&mut self) -> io::Result<()>;
}

/// Is the file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Disk for FileSystem {
    type File = File;
    type Lock = File;

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        match FileExt::read_exact_at(self, buffer, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
