//! What a run knows while it goes on: lines, window, outcomes that wait, the writer.
//!
//! Does not know: how calls are made or polled. Invariant: the writer is here or in the pool, never
//! both; what it was given is in `pending` until then, and written in the window afterwards.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use seawall_lines::{LineBatch, LineError, LineReader, OwnedLines};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::bits::Bits;
use crate::checkpoint::{Checkpoint, LineCounts, write_bits};
use crate::control::{Control, RunConclusion};
use crate::dead::letter;
use crate::disk::Disk;
use crate::error::{RunError, stopped};
use crate::finished::Finished;
use crate::job::{Ending, Job, LineOutcome, RunKey};
use crate::record::Kind;
use crate::settings::Settings;
use crate::window::Window;
use crate::writer::{Intent, Spill, Writer};

/// Is what a run knows.
pub(crate) struct Engine<'a, D: Disk> {
    settings: &'a Settings,
    control: &'a Control,
    reader: LineReader,
    lines: Option<OwnedLines>,
    has_more: bool,
    window: Window,
    /// Lines whose outcome was written in an earlier session.
    done: Bits,
    /// Lines that may have been sent in an earlier session.
    intended: Bits,
    /// Outcomes of an earlier session that wait for lines before them.
    spilled: HashMap<u64, Finished>,
    key: RunKey,
    /// Outcomes that may be written.
    pending: Vec<Finished>,
    /// Lines whose intent is to be written.
    intending: Vec<Job>,
    /// Lines whose call may begin.
    callable: Vec<Job>,
    /// How many lines the writer has whose intent it writes.
    being_intended: usize,
    /// Boxed: it goes to the pool and back for each group.
    writer: Option<Box<Writer<D>>>,
    flight: Option<JoinHandle<WrittenGroup<D>>>,
    /// What the next checkpoint begins from.
    checkpoint: Checkpoint,
    outcomes: u64,
    /// How many lines have failed, and have ended, whether that is written or not.
    failed_lines: u64,
    ended_lines: u64,
    is_due: bool,
    stop: Option<RunConclusion>,
    is_halted: bool,
    failed: Option<RunError>,
}

/// A group of lines that was written, with the writer that comes back.
pub(crate) struct WrittenGroup<D: Disk> {
    writer: Box<Writer<D>>,
    group: Vec<Finished>,
    jobs: Vec<Job>,
    is_checkpoint: bool,
    result: Result<(), RunError>,
}

/// Is what is waited for besides calls.
pub(crate) enum Step<D: Disk> {
    /// The writer is back.
    Written(Result<WrittenGroup<D>, RunError>),
    /// Lines have been read.
    Read(Result<Option<LineBatch>, LineError>),
}

impl<'a, D: Disk> Engine<'a, D> {
    pub(crate) fn new(
        settings: &'a Settings,
        control: &'a Control,
        reader: LineReader,
        writer: Writer<D>,
        checkpoint: Checkpoint,
        (done, intended, spilled): (Bits, Bits, HashMap<u64, Finished>),
    ) -> Self {
        let low = reader.position();
        let lines_max = settings.window_lines_max.clamp(1, WINDOW_LINES_MAX);
        let window = Window::new(low, settings.is_ordered, lines_max, settings.window_bytes_max);
        let length = reader.length().filter(|_| !reader.is_coded()).unwrap_or(0);
        let now = std::time::Instant::now();
        control.progress.begin(length, checkpoint.counts, low, now);
        let counts = checkpoint.counts;
        let mut engine = Self {
            settings,
            control,
            reader,
            lines: None,
            has_more: true,
            window,
            done,
            intended,
            spilled,
            key: RunKey::of(&checkpoint.run),
            pending: Vec::new(),
            intending: Vec::new(),
            callable: Vec::new(),
            being_intended: 0,
            writer: Some(Box::new(writer)),
            flight: None,
            checkpoint,
            outcomes: 0,
            failed_lines: counts.dead,
            ended_lines: counts.lines(),
            is_due: false,
            stop: None,
            is_halted: false,
            failed: None,
        };
        engine.give_up_if_too_many_failed();
        engine
    }

