//! Reading from what may have nothing to read: pipes, terminals, devices.
//!
//! Does not know: lines, chunks, tokio. It blocks the thread it is on, one from the pool for
//! blocking work, until there is something to read or the reader is gone. Invariant: a reader that
//! is dropped leaves no thread behind that waits.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Reads from a file that may make its reader wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    file: File,
    /// Its other end is closed when nobody wants to read any more.
    gone: PipeReader,
}

impl Waiting {
    pub(crate) const fn new(file: File, gone: PipeReader) -> Self {
        Self { file, gone }
    }
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let is_ready = {
                let mut both = [
                    PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN),
                    PollFd::from_borrowed_fd(self.gone.as_fd(), PollFlags::IN),
                ];
                match poll(&mut both, None) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error.into()),
                }
                if !both[1].revents().is_empty() {
                    return Err(io::Error::other("nobody reads any more"));
                }
                !both[0].revents().is_empty()
            };
            if is_ready {
                match self.file.read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => return result,
                }
            }
        }
    }
}
