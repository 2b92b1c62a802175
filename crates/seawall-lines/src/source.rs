//! Where chunks come from: hops of the pool for blocking work, one for each chunk.
//!
//! Does not know: lines. A regular file is read at explicit offsets, several chunks at once; all
//! else one after the other. Invariant: chunks come in order, and what has been begun is kept
//! until it is taken, whatever future is dropped in between.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Read};
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::buffer_pool::{BufferPool, Chunk};
use crate::error::LineFault;
use crate::input::{Input, read_some};

/// Says how big a chunk is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) chunk: usize,
    pub(crate) headroom: usize,
}

/// Gives chunks in order.
pub(crate) enum Source {
    /// Is read at offsets.
    Regular(Regular),
    /// Is read from the beginning to the end.
    Serial(Serial),
}

pub(crate) struct Regular {
    pub(crate) file: Arc<File>,
    /// Where the next read begins.
    pub(crate) next: u64,
    /// How long the file was when it was opened. What is added later is not read: nobody could
    /// say whether its last line is whole.
    pub(crate) length: u64,
    pub(crate) ahead: usize,
    pub(crate) flights: VecDeque<JoinHandle<(Chunk, usize, io::Result<()>)>>,
    /// Where the next chunk to be taken begins.
    pub(crate) taken: u64,
    /// What comes behind the last chunk that was taken.
    pub(crate) fault: Option<LineFault>,
}

pub(crate) struct Serial {
    /// What is read; it travels with the hop that reads.
    pub(crate) input: Option<Input>,
    pub(crate) flight: Option<JoinHandle<(Input, Chunk, io::Result<()>)>>,
    /// How many bytes come before the start.
    pub(crate) skip: u64,
    pub(crate) is_coded: bool,
    /// Whether a chunk is filled before it is handed over: not if what is read may make us wait.
    pub(crate) fills: bool,
    pub(crate) has_ended: bool,
    /// What comes behind the last chunk that was taken.
    pub(crate) fault: Option<LineFault>,
    /// Closed when the source is dropped: then a hop that waits for input stops waiting.
    pub(crate) _gone: Option<PipeWriter>,
}

impl Source {
    /// Begins to read ahead, as far as it may.
    pub(crate) fn read_ahead(&mut self, pool: &BufferPool, size: Size) {
        match self {
            Self::Regular(regular) => regular.read_ahead(pool, size),
            Self::Serial(serial) => serial.read_ahead(pool, size),
        }
    }

    /// Returns the next chunk; nothing at the end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Chunk>, LineFault>> {
        match self {
            Self::Regular(regular) => regular.poll_chunk(cx),
            Self::Serial(serial) => serial.poll_chunk(cx),
        }
    }
}

