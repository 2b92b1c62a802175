//! A job, which is one line, and its outcome.
//!
//! Does not know: who calls whom with it. Invariant: the key of a line is the same on every
//! attempt of every session of its run, and of no other line.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use seawall_lines::OwnedLine;

/// Is one line that is to be sent.
#[derive(Debug)]
pub struct Job {
    /// The line's number in the input, from 0.
    pub sequence: u64,
    /// The offset of its first byte.
    pub offset: u64,
    /// What is in it.
    pub line: Vec<u8>,
    pub(crate) next_offset: u64,
    pub(crate) run: RunKey,
    /// The key that it had in another run, if it is one of its dead letters.
    pub(crate) kept_key: Option<String>,
}

impl Job {
    pub(crate) fn new(line: OwnedLine, run: RunKey) -> Self {
        let OwnedLine { sequence, offset, next_offset, bytes, .. } = line;
        Self { sequence, offset, line: bytes, next_offset, run, kept_key: None }
    }

    /// Makes a job that belongs to no run: to see what would be sent for a line.
    pub fn sample(line: OwnedLine) -> Self {
        Self::new(line, RunKey([0; 16]))
    }

    /// Makes the key that tells an upstream that it has seen this line before: the same on every
    /// attempt, and after a crash.
    pub fn key(&self) -> String {
        if let Some(key) = &self.kept_key {
            return key.clone();
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.run.0).update(&self.sequence.to_le_bytes()).update(&self.line);
        let hash = hasher.finalize();
        // 16 bytes are 26 letters: as many as a UUID has bits, and no two lines share.
        BASE32_NOPAD.encode(&hash.as_bytes()[..16])
    }
}

/// Is what the keys of a run are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunKey(pub(crate) [u8; 16]);

impl RunKey {
    /// Makes it of a run's name.
    pub(crate) fn of(run: &str) -> Self {
        Self(u128::from_str_radix(run, 16).unwrap_or(0).to_be_bytes())
    }
}

/// Says how a line ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineOutcome {
    pub(crate) ending: Ending,
    /// How many attempts were made.
    pub attempts: u32,
    /// The status of the last answer; 0 if there was none.
    pub status: u16,
    /// The line that a dead letter is about, if it is not the job's own.
    pub(crate) about: Option<Box<About>>,
}

/// Is what a dead letter says of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
    pub(crate) line: Vec<u8>,
    pub(crate) key: String,
}

/// Says what is written for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Output(Vec<u8>),
    Filtered,
    Dead(String),
    /// None: it is sent another time.
    Postponed,
}

impl LineOutcome {
    /// Is an answer, to be written to the output as one line: it has no newline in it.
    pub const fn output(answer: Vec<u8>) -> Self {
        Self { ending: Ending::Output(answer), attempts: 1, status: 0, about: None }
    }

    /// Is no answer, and none is needed.
    pub const fn filtered() -> Self {
        Self { ending: Ending::Filtered, attempts: 0, status: 0, about: None }
    }

    /// Is no outcome: the run is to stop, and the line is sent when it goes on.
    ///
    /// A run that was not told to stop does so now. Of lines that are sent at most once it cannot be
    /// said: that they may have been sent is written down by then.
    pub const fn postponed() -> Self {
        Self { ending: Ending::Postponed, attempts: 0, status: 0, about: None }
    }

    /// Is a failure: the line goes to the dead letter file, with the reason.
    pub fn dead(reason: impl fmt::Display) -> Self {
        Self { ending: Ending::Dead(reason.to_string()), attempts: 1, status: 0, about: None }
    }

    /// Says that it is the outcome of another run's line ([`Job::of_letter`]): if it failed again,
    /// the dead letter has that line, with its number and key.
    #[must_use]
    pub fn about(mut self, job: &Job) -> Self {
        if matches!(self.ending, Ending::Dead(_)) {
            let (sequence, offset) = (job.sequence, job.offset);
            let about = About { sequence, offset, line: job.line.clone(), key: job.key() };
            self.about = Some(Box::new(about));
        }
        self
    }

    /// Says how many attempts it took, and with which status the last one ended.
    #[must_use]
    pub const fn after(mut self, attempts: u32, status: u16) -> Self {
        self.attempts = attempts;
        self.status = status;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u64, line: &str, run: u8) -> String {
        let line = line.as_bytes().to_vec();
        Job { sequence, offset: 9, line, next_offset: 10, run: RunKey([run; 16]), kept_key: None }
            .key()
    }

    #[test]
    fn a_key_is_of_one_line_of_one_run() {
        let one = key(1, "oslo", 7);
        assert_eq!(one, key(1, "oslo", 7));
        assert_eq!(one.len(), 26);
        for other in [key(2, "oslo", 7), key(1, "rome", 7), key(1, "oslo", 8)] {
            assert_ne!(one, other);
        }
    }
}
