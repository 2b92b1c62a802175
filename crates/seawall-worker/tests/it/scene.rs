//! A file to send, calls that can be foretold, and what must hold when all is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use seawall_core::Chance;
use seawall_worker::{Job, LineOutcome, Settings};
use tempfile::TempDir;

/// Is an input, and the calls that were made for it.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) lines: u64,
    /// How often each line was sent.
    pub(crate) sent: Mutex<BTreeMap<u64, u32>>,
    chance: Mutex<Chance>,
}

impl Scene {
    pub(crate) fn new(lines: u64, seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text: String = (0..lines).map(|number| line(number) + "\n").collect();
        std::fs::write(directory.path().join("input"), text).unwrap();
        let (sent, chance) = (Mutex::default(), Mutex::new(Chance::seeded(seed)));
        Self { directory, lines, sent, chance }
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.directory.path().join("input")
    }

    /// Returns settings that make everything happen often.
    pub(crate) fn settings(&self, output: impl Into<PathBuf>) -> Settings {
        Settings {
            in_flight_max: 16,
            window_lines_max: 64,
            checkpoint_outcomes: 50,
            checkpoint_every: Duration::from_millis(40),
            ..Settings::new(self.input(), output)
        }
    }

    /// Is the call: it takes a while, and how it ends follows from the line's number.
    pub(crate) async fn call(&self, job: &Job) -> LineOutcome {
        *self.sent.lock().unwrap().entry(job.sequence).or_default() += 1;
        let millis = self.chance.lock().unwrap().bits() % 20;
        if millis > 4 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        assert_eq!(job.line, line(job.sequence).as_bytes());
        match ending(job.sequence) {
            'd' => LineOutcome::dead("the upstream would not").after(3, 503),
            'f' => LineOutcome::filtered(),
            _ => LineOutcome::output(format!("answer {}", job.sequence).into_bytes()).after(1, 200),
        }
    }

    /// Checks that every line has one outcome, and the right one.
    pub(crate) fn check(&self, output: &[u8], dead: &[u8], is_ordered: bool, what: &str) {
        let answers = numbers(output, "answer ");
        let letters = numbers(dead, "{\"seq\":");
        for (found, kind) in [(&answers, 'o'), (&letters, 'd')] {
            let expected: Vec<u64> = (0..self.lines).filter(|&n| ending(n) == kind).collect();
            let mut sorted = found.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, expected, "{what}: lines with ending {kind}");
            if is_ordered {
                assert_eq!(*found, expected, "{what}: order of lines with ending {kind}");
            }
        }
    }

    pub(crate) fn sends(&self) -> u64 {
        self.sent.lock().unwrap().values().map(|&times| u64::from(times)).sum()
    }
}

/// Returns the number in each line behind a prefix that each must have.
pub(crate) fn numbers(bytes: &[u8], prefix: &str) -> Vec<u64> {
    let text = std::str::from_utf8(bytes).expect("what is written is text");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole");
    text.lines()
        .map(|line| {
            let rest = line.strip_prefix(prefix).unwrap_or_else(|| panic!("a torn line: {line:?}"));
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or_else(|_| panic!("a torn line: {line:?}"))
        })
        .collect()
}

fn line(number: u64) -> String {
    format!("line {number} {}", "abc".repeat(number as usize % 7))
}

/// Returns how a line ends: o, d or f.
pub(crate) fn ending(number: u64) -> char {
    match number % 19 {
        3 => 'd',
        7 => 'f',
        _ => 'o',
    }
}

/// Runs a future in a runtime of its own whose clock jumps whenever nothing else is to be done.
pub(crate) fn in_runtime<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(future)
}

pub(crate) fn dead(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".dead");
    name.into()
}