    /// Takes as many lines as may be sent now.
    pub(crate) fn take_lines(&mut self, calls: usize) {
        let mut in_flight = calls + self.intending.len() + self.being_intended;
        while self.stop.is_none()
            && in_flight < self.settings.in_flight_max.max(1)
            && self.window.has_room()
        {
            let Some(line) = self.lines.as_mut().and_then(Iterator::next) else {
                self.lines = None;
                break;
            };
            if self.done.contains(line.sequence) {
                self.window.enter_written(line.next_offset);
                continue;
            }
            self.window.enter(line.next_offset, line.bytes.len());
            if let Some(finished) = self.spilled.remove(&line.sequence) {
                self.ended(finished);
                self.window.was_spilled(line.sequence);
                continue;
            }
            let (is_whole, length) = (line.is_whole(), line.length);
            let job = Job::new(line, self.key);
            if self.intended.contains(job.sequence) {
                let why = "unknown: it may have been sent before the run was cut off";
                self.finish(job, LineOutcome::dead(why).after(0, 0));
            } else if !is_whole {
                let max = self.settings.line_bytes_max;
                let why = format!("the line has {length} bytes, and {max} may be sent");
                self.finish(job, LineOutcome::dead(why).after(0, 0));
            } else if self.settings.is_at_most_once {
                self.intending.push(job);
                in_flight += 1;
            } else {
                self.callable.push(job);
                in_flight += 1;
            }
        }
        let position = self.reader.position();
        // Lines whose intent is being written are not under way yet.
        let under_way = calls + self.callable.len();
        self.control.progress.now(position.offset, under_way, self.pending.len());
    }

    /// Takes the lines whose call may begin.
    pub(crate) fn callable(&mut self) -> impl Iterator<Item = Job> {
        self.callable.drain(..)
    }

    /// Takes a line's outcome.
    pub(crate) fn finish(&mut self, job: Job, outcome: LineOutcome) {
        let LineOutcome { mut ending, attempts, status, about } = outcome;
        self.control.progress.attempts(u64::from(attempts));
        if let Ending::Output(answer) = &mut ending {
            if answer.len() > self.settings.answer_bytes_max {
                let (length, max) = (answer.len(), self.settings.answer_bytes_max);
                ending =
                    Ending::Dead(format!("the answer has {length} bytes, and {max} are taken"));
            } else if answer.contains(&b'\n') {
                ending = Ending::Dead("the answer is more than one line".to_owned());
            }
        }
        let (kind, body) = match ending {
            // As a call that is dropped: the line keeps its place, and the run stops before it.
            Ending::Postponed => return self.drain(RunConclusion::Stopped),
            Ending::Output(mut answer) => {
                answer.push(b'\n');
                (Kind::Output, answer)
            }
            Ending::Filtered => (Kind::Filtered, Vec::new()),
            Ending::Dead(reason) => {
                (Kind::Dead, letter(&job, about.as_deref(), &reason, attempts, status))
            }
        };
        let attempts = u8::try_from(attempts).unwrap_or(u8::MAX);
        let Job { sequence, next_offset, .. } = job;
        self.ended(Finished { sequence, next_offset, kind, attempts, status, body });
    }

    fn ended(&mut self, finished: Finished) {
        self.ended_lines += 1;
        self.failed_lines += u64::from(finished.kind == Kind::Dead);
        self.give_up_if_too_many_failed();
        self.window.finish(finished, &mut self.pending);
    }

    /// Returns whether so many outcomes wait for lines before them that they are kept on the disk:
    /// what a crash costs is bounded by the calls at once, twice.
    fn wants_to_spill(&self) -> bool {
        self.window.unspilled() > self.settings.in_flight_max
    }

