//! The one that writes: outcomes, their journal, checkpoints.
//!
//! Does not know: calls, tokio. It blocks, so it is lent to the pool for blocking work, with the
//! lock of the run: as long as anything is being written, no other process gets it. Invariants:
//! bodies are written before their records; a checkpoint is only renamed into place when all that
//! it says is durable; after an error it is not used again.

use std::path::Path;

use crate::checkpoint::{Checkpoint, VERSION};
use crate::disk::{Disk, DiskFile};
use crate::error::{Context, RunError};
use crate::files::{Paths, Tail};
use crate::finished::Finished;
use crate::record::{Header, Kind, Record};
use crate::settings::Sync;
use crate::spill::record;

/// Writes what a run brings.
pub(crate) struct Writer<D: Disk> {
    pub(crate) disk: D,
    pub(crate) paths: Paths,
    pub(crate) sync: Sync,
    pub(crate) output: Tail<D::File>,
    pub(crate) dead: Tail<D::File>,
    pub(crate) journal: Tail<D::File>,
    /// What waits for lines before it, if anything does.
    pub(crate) spill: Option<Tail<D::File>>,
    pub(crate) generation: u64,
    /// The beginning of the run's name.
    pub(crate) run: u64,
    pub(crate) buffers: Buffers,
    pub(crate) _lock: D::Lock,
}

/// Is used again for each group.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    output: Vec<u8>,
    dead: Vec<u8>,
    records: Vec<u8>,
}

/// Says what becomes of the spill with a checkpoint.
#[derive(Debug)]
pub(crate) enum Spill {
    /// It is kept.
    Kept,
    /// Nothing in it waits any more.
    Done,
    /// These are the entries that still wait: the others go.
    Anew(Vec<u8>),
}

/// Is a line whose call is about to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intent {
    pub(crate) sequence: u64,
    pub(crate) next_offset: u64,
}

impl<D: Disk> Writer<D> {
    /// Writes a group of outcomes, of calls that are about to begin, and of outcomes that wait.
    pub(crate) fn write(
        &mut self,
        group: &[Finished],
        intents: &[Intent],
        waiting: &[u8],
    ) -> Result<(), RunError> {
        let Buffers { output, dead, records } = &mut self.buffers;
        output.clear();
        dead.clear();
        records.clear();
        for finished in group {
            match finished.kind {
                Kind::Output => output.extend_from_slice(&finished.body),
                Kind::Dead => dead.extend_from_slice(&finished.body),
                Kind::Filtered | Kind::Intent => {}
            }
            records.extend_from_slice(&record(finished).encode());
        }
        for intent in intents {
            let Intent { sequence, next_offset } = *intent;
            let (kind, attempts, status, length, body_crc) = (Kind::Intent, 0, 0, 0, 0);
            let record = Record { sequence, kind, attempts, status, length, body_crc, next_offset };
            records.extend_from_slice(&record.encode());
        }
        append(&mut self.output, output)?;
        append(&mut self.dead, dead)?;
        self.journal.append(records)?;
        if !waiting.is_empty() {
            if self.spill.is_none() {
                self.spill = Some(self.begin_spill(self.generation)?);
            }
            if let Some(spill) = &mut self.spill {
                spill.append(waiting)?;
            }
        }
        if self.sync == Sync::Record {
            self.sync_bodies()?;
            self.journal.sync()?;
        }
        Ok(())
    }

    /// Writes what needs no records: after a crash it is cut off, and made again.
    pub(crate) fn append(&mut self, output: &[u8], dead: &[u8]) -> Result<(), RunError> {
        append(&mut self.output, output)?;
        append(&mut self.dead, dead)
    }

    fn begin_spill(&self, number: u64) -> Result<Tail<D::File>, RunError> {
        let path = self.paths.spill(number);
        let file = self.disk.create(&path).context("make", &path)?;
        let mut spill = Tail { file, path, length: 0 };
        spill.append(&Header { generation: number, run: self.run }.encode())?;
        if self.sync == Sync::Record {
            let state = &self.paths.state;
            self.disk.sync_directory(state).context("make durable", state)?;
        }
        Ok(spill)
    }

    /// Returns how long the spill is.
    pub(crate) fn spill_bytes(&self) -> u64 {
        self.spill.as_ref().map_or(0, |spill| spill.length)
    }

