//! A run that sends nothing: lines are selected, in batches.
//!
//! Does not know: calls. What becomes of a line follows from the line alone, so that none needs a
//! record of its own: after a crash everything behind the last checkpoint is cut off and selected
//! again. Invariant: output, dead letters and counts of a checkpoint are those of all lines before its
//! place, and of no other.

use seawall_lines::{Line, LineBatch, LineReader, Position};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::bits::Bits;
use crate::checkpoint::{Checkpoint, LineCounts, write_bits};
use crate::control::{Control, RunConclusion};
use crate::dead::letter;
use crate::disk::Disk;
use crate::error::{RunError, stopped};
use crate::job::{Job, RunKey};
use crate::progress::Progress;
use crate::select::{Select, Selected};
use crate::settings::Settings;
use crate::writer::{Spill, Writer};

/// Is what goes to the pool and comes back with each batch.
struct Selecting<D: Disk> {
    settings: Settings,
    select: Select,
    writer: Writer<D>,
    checkpoint: Checkpoint,
    key: RunKey,
    /// Lines whose outcome was written before, by a version that sent them one by one.
    done: Bits,
    output: Vec<u8>,
    dead: Vec<u8>,
    has_failed: bool,
}

/// Selects from every line that is left.
pub(crate) async fn drive<D: Disk>(
    select: &Select,
    control: &Control,
    settings: &Settings,
    mut reader: LineReader,
    (writer, checkpoint, done): (Writer<D>, Checkpoint, Bits),
) -> Result<(RunConclusion, LineCounts, Option<RunError>, Last<D>), RunError> {
    let length = reader.length().filter(|_| !reader.is_coded()).unwrap_or(0);
    let (progress, place) = (&control.progress, reader.position());
    progress.begin(length, checkpoint.counts, place, std::time::Instant::now());
    let (key, select, settings) = (RunKey::of(&checkpoint.run), select.clone(), settings.clone());
    let every = settings.checkpoint_every;
    let mut checkpoints = interval_at(Instant::now() + every, every);
    checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (output, dead, has_failed) = (Vec::new(), Vec::new(), false);
    let mut selecting =
        Selecting { settings, select, writer, checkpoint, key, done, output, dead, has_failed };
    selecting.give_up();
    let (mut is_due, mut failed) = (false, None);
    let ended = loop {
        if selecting.has_failed {
            break RunConclusion::TooManyFailures;
        }
        let batch = tokio::select! {
            biased;
            () = control.halt.cancelled() => break RunConclusion::Stopped,
            () = control.drain.cancelled() => break RunConclusion::Stopped,
            _ = checkpoints.tick() => {
                is_due = true;
                continue;
            }
            // What was read is kept for the next time if another arm wins.
            batch = reader.next() => batch,
        };
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => break RunConclusion::Finished,
            // All before it was handed over.
            Err(error) => {
                failed = Some(error.into());
                break RunConclusion::Finished;
            }
        };
        let makes_checkpoint = std::mem::take(&mut is_due);
        let selected = spawn_blocking(move || {
            let result = selecting.take(batch, makes_checkpoint);
            (selecting, result)
        });
        let result;
        (selecting, result) = selected.await.map_err(stopped)?;
        // After an error the writer goes, and with it the lock.
        result?;
        selecting.tell(progress);
    };
    let counts = selecting.checkpoint.counts;
    Ok((ended, counts, failed, Last(selecting)))
}

/// The last checkpoint of a run, which is still to be made.
pub(crate) struct Last<D: Disk>(Selecting<D>);

impl<D: Disk> Last<D> {
    /// Makes it.
    pub(crate) async fn make(mut self, is_finished: bool) -> Result<(), RunError> {
        let made = spawn_blocking(move || self.0.make_checkpoint(is_finished));
        made.await.map_err(stopped)?
    }
}

impl<D: Disk> Selecting<D> {
    /// Selects from the lines of a batch, and writes what is kept.
    fn take(&mut self, batch: LineBatch, makes_checkpoint: bool) -> Result<(), RunError> {
        let mut lines = batch.iter();
        // Those that were done are looked at one by one.
        let may_skip = self.done.is_empty();
        while !self.has_failed {
            let line = match self.select.finder().filter(|_| may_skip) {
                Some(finder) => lines.find_line(|bytes| finder.find(bytes)),
                None => lines.next(),
            };
            let Some(line) = line else { break };
            self.skipped_to(Position { sequence: line.sequence, offset: line.offset });
            if !self.done.contains(line.sequence) {
                self.take_line(line);
            }
            (self.checkpoint.sequence, self.checkpoint.offset) =
                (line.sequence + 1, line.next_offset);
        }
        if !self.has_failed {
            self.skipped_to(batch.end());
        }
        self.writer.append(&self.output, &self.dead)?;
        self.output.clear();
        self.dead.clear();
        match makes_checkpoint {
            true => self.make_checkpoint(false),
            false => Ok(()),
        }
    }

    /// Selects one line, and counts what becomes of it.
    fn take_line(&mut self, line: Line<'_>) {
        match self.selected(line) {
            Selected::Drop => self.checkpoint.counts.filtered += 1,
            Selected::Keep(kept) => {
                self.output.extend_from_slice(&kept);
                self.output.push(b'\n');
                self.checkpoint.counts.output += 1;
            }
            Selected::Bad(why) => {
                let job = Job::new(line.to_owned_line(), self.key);
                self.dead.append(&mut letter(&job, None, &why, 0, 0));
                self.checkpoint.counts.dead += 1;
                self.give_up();
            }
        }
    }

    /// Says what is kept of a line, within the bounds of the run.
    fn selected<'a>(&self, line: Line<'a>) -> Selected<'a> {
        let Settings { line_bytes_max, answer_bytes_max, .. } = self.settings;
        if !line.is_whole() {
            let length = line.length;
            return Selected::Bad(format!(
                "the line has {length} bytes, and {line_bytes_max} may be sent"
            ));
        }
        match self.select.apply(line.bytes) {
            Selected::Keep(kept) if kept.len() > answer_bytes_max => {
                let length = kept.len();
                Selected::Bad(format!(
                    "the answer has {length} bytes, and {answer_bytes_max} are taken"
                ))
            }
            selected => selected,
        }
    }

    /// Takes note of lines that are dropped without a look at each.
    fn skipped_to(&mut self, place: Position) {
        // There is none among them that was done: see `take`.
        self.checkpoint.counts.filtered += place.sequence - self.checkpoint.sequence;
        (self.checkpoint.sequence, self.checkpoint.offset) = (place.sequence, place.offset);
    }

    fn give_up(&mut self) {
        let LineCounts { dead, .. } = self.checkpoint.counts;
        let lines = self.checkpoint.counts.lines();
        self.has_failed =
            self.settings.failures_max.is_some_and(|max| max.is_exceeded(dead, lines));
    }

    fn make_checkpoint(&mut self, is_finished: bool) -> Result<(), RunError> {
        let mut done = Bits::from(self.checkpoint.sequence);
        self.done.iter().for_each(|number| {
            done.insert(number);
        });
        let (done, intended) = (write_bits(&done), String::new());
        let checkpoint = Checkpoint { done, intended, is_finished, ..self.checkpoint.clone() };
        self.writer.checkpoint(checkpoint, Spill::Done)
    }

    fn tell(&self, progress: &Progress) {
        let Checkpoint { sequence, offset, counts, .. } = self.checkpoint;
        let low = Position { sequence, offset };
        progress.counts(counts);
        progress.selected(low, std::time::Instant::now());
    }
}