    /// Lends the writer what there is to be written, if it is here.
    pub(crate) fn write(&mut self) {
        if self.writer.is_none() || self.is_idle() {
            return;
        }
        let Some(mut writer) = self.writer.take() else { return };
        if std::mem::take(&mut self.is_due) {
            let checkpoint = self.next_checkpoint(false);
            // One that has grown long is written anew, but not while some of it is on its way out.
            let is_long = writer.spill_bytes() > SPILL_BYTES_MAX && self.pending.is_empty();
            let spill = match self.window.spilled() {
                0 => Spill::Done,
                _ if is_long => Spill::Anew(self.window.spill(true)),
                _ => Spill::Kept,
            };
            self.flight = Some(spawn_blocking(move || {
                let result = writer.checkpoint(checkpoint, spill);
                let (group, jobs, is_checkpoint) = (Vec::new(), Vec::new(), true);
                WrittenGroup { writer, group, jobs, is_checkpoint, result }
            }));
            return;
        }
        let group: Vec<Finished> =
            self.pending.drain(..self.pending.len().min(GROUP_MAX)).collect();
        let jobs = std::mem::take(&mut self.intending);
        self.being_intended = jobs.len();
        let intents: Vec<Intent> = jobs
            .iter()
            .map(|job| Intent { sequence: job.sequence, next_offset: job.next_offset })
            .collect();
        let waiting = match self.wants_to_spill() {
            true => self.window.spill(false),
            false => Vec::new(),
        };
        self.flight = Some(spawn_blocking(move || {
            let result = writer.write(&group, &intents, &waiting);
            WrittenGroup { writer, group, jobs, is_checkpoint: false, result }
        }));
    }

    /// Waits for the writer to come back or, if they are wanted, for the next lines.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: both are waited for again.
    pub(crate) async fn next(&mut self) -> Step<D> {
        poll_fn(|cx| {
            if let Some(flight) = &mut self.flight
                && let Poll::Ready(landed) = Pin::new(flight).poll(cx)
            {
                self.flight = None;
                return Poll::Ready(Step::Written(landed.map_err(stopped)));
            }
            if self.wants_lines()
                && let Poll::Ready(batch) = self.reader.poll_next(cx)
            {
                return Poll::Ready(Step::Read(batch));
            }
            Poll::Pending
        })
        .await
    }

    /// Takes what was waited for.
    pub(crate) fn take(&mut self, step: Step<D>) -> Result<(), RunError> {
        match step {
            Step::Written(landed) => return self.take_written(landed?),
            Step::Read(Ok(Some(batch))) => self.lines = Some(batch.into_owned_lines()),
            Step::Read(Ok(None)) => self.has_more = false,
            Step::Read(Err(error)) => {
                // What was read before is sent, and written, before this is told.
                self.has_more = false;
                self.failed = Some(error.into());
            }
        }
        Ok(())
    }

    /// Takes the writer back, and what it has written.
    fn take_written(&mut self, landed: WrittenGroup<D>) -> Result<(), RunError> {
        let WrittenGroup { writer, group, jobs, is_checkpoint, result } = landed;
        // After an error it goes, and with it the lock.
        result?;
        self.writer = Some(writer);
        self.being_intended = 0;
        if is_checkpoint {
            self.outcomes = 0;
        }
        let mut of_input = 0;
        for finished in &group {
            of_input += self.window.written(finished.sequence);
            match finished.kind {
                Kind::Output => self.checkpoint.counts.output += 1,
                Kind::Dead => self.checkpoint.counts.dead += 1,
                Kind::Filtered | Kind::Intent => self.checkpoint.counts.filtered += 1,
            }
        }
        for job in jobs {
            self.window.intend(job.sequence);
            if !self.is_halted {
                self.callable.push(job);
            }
        }
        self.outcomes += group.len() as u64;
        self.is_due |= self.outcomes >= self.settings.checkpoint_outcomes.min(JOURNAL_OUTCOMES_MAX);
        let counts = self.checkpoint.counts;
        let progress = &self.control.progress;
        progress.counts(counts);
        progress.session_bytes(of_input);
        let (low, done_bytes) = (self.window.low(), self.window.done_bytes());
        progress.low(low, done_bytes, std::time::Instant::now());
        Ok(())
    }