    /// Writes a checkpoint and begins the journal that follows it.
    pub(crate) fn checkpoint(
        &mut self,
        mut checkpoint: Checkpoint,
        spill: Spill,
    ) -> Result<(), RunError> {
        if checkpoint.is_finished {
            self.look_again()?;
        }
        let generation = self.generation + 1;
        checkpoint.version = VERSION;
        checkpoint.generation = generation;
        checkpoint.output_bytes = self.output.length;
        checkpoint.dead_bytes = self.dead.length;
        let syncs = self.sync != Sync::Never;
        // Those whose entries stand in the new one as well, or wait no more.
        let old_spill = match spill {
            Spill::Kept => None,
            Spill::Done => self.spill.take(),
            Spill::Anew(entries) => {
                let mut anew = self.begin_spill(generation)?;
                anew.append(&entries)?;
                self.spill.replace(anew)
            }
        };
        if syncs {
            self.sync_bodies()?;
        }
        let path = self.paths.journal(generation);
        let file = self.disk.create(&path).context("make", &path)?;
        let mut journal = Tail { file, path, length: 0 };
        journal.append(&Header { generation, run: self.run }.encode())?;
        if syncs {
            journal.sync()?;
        }
        self.put(&checkpoint.encode(), generation, syncs)?;
        self.journal = journal;
        self.generation = generation;
        // The one before stays: it and the two journals say the same, if this one is damaged.
        if let Some(old) = generation.checked_sub(2) {
            self.remove(old)?;
        }
        match old_spill {
            Some(old) => self.disk.remove(&old.path).context("remove", &old.path),
            None => Ok(()),
        }
    }

    /// Looks whether what was written is still there: else the run has not come to its end.
    fn look_again(&self) -> Result<(), RunError> {
        for tail in [&self.output, &self.dead] {
            look_for(&self.disk, &tail.path, tail.length)?;
        }
        Ok(())
    }

    /// Removes a checkpoint and its journal.
    pub(crate) fn remove(&self, generation: u64) -> Result<(), RunError> {
        for path in [self.paths.checkpoint(generation), self.paths.journal(generation)] {
            self.disk.remove(&path).context("remove", &path)?;
        }
        Ok(())
    }

    pub(crate) fn sync_bodies(&mut self) -> Result<(), RunError> {
        self.output.sync()?;
        self.dead.sync()?;
        self.spill.as_mut().map_or(Ok(()), Tail::sync)
    }

    /// Puts a checkpoint in its place: it is there as a whole, or not at all.
    fn put(&self, bytes: &[u8], generation: u64, syncs: bool) -> Result<(), RunError> {
        let unfinished = self.paths.unfinished();
        let mut file = self.disk.create(&unfinished).context("make", &unfinished)?;
        file.write_all_at(bytes, 0).context("write", &unfinished)?;
        if syncs {
            file.sync().context("make durable", &unfinished)?;
        }
        drop(file);
        let path = self.paths.checkpoint(generation);
        self.disk.rename(&unfinished, &path).context("rename to", &path)?;
        if syncs {
            let state = &self.paths.state;
            self.disk.sync_directory(state).context("make durable", state)?;
        }
        Ok(())
    }
}

/// Writes bodies, unless the file was cut: it would have a hole, and be as long as it should be.
fn append<F: DiskFile>(tail: &mut Tail<F>, bytes: &[u8]) -> Result<(), RunError> {
    match bytes.is_empty() {
        true => Ok(()),
        false => {
            check_length(&tail.file, &tail.path, tail.length)?;
            tail.append(bytes)
        }
    }
}

/// Refuses a file that was removed, or is shorter than what was written to it.
pub(crate) fn look_for<D: Disk>(disk: &D, path: &Path, written: u64) -> Result<(), RunError> {
    let Some(file) = disk.open(path).context("open", path)? else {
        let why = "it is gone".to_owned();
        return Err(RunError::OutputChanged { path: path.to_owned(), why });
    };
    check_length(&file, path, written)
}

fn check_length<F: DiskFile>(file: &F, path: &Path, written: u64) -> Result<(), RunError> {
    let length = file.length().context("look at", path)?;
    match length < written {
        true => {
            let why = format!("it has {length} bytes, and {written} were written");
            Err(RunError::OutputChanged { path: path.to_owned(), why })
        }
        false => Ok(()),
    }
}
