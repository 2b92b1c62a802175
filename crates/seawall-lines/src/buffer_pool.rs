//! What a reader's memory is made of: chunks that come back, and permits for batches that are out.
//!
//! Does not know: files, lines. Invariant: no more batches are out than there are permits, and a
//! chunk is either being filled (at most `ahead` of them), in a batch, or here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::newlines;

/// A piece of the input, with room before it for the end of the piece before.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// `headroom` bytes, then the piece.
    pub(crate) bytes: Vec<u8>,
    pub(crate) headroom: usize,
    /// How long the piece is.
    pub(crate) length: usize,
    /// One bit for each byte of the piece.
    pub(crate) marks: Vec<u64>,
}

impl Chunk {
    pub(crate) fn new(headroom: usize, capacity: usize) -> Self {
        Self { bytes: vec![0; headroom + capacity], headroom, length: 0, marks: Vec::new() }
    }

    /// Returns where the piece goes.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.headroom..]
    }

    /// Returns the piece.
    pub(crate) fn piece(&self) -> &[u8] {
        &self.bytes[self.headroom..self.headroom + self.length]
    }

    /// Says how long the piece is, and marks its newlines.
    pub(crate) fn filled(&mut self, length: usize) {
        self.length = length;
        newlines::mark(&self.bytes[self.headroom..self.headroom + length], &mut self.marks);
    }
}

/// The buffers that one reader's batches give back.
#[derive(Debug)]
pub(crate) struct BufferPool(Mutex<Buffers>);

#[derive(Debug)]
struct Buffers {
    permits: usize,
    chunks: Vec<Chunk>,
    long: Option<Vec<u8>>,
    /// There is one reader, so there is one that waits.
    waiting: Option<Waker>,
}

impl BufferPool {
    pub(crate) fn new(permits: usize) -> Self {
        Self(Mutex::new(Buffers { permits, chunks: Vec::new(), long: None, waiting: None }))
    }

    /// Takes a permit for a batch.
    pub(crate) fn poll_permit(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<BatchPermit> {
        let mut buffers = self.lock();
        if buffers.permits == 0 {
            buffers.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        buffers.permits -= 1;
        Poll::Ready(BatchPermit(Arc::clone(self)))
    }

    /// Takes a chunk, if one has come back.
    pub(crate) fn take_chunk(&self) -> Option<Chunk> {
        self.lock().chunks.pop()
    }

    /// Gives a chunk back.
    pub(crate) fn put_chunk(&self, chunk: Chunk) {
        self.lock().chunks.push(chunk);
    }

    /// Takes a buffer for a line that runs over the end of its chunk.
    pub(crate) fn take_long(&self) -> Vec<u8> {
        self.lock().long.take().unwrap_or_default()
    }

    /// Gives such a buffer back; one is enough.
    pub(crate) fn put_long(&self, mut long: Vec<u8>) {
        long.clear();
        self.lock().long = Some(long);
    }

    fn lock(&self) -> MutexGuard<'_, Buffers> {
        // Nothing in here can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one batch out, given back when dropped.
#[derive(Debug)]
pub(crate) struct BatchPermit(Arc<BufferPool>);

impl Drop for BatchPermit {
    fn drop(&mut self) {
        let mut buffers = self.0.lock();
        buffers.permits += 1;
        let waiting = buffers.waiting.take();
        // Foreign code never runs under the lock.
        drop(buffers);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
