//! The reader: batches of lines, read ahead, within a bound of bytes.
//!
//! Does not know: what lines are for. Invariants: what has been read is never lost, whatever
//! future is dropped; memory is bounded by the chunks that may be read ahead and the batches that
//! may be out, whatever the input is and whatever the consumer does.

use std::fs::File;
use std::future::{IntoFuture, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::spawn_blocking;

use crate::batch::LineBatch;
use crate::buffer_pool::{BatchPermit, BufferPool};
use crate::coding::Coding;
use crate::error::{LineError, LineFault};
use crate::open::{How, What, open};
use crate::rules::{Bom, Eol, OnLong, Position, Rules};
use crate::seam::{Joined, Seam};
use crate::source::{Size, Source};

/// Reads an input line by line, in batches.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::NamedTempFile::new()?;
/// # std::fs::write(file.path(), "oslo\nrome\n")?;
/// # let path = file.path();
/// use seawall_lines::LineReader;
///
/// let mut reader = LineReader::open(path).await?;
/// while let Some(batch) = reader.next().await? {
///     for line in &batch {
///         println!("{}: {}", line.sequence, line.text()?);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct LineReader {
    name: Arc<Path>,
    source: Source,
    size: Size,
    pool: Arc<BufferPool>,
    seam: Seam,
    /// Taken before a chunk is, so that a chunk never waits for one.
    permit: Option<BatchPermit>,
    length: Option<u64>,
    is_coded: bool,
    ending: Ending,
}

/// Says what comes after the batches.
#[derive(Debug)]
enum Ending {
    /// More of them.
    Open,
    /// Nothing.
    Over,
    /// The same error, as often as it is asked for.
    Failed(LineError),
}

/// Says what is read, and how. Awaiting it opens the input.
#[derive(Debug)]
#[must_use = "nothing is opened before it is awaited"]
pub struct Opening {
    name: Arc<Path>,
    what: What,
    how: How,
    first: Position,
    chunk: usize,
    batches_max: usize,
    rules: Rules,
}

impl LineReader {
    /// Reads a file. Compressed files are recognised and decoded.
    pub fn open(path: impl AsRef<Path>) -> Opening {
        let name: Arc<Path> = path.as_ref().into();
        Opening::new(Arc::clone(&name), What::Path(name))
    }

    /// Reads a file that is open already; `name` is what errors call it.
    pub fn from_file(file: File, name: impl AsRef<Path>) -> Opening {
        Opening::new(name.as_ref().into(), What::File(file))
    }

    /// Reads the standard input, whatever kind of file it is.
    pub fn stdin() -> Opening {
        Opening::new(Path::new("the standard input").into(), What::Stdin)
    }

    /// Returns the next lines; nothing at the end.
    ///
    /// Waits while as many batches are out as may be ([`Opening::batches_max`]): a consumer that
    /// keeps that many waits for itself.
    ///
    /// # Errors
    ///
    /// Says which line could not be read, where it begins, and why. An error is the end: it is
    /// returned again whenever it is asked for, so that no loop takes it for the end of the input.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: reads go on, and the next call takes what they bring.
    pub async fn next(&mut self) -> Result<Option<LineBatch>, LineError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns the next lines if they are there; see [`LineReader::next`].
    ///
    /// # Errors
    ///
    /// The same as those of [`LineReader::next`].
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<LineBatch>, LineError>> {
        match &self.ending {
            Ending::Open => {}
            Ending::Over => return Poll::Ready(Ok(None)),
            Ending::Failed(error) => return Poll::Ready(Err(error.clone())),
        }
        self.source.read_ahead(&self.pool, self.size);
        loop {
            let permit = match self.permit.take() {
                Some(permit) => permit,
                None => ready!(self.pool.poll_permit(cx)),
            };
            let chunk = match self.source.poll_chunk(cx) {
                Poll::Ready(Ok(chunk)) => chunk,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(self.fail(fault))),
                Poll::Pending => {
                    self.permit = Some(permit);
                    return Poll::Pending;
                }
            };
            let joined = match chunk {
                Some(chunk) => {
                    let (joined, permit) = self.seam.join(chunk, permit);
                    self.permit = permit;
                    // Before the lines are looked at: it reads while they are.
                    self.source.read_ahead(&self.pool, self.size);
                    joined
                }
                None => {
                    self.ending = Ending::Over;
                    match self.seam.finish(permit) {
                        Joined::Nothing => return Poll::Ready(Ok(None)),
                        joined => joined,
                    }
                }
            };
            match joined {
                Joined::Nothing => {}
                Joined::Lines(batch) => return Poll::Ready(Ok(Some(batch))),
                Joined::LinesThenTooLong(batch) => {
                    self.fail(self.too_long());
                    return Poll::Ready(Ok(Some(batch)));
                }
                Joined::TooLong => return Poll::Ready(Err(self.fail(self.too_long()))),
                Joined::OnlyCr => return Poll::Ready(Err(self.fail(LineFault::OnlyCr))),
            }
        }
    }

    /// Returns where the line begins that comes after all that were handed over.
    pub const fn position(&self) -> Position {
        self.seam.position()
    }

    /// Returns how many bytes the input has on the disk, compressed or not, if it is a regular
    /// file: how many it had when it was opened, and reading ends there.
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns whether the input is a compressed file: then offsets do not compare with its length.
    pub const fn is_coded(&self) -> bool {
        self.is_coded
    }

    /// Returns what errors call the input.
    pub fn name(&self) -> &Path {
        &self.name
    }

    fn too_long(&self) -> LineFault {
        LineFault::TooLong { line_bytes_max: self.seam.line_bytes_max() }
    }

    pub(crate) fn fail(&mut self, fault: LineFault) -> LineError {
        let error = LineError::reading(&self.name, self.position(), fault);
        self.ending = Ending::Failed(error.clone());
        error
    }
}

