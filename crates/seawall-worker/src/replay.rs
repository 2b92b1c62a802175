//! What the journals prove that came after a checkpoint.
//!
//! Does not know: how a run goes on. Invariant: an outcome counts only if its record and the bytes
//! it speaks of are whole, and so are all before it; therefore it does not matter in which order
//! the bytes of output and journal reached the disk.

use std::collections::HashMap;
use std::path::Path;

use seawall_lines::Position;

use crate::bits::Bits;
use crate::checkpoint::{Checkpoint, LineCounts};
use crate::disk::{Disk, DiskFile};
use crate::error::{Context, RunError};
use crate::files::{Paths, read};
use crate::record::{Header, Kind, RECORD_BYTES, Record};

/// Is what is proven.
pub(crate) struct Replay {
    pub(crate) start: Position,
    pub(crate) done: Bits,
    /// Lines that may have been sent and have no outcome; only if a line is sent at most once.
    pub(crate) intended: Bits,
    /// How much of the output is proven.
    pub(crate) output: u64,
    pub(crate) dead: u64,
    pub(crate) counts: LineCounts,
}

/// Is what is read on the way.
struct Reading<'a, D: Disk> {
    paths: &'a Paths,
    output: Body<D::File>,
    dead: Body<D::File>,
    done: Bits,
    intended: Bits,
    offsets: HashMap<u64, u64>,
    counts: LineCounts,
    /// The last line that may have been sent.
    sent_max: Option<u64>,
    /// Records that are neither whole nor empty: each could have been about one more line.
    illegible: u64,
    /// Whether an outcome was found that is not proven: none after it is.
    is_over: bool,
}

/// Is a file whose bytes are to be proven.
struct Body<F> {
    file: Option<F>,
    length: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Replay {
    /// Proves what the checkpoint says.
    pub(crate) fn nothing(checkpoint: &Checkpoint) -> Self {
        let from = Position { sequence: checkpoint.sequence, offset: checkpoint.offset };
        Self {
            start: from,
            done: Bits::from(from.sequence),
            intended: Bits::from(from.sequence),
            output: checkpoint.output_bytes,
            dead: checkpoint.dead_bytes,
            counts: checkpoint.counts,
        }
    }

    /// Reads the journals from a checkpoint to the last.
    pub(crate) fn read<D: Disk>(
        disk: &D,
        paths: &Paths,
        checkpoint: &Checkpoint,
        last: u64,
        is_at_most_once: bool,
        damage: &mut Vec<String>,
    ) -> Result<Self, RunError> {
        let damaged = |why| RunError::Damaged { state: paths.state.clone(), why };
        let unreadable = |_| damaged("the checkpoint's sets are not what was written".to_owned());
        let mut reading: Reading<'_, D> = Reading {
            paths,
            output: Body::open(disk, &paths.output, checkpoint.output_bytes, paths)?,
            dead: Body::open(disk, &paths.dead, checkpoint.dead_bytes, paths)?,
            done: checkpoint.done().map_err(unreadable)?,
            intended: checkpoint.intended().map_err(unreadable)?,
            offsets: HashMap::new(),
            counts: checkpoint.counts,
            sent_max: None,
            illegible: 0,
            is_over: false,
        };
        reading.sent_max = reading.intended.iter().chain(reading.done.iter()).max();
        for generation in checkpoint.generation..=last {
            let path = paths.journal(generation);
            let bytes = read(disk, &path).context("read", &path)?.unwrap_or_default();
            let run = checkpoint.run_number();
            if header(&bytes) != Some(Header { generation, run }) {
                let why = format!("{} does not begin as journals do", path.display());
                if is_at_most_once {
                    // Which lines were sent stands in it, and nowhere else.
                    return Err(damaged(why));
                }
                damage.push(why);
                break;
            }
            reading.journal(&bytes[RECORD_BYTES..])?;
        }
        let from = Position { sequence: checkpoint.sequence, offset: checkpoint.offset };
        Ok(reading.over(from, is_at_most_once))
    }
}