    /// Not only when it is written: by then hundreds more may have been sent.
    fn give_up_if_too_many_failed(&mut self) {
        let max = self.settings.failures_max;
        if max.is_some_and(|max| max.is_exceeded(self.failed_lines, self.ended_lines)) {
            self.drain(RunConclusion::TooManyFailures);
        }
    }

    const fn wants_lines(&self) -> bool {
        self.lines.is_none() && self.has_more && self.stop.is_none()
    }

    pub(crate) fn checkpoint_is_due(&mut self) {
        self.is_due = self.outcomes > 0;
    }

    /// Begins no line any more.
    pub(crate) fn drain(&mut self, why: RunConclusion) {
        self.stop = self.stop.or(Some(why));
        self.lines = None;
    }

    /// Waits for no call any more.
    pub(crate) fn halt(&mut self) {
        self.drain(RunConclusion::Stopped);
        self.is_halted = true;
        self.intending.clear();
        self.callable.clear();
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.stop.is_some()
    }

    pub(crate) const fn is_halted(&self) -> bool {
        self.is_halted
    }

    /// Returns whether nothing is left to be done but the last checkpoint.
    pub(crate) fn is_over(&self, calls: usize) -> bool {
        let is_read = self.stop.is_some() || (self.lines.is_none() && !self.has_more);
        is_read && calls == 0 && self.callable.is_empty() && self.flight.is_none() && self.is_idle()
    }

    /// Returns whether it has come to the end of its input, and nothing was wrong with that.
    pub(crate) fn is_finished(&self) -> bool {
        self.stop.is_none() && self.failed.is_none()
    }

    /// Notes why it cannot say that it is finished.
    pub(crate) fn fail(&mut self, error: RunError) {
        self.failed = Some(error);
    }

    /// Makes the last checkpoint.
    pub(crate) async fn end(mut self) -> Result<(RunConclusion, LineCounts), RunError> {
        let ended = self.stop.unwrap_or(RunConclusion::Finished);
        let counts = self.checkpoint.counts;
        let is_finished = self.is_finished();
        let checkpoint = self.next_checkpoint(is_finished);
        let waiting = self.window.spill(false);
        let spill = if self.window.spilled() == 0 { Spill::Done } else { Spill::Kept };
        if let Some(mut writer) = self.writer.take() {
            let written = spawn_blocking(move || {
                writer.write(&[], &[], &waiting)?;
                writer.checkpoint(checkpoint, spill)
            });
            written.await.map_err(stopped)??;
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok((ended, counts)),
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.intending.is_empty()
            && !self.is_due
            && !self.wants_to_spill()
    }

    fn next_checkpoint(&self, is_finished: bool) -> Checkpoint {
        let (done, intended) = self.window.sets();
        let low = self.window.low();
        let mut done_before = self.sets_before(&self.done, low.sequence);
        done.iter().for_each(|number| {
            done_before.insert(number);
        });
        let mut intended_before = self.sets_before(&self.intended, low.sequence);
        intended.iter().for_each(|number| {
            intended_before.insert(number);
        });
        Checkpoint {
            sequence: low.sequence,
            offset: low.offset,
            done: write_bits(&done_before),
            intended: write_bits(&intended_before),
            is_finished,
            ..self.checkpoint.clone()
        }
    }

    /// Returns what an earlier session knew of lines that this one has not come to yet.
    fn sets_before(&self, bits: &Bits, low: u64) -> Bits {
        let mut left = Bits::from(low);
        bits.iter().filter(|number| *number >= low).for_each(|number| {
            left.insert(number);
        });
        left
    }
}

/// How wide a window can be: a checkpoint names the lines in it, one bit each.
const WINDOW_LINES_MAX: usize = 1 << 20;
/// How many outcomes a journal can hold: it is read as a whole after a crash.
const JOURNAL_OUTCOMES_MAX: u64 = 1 << 22;
/// How long a spill grows: the window and as much again of what waits no more.
const SPILL_BYTES_MAX: u64 = 128 << 20;
/// How many outcomes are written at once.
const GROUP_MAX: usize = 1024;