impl Regular {
    fn read_ahead(&mut self, pool: &BufferPool, size: Size) {
        while self.fault.is_none() && self.flights.len() < self.ahead && self.next < self.length {
            let (file, at) = (Arc::clone(&self.file), self.next);
            let wanted = (self.length - at).min(size.chunk as u64);
            self.next += wanted;
            // Fits: it is at most the size of a chunk.
            let wanted = wanted as usize;
            let chunk = pool.take_chunk();
            self.flights.push_back(spawn_blocking(move || {
                let mut chunk = chunk.unwrap_or_else(|| Chunk::new(size.headroom, size.chunk));
                let (read, done) = read_at(&file, &mut chunk.room()[..wanted], at);
                chunk.filled(read);
                (chunk, wanted, done)
            }));
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, LineFault>> {
        if let Some(fault) = &self.fault {
            return Poll::Ready(Err(fault.clone()));
        }
        let Some(flight) = self.flights.front_mut() else { return Poll::Ready(Ok(None)) };
        let landed = ready!(Pin::new(flight).poll(cx));
        self.flights.pop_front();
        let (chunk, wanted, done) = landed.map_err(stopped)?;
        self.taken += chunk.length as u64;
        let fault = match done {
            Err(error) => Some(LineFault::Io(Arc::new(error))),
            Ok(()) if chunk.length < wanted => {
                Some(LineFault::Truncated { length: self.length, found: self.taken })
            }
            Ok(()) => None,
        };
        match fault {
            // What was read before is handed over first.
            Some(fault) if chunk.length == 0 => return Poll::Ready(Err(fault)),
            fault => self.fault = fault,
        }
        Poll::Ready(Ok(Some(chunk)))
    }
}

impl Drop for Regular {
    fn drop(&mut self) {
        // What has not begun to read need not.
        self.flights.iter().for_each(JoinHandle::abort);
    }
}

impl Serial {
    fn read_ahead(&mut self, pool: &BufferPool, size: Size) {
        if self.has_ended {
            return;
        }
        if let Some(mut input) = self.input.take() {
            let (skip, fills) = (std::mem::take(&mut self.skip), self.fills);
            let chunk = pool.take_chunk();
            self.flight = Some(spawn_blocking(move || {
                let mut chunk = chunk.unwrap_or_else(|| Chunk::new(size.headroom, size.chunk));
                let (read, done) = match skip_bytes(&mut input, skip) {
                    Ok(()) => fill(&mut input, chunk.room(), fills),
                    Err(error) => (0, Err(error)),
                };
                chunk.filled(read);
                (input, chunk, done)
            }));
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, LineFault>> {
        if let Some(fault) = &self.fault {
            return Poll::Ready(Err(fault.clone()));
        }
        let Some(flight) = &mut self.flight else { return Poll::Ready(Ok(None)) };
        let landed = ready!(Pin::new(flight).poll(cx));
        self.flight = None;
        let (input, chunk, done) = landed.map_err(stopped)?;
        if let Err(error) = done {
            let fault = self.fault(error);
            // What was read before is handed over first.
            if chunk.length == 0 {
                return Poll::Ready(Err(fault));
            }
            self.fault = Some(fault);
            return Poll::Ready(Ok(Some(chunk)));
        }
        if chunk.length == 0 {
            self.has_ended = true;
            return Poll::Ready(Ok(None));
        }
        self.input = Some(input);
        Poll::Ready(Ok(Some(chunk)))
    }

    fn fault(&self, error: io::Error) -> LineFault {
        let is_damage = matches!(
            error.kind(),
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
        );
        if let Some(short) = error.get_ref().and_then(|inner| inner.downcast_ref::<Short>()) {
            return LineFault::Short { start: short.start, length: short.length };
        }
        let error = Arc::new(error);
        if self.is_coded && is_damage { LineFault::Decode(error) } else { LineFault::Io(error) }
    }
}

/// Reads until the buffer is full or the file ends; what was read counts also if it fails.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> (usize, io::Result<()>) {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (read, Err(error)),
        }
    }
    (read, Ok(()))
}

/// Reads once, or until the buffer is full; nothing only at the end. What was read counts also if
/// it fails.
fn fill(input: &mut Input, buffer: &mut [u8], fills: bool) -> (usize, io::Result<()>) {
    let mut read = 0;
    loop {
        match read_some(input, &mut buffer[read..]) {
            Ok(0) => return (read, Ok(())),
            Ok(more) => read += more,
            Err(error) => return (read, Err(error)),
        }
        if !fills || read == buffer.len() {
            return (read, Ok(()));
        }
    }
}

fn skip_bytes(input: &mut Input, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut input.take(bytes), &mut io::sink())?;
    if skipped < bytes {
        return Err(io::Error::other(Short { start: bytes, length: skipped }));
    }
    Ok(())
}

/// Says that a serial input ended before its start.
#[derive(Debug, thiserror::Error)]
#[error("it has {length} bytes, and was to start at {start}")]
struct Short {
    start: u64,
    length: u64,
}

pub(crate) fn stopped(error: JoinError) -> LineFault {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => LineFault::Stopped,
    }
}