impl Opening {
    fn new(name: Arc<Path>, what: What) -> Self {
        let how = How { start: 0, ahead: 3, coding: Coding::Detect, is_any_kind: false };
        let rules = Rules {
            line_bytes_max: MIB,
            on_long: OnLong::default(),
            eol: Eol::default(),
            bom: Bom::default(),
        };
        let first = Position::default();
        Self { name, what, how, first, chunk: MIB, batches_max: 4, rules }
    }

    /// Sets how much is read at once (default: 1 MiB). Much less costs throughput: each read
    /// is a hop to another thread.
    pub const fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// Sets how many chunks are read ahead (default: 3). Inputs that can only be read from
    /// the beginning to the end (compressed ones, pipes) have one read in flight.
    pub const fn ahead(mut self, chunks: usize) -> Self {
        self.how.ahead = if chunks == 0 { 1 } else { chunks };
        self
    }

    /// Sets how many batches may be out at once (default: 4). Memory is bounded by
    /// `(ahead + batches_max) * 1.2 * chunk_bytes`, and `(batches_max + 2) * line_bytes_max` more
    /// if there are lines that long.
    pub const fn batches_max(mut self, batches: usize) -> Self {
        self.batches_max = if batches == 0 { 1 } else { batches };
        self
    }

    /// Sets how long a line may be (default: 1 MiB).
    pub const fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.rules.line_bytes_max = bytes;
        self
    }

    /// Sets what happens to a longer line (default: reading ends with an error).
    pub const fn on_long(mut self, on_long: OnLong) -> Self {
        self.rules.on_long = on_long;
        self
    }

    /// Sets what happens to a byte order mark (default: it is stripped).
    pub const fn bom(mut self, bom: Bom) -> Self {
        self.rules.bom = bom;
        self
    }

    /// Sets what ends a line (default: a line feed, with or without a carriage return).
    pub const fn eol(mut self, eol: Eol) -> Self {
        self.rules.eol = eol;
        self
    }

    /// Sets how the input is compressed (default: what its first bytes say).
    pub const fn coding(mut self, coding: Coding) -> Self {
        self.how.coding = coding;
        self
    }

    /// Starts at a place where a line begins, as [`LineBatch::end`] or a line says it. A regular
    /// file is read from there; of anything else, what comes before is read and left out.
    pub const fn start(mut self, at: Position) -> Self {
        self.first = at;
        self.how.start = at.offset;
        self
    }

    /// Reads whatever it is: pipes, devices, sockets. Without this word only regular files are
    /// read, since the others may never end.
    pub const fn any_kind(mut self) -> Self {
        self.how.is_any_kind = true;
        self
    }

    async fn open(self) -> Result<LineReader, LineError> {
        let Self { name, what, how, first, chunk, batches_max, rules } = self;
        let opened = match spawn_blocking(move || open(what, how)).await {
            Ok(opened) => opened,
            Err(error) => Err(crate::source::stopped(error)),
        };
        let opened = opened.map_err(|fault| LineError::opening(&name, fault))?;
        let pool = Arc::new(BufferPool::new(batches_max));
        // One part in sixteen: most lines that run over an edge fit before the next chunk.
        let size = Size { chunk, headroom: chunk.div_ceil(16) };
        Ok(LineReader {
            name,
            source: opened.source,
            size,
            seam: Seam::new(Arc::clone(&pool), rules, first),
            pool,
            permit: None,
            length: opened.length,
            is_coded: opened.is_coded,
            ending: Ending::Open,
        })
    }
}

impl IntoFuture for Opening {
    type Output = Result<LineReader, LineError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Opens the input.
    ///
    /// # Errors
    ///
    /// Says what could not be opened, and why.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

const MIB: usize = 1024 * 1024;
