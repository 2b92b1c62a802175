//! What a run is to do, as it is meant.
//!
//! Does not know: TOML, flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Says what a run reads and writes, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The input: a regular file that nobody changes.
    pub input: PathBuf,
    /// Whether the input may be a link to the file; not where others choose what lies there.
    pub follows_links: bool,
    /// The output: one line for each line that has an answer.
    pub output: PathBuf,
    /// Where failed lines go (default: the output's name and `.dead`).
    pub dead: PathBuf,
    /// Whether the output has the order of the input. Then a line that is done waits for those
    /// before it.
    pub is_ordered: bool,
    /// Whether a line is sent at most once: before its call begins that is made durable, and a
    /// line of which nobody knows whether it was sent goes to the dead letter file. With
    /// [`Sync::Never`] it holds when the process dies, and not when the power goes.
    pub is_at_most_once: bool,
    /// How many calls are under way at once.
    pub in_flight_max: usize,
    /// How far apart the first line without an outcome and the last one sent may be; at most a
    /// million lines.
    pub window_lines_max: usize,
    /// How many bytes of lines and answers are held; answers that are still coming in are not among
    /// them, which are `in_flight_max * answer_bytes_max` at most.
    pub window_bytes_max: usize,
    /// How long a line may be; a longer one goes to the dead letter file.
    pub line_bytes_max: usize,
    /// How long an answer may be; a longer one goes to the dead letter file.
    pub answer_bytes_max: usize,
    /// When written bytes are made durable.
    pub sync: Sync,
    /// How often a checkpoint is made.
    pub checkpoint_every: Duration,
    /// After how many outcomes a checkpoint is made, however soon; at most four million.
    pub checkpoint_outcomes: u64,
    /// When a run gives up.
    pub failures_max: Option<FailuresMax>,
    /// Whatever else outcomes depend on (the upstream, a template), by name: a run goes on only
    /// if it is the same as when it began.
    pub identity: BTreeMap<String, String>,
    /// What a new run is called, 32 hexadecimal digits: lines have the same keys in every run of
    /// that name, also if all files of an earlier one are gone. Default: any other one.
    pub name: Option<String>,
    /// Whether the run that began here before is forgotten: its output and dead letters are removed.
    pub is_anew: bool,
    /// Whether a run goes on although what it depends on is not what it was. Lines that have an
    /// outcome keep it, whatever they would come to now.
    pub is_forced: bool,
}

/// Says when written bytes are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// When the system likes. A crash of the process loses nothing; a power cut may.
    Never,
    /// With each checkpoint. After a power cut, what came after the last one is sent again.
    #[default]
    Checkpoint,
    /// Before a line counts as done.
    Record,
}

seawall_core::words!(Sync { Checkpoint => "checkpoint", Record => "line", Never => "never" });

/// Says how many failures are too many. Those of earlier sessions count: a run that gave up goes on
/// only with a higher limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailuresMax {
    /// More than so many lines.
    Lines(u64),
    /// More than a share of the lines, once there are enough to tell.
    Share {
        /// The share, from 0 to 1.
        ratio: f64,
        /// How many lines are enough.
        of_at_least: u64,
    },
}

impl FailuresMax {
    pub(crate) fn is_exceeded(self, dead: u64, lines: u64) -> bool {
        match self {
            Self::Lines(max) => dead > max,
            Self::Share { ratio, of_at_least } => {
                lines >= of_at_least && dead as f64 > ratio * lines as f64
            }
        }
    }
}

impl Settings {
    /// Reads `input` and writes `output`; everything else has its default.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        let output = output.into();
        Self {
            input: input.into(),
            follows_links: true,
            dead: with_suffix(&output, ".dead"),
            output,
            is_ordered: false,
            is_at_most_once: false,
            in_flight_max: 64,
            window_lines_max: 4096,
            window_bytes_max: 64 * MIB,
            line_bytes_max: MIB,
            answer_bytes_max: MIB,
            sync: Sync::default(),
            checkpoint_every: Duration::from_secs(1),
            // Eight mebibytes of journal.
            checkpoint_outcomes: 262_144,
            failures_max: None,
            identity: BTreeMap::new(),
            name: None,
            is_anew: false,
            is_forced: false,
        }
    }

    /// Returns the directory in which a run keeps what it knows.
    pub fn state(&self) -> PathBuf {
        with_suffix(&self.output, ".seawall")
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

const MIB: usize = 1024 * 1024;