impl<D: Disk> Reading<'_, D> {
    fn journal(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        let (records, _torn) = bytes.as_chunks::<RECORD_BYTES>();
        for bytes in records {
            match Record::decode(bytes) {
                Some(record) => self.record(&record)?,
                None => {
                    self.is_over = true;
                    self.illegible += u64::from(bytes.iter().any(|&byte| byte != 0));
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), RunError> {
        self.sent_max = self.sent_max.max(Some(record.sequence));
        if record.kind == Kind::Intent {
            self.intended.insert(record.sequence);
            return Ok(());
        }
        let Record { length, body_crc, .. } = *record;
        // Looked at first: a body that counts moves on in its file.
        let is_proven = !self.is_over
            && self.done.takes(record.sequence)
            && match record.kind {
                Kind::Output => self.output.proves(length, body_crc, &self.paths.output)?,
                Kind::Dead => self.dead.proves(length, body_crc, &self.paths.dead)?,
                Kind::Filtered | Kind::Intent => true,
            };
        if !is_proven {
            self.is_over = true;
            self.intended.insert(record.sequence);
            return Ok(());
        }
        self.done.insert(record.sequence);
        self.offsets.insert(record.sequence, record.next_offset);
        match record.kind {
            Kind::Output => self.counts.output += 1,
            Kind::Dead => self.counts.dead += 1,
            Kind::Filtered | Kind::Intent => self.counts.filtered += 1,
        }
        Ok(())
    }

    fn over(mut self, from: Position, is_at_most_once: bool) -> Replay {
        let at = start(from, &self.done, &self.offsets);
        let rebase = |bits: &Bits, unless: Option<&Bits>| {
            let mut rebased = Bits::from(at.sequence);
            let is_left = |number: &u64| unless.is_none_or(|unless| !unless.contains(*number));
            bits.iter().filter(is_left).for_each(|number| {
                rebased.insert(number);
            });
            rebased
        };
        let mut intended = Bits::from(at.sequence);
        if is_at_most_once {
            if self.illegible > 0 {
                // Lines are sent in order: what could not be read was about one of those up to
                // the last that is known, or about the next ones.
                let end = self.sent_max.map_or(from.sequence, |last| last + 1) + self.illegible;
                (at.sequence..end).for_each(|number| {
                    self.intended.insert(number);
                });
            }
            intended = rebase(&self.intended, Some(&self.done));
        }
        Replay {
            start: at,
            done: rebase(&self.done, None),
            intended,
            output: self.output.at,
            dead: self.dead.at,
            counts: self.counts,
        }
    }
}

impl<F: DiskFile> Body<F> {
    fn open<D: Disk<File = F>>(
        disk: &D,
        path: &Path,
        durable: u64,
        paths: &Paths,
    ) -> Result<Self, RunError> {
        let file = disk.open(path).context("open", path)?;
        let length = file.as_ref().map_or(Ok(0), DiskFile::length).context("look at", path)?;
        if length < durable {
            let name = path.display();
            let why = format!("{name} has {length} bytes, and {durable} were written");
            return Err(RunError::Damaged { state: paths.state.clone(), why });
        }
        Ok(Self { file, length, at: durable, buffer: Vec::new() })
    }

    /// Returns whether the next bytes are those that a record speaks of, and if so passes them.
    fn proves(&mut self, length: u32, crc: u32, path: &Path) -> Result<bool, RunError> {
        if u64::from(length) > self.length - self.at {
            return Ok(false);
        }
        self.buffer.resize(length as usize, 0);
        let is_read = match &self.file {
            Some(file) => file.read_exact_at(&mut self.buffer, self.at).context("read", path)?,
            None => length == 0,
        };
        let is_proven = is_read && crc32c::crc32c(&self.buffer) == crc;
        if is_proven {
            self.at += u64::from(length);
        }
        Ok(is_proven)
    }
}

fn header(bytes: &[u8]) -> Option<Header> {
    Header::decode(bytes.first_chunk()?)
}

/// Returns the first line without an outcome, as far as its offset is known.
fn start(from: Position, done: &Bits, offsets: &HashMap<u64, u64>) -> Position {
    let mut at = from;
    while done.contains(at.sequence)
        && let Some(&offset) = offsets.get(&at.sequence)
    {
        at = Position { sequence: at.sequence + 1, offset };
    }
    at
}
