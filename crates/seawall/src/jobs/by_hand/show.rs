//! How far a run is, for people: a bar on a terminal, else a line now and then.
//!
//! Does not know: the run; it is told how far that is. All of it goes to stderr. A line fits into the
//! terminal: where that is narrow, what matters least is left out.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use seawall_worker::ProgressSnapshot;
use serde_json::json;

use super::bar::{Bar, columns};
use crate::cli::ProgressForm;
use crate::jobs::{Progress, Speed, share};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bar,
    Plain,
    Json,
    None,
}

impl Form {
    /// Works out what a flag means here.
    pub(crate) fn of(flag: ProgressForm, is_quiet: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match flag {
            ProgressForm::Auto if is_quiet => Self::None,
            ProgressForm::Auto if io::stderr().is_terminal() && !is_dumb => Self::Bar,
            ProgressForm::Auto | ProgressForm::Plain => Self::Plain,
            ProgressForm::Bar => Self::Bar,
            ProgressForm::Json => Self::Json,
            ProgressForm::None => Self::None,
        }
    }
}

/// Shows how far a run is.
pub(crate) struct Show {
    form: Form,
    bar: Bar,
    speed: Speed,
    told: Option<(Instant, u64)>,
}

impl Show {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, bar: Bar::default(), speed: Speed::default(), told: None }
    }

    /// Takes how far it is, and shows it if it is time to.
    pub(crate) fn take(&mut self, now: Instant, progress: &Progress) {
        let snapshot = &progress.snapshot;
        if !snapshot.has_begun {
            return;
        }
        self.speed.take(now, snapshot);
        if self.form == Form::Bar {
            self.bar.draw(share(snapshot), &self.line(now, progress, columns()));
            return;
        }
        let every = if self.form == Form::Json { JSON_EVERY } else { PLAIN_EVERY };
        let tenth = tenth(snapshot);
        let is_due = match self.told {
            // A line right at the beginning would know no speed.
            None => {
                let looked = self.speed.looked(now);
                looked >= every || (tenth > 0 && looked >= FIRST_AFTER)
            }
            Some((at, before)) => now - at >= every || tenth > before,
        };
        if is_due {
            self.told = Some((now, tenth));
            self.say(now, progress);
        }
    }

    /// Shows how far it is now, whatever the time is.
    pub(crate) fn say(&mut self, now: Instant, progress: &Progress) {
        match self.form {
            Form::None => {}
            Form::Json => print(&self.document(now, progress)),
            Form::Bar | Form::Plain => {
                let line = self.line(now, progress, usize::MAX);
                self.print(&line);
            }
        }
    }

    /// Says something above the bar.
    pub(crate) fn print(&mut self, text: &str) {
        match self.form {
            Form::Bar => self.bar.say(text),
            _ => print(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        if self.form == Form::Bar {
            self.bar.clear();
        }
    }

    /// Writes a line of so many characters at most.
    fn line(&self, now: Instant, progress: &Progress, chars_max: usize) -> String {
        let snapshot = &progress.snapshot;
        let counts = snapshot.counts;
        // How much each matters: what has the highest number goes first.
        let mut words = Vec::new();
        if let Some(share) = share(snapshot) {
            words.push((0, format!("{:.1}%", share * 100.0)));
        }
        words.push((3, format!("{} ok", grouped(counts.output))));
        let further = [
            (5, counts.filtered, "filtered"),
            (2, counts.dead, "dead"),
            (7, progress.retries, "retried"),
        ];
        for (rank, number, word) in further.into_iter().filter(|(_, number, _)| *number > 0) {
            words.push((rank, format!("{} {word}", grouped(number))));
        }
        if let Some(lines) = self.speed.lines(now, snapshot) {
            words.push((4, format!("{}/s", grouped(lines.round() as u64))));
        }
        if let Some(in_flight) = progress.in_flight {
            words.push((8, format!("{in_flight} in flight")));
        }
        if let Some((lines, why)) = &progress.waiting {
            words.push((6, format!("{} waiting ({})", grouped(*lines as u64), cut(why))));
        }
        if snapshot.low_for >= LATE {
            let (line, seconds) = (snapshot.low + 1, snapshot.low_for.as_secs());
            words.push((9, format!("line {} since {seconds} s", grouped(line))));
        }
        let eta = match (&progress.held_up_by, self.speed.seconds_left(now, snapshot)) {
            (Some(why), _) => format!("eta ? ({})", cut(why)),
            (None, Some(seconds)) => format!("eta {}", clock(seconds)),
            (None, None) => "eta ?".to_owned(),
        };
        words.push((1, eta));
        fitted(words, chars_max)
    }

    fn document(&self, now: Instant, progress: &Progress) -> String {
        let mut document = progress.document(now, &self.speed);
        document["schema"] = json!(1);
        document["event"] = json!("progress");
        document["share"] = json!(share(&progress.snapshot));
        document.to_string()
    }
}

fn print(text: &str) {
    // Nobody is left to be told when stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Shortens a reason: the line has to fit.
fn cut(why: &str) -> String {
    match why.char_indices().nth(WHY_CHARS) {
        Some((at, _)) => format!("{}…", &why[..at]),
        None => why.to_owned(),
    }
}

/// Joins words, without those that matter least if they have no room.
fn fitted(mut words: Vec<(u8, String)>, chars_max: usize) -> String {
    let length = |words: &[(u8, String)]| {
        words.iter().map(|(_, word)| word.chars().count() + 2).sum::<usize>().saturating_sub(2)
    };
    while length(&words) > chars_max
        && let Some(least) =
            (0..words.len()).filter(|at| words[*at].0 > 0).max_by_key(|at| words[*at].0)
    {
        words.remove(least);
    }
    words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

fn tenth(snapshot: &ProgressSnapshot) -> u64 {
    share(snapshot).map_or(0, |share| (share * 10.0) as u64)
}

/// Writes a number with its thousands apart: `1,240,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes seconds as `00:17:40`.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.ceil().min(359_999_999.0) as u64;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// How often lines are printed.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const JSON_EVERY: Duration = Duration::from_secs(5);
/// The first tenth is told when the speed is known.
const FIRST_AFTER: Duration = Duration::from_millis(500);
/// How much of a reason is shown.
const WHY_CHARS: usize = 60;
/// A line that takes this long is named.
const LATE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use seawall_worker::{LineCounts, ProgressSnapshot};

    use super::*;

    fn snapshot() -> ProgressSnapshot {
        let counts = |output| LineCounts { output, dead: 2, filtered: 0 };
        ProgressSnapshot {
            counts: counts(1_001_000),
            has_begun: true,
            begun_with: counts(1_000_000),
            done_bytes: 650,
            session_bytes: 250,
            input_length: 1000,
            ..ProgressSnapshot::default()
        }
    }

    fn begun() -> ProgressSnapshot {
        let snapshot = snapshot();
        ProgressSnapshot { counts: snapshot.begun_with, session_bytes: 0, ..snapshot }
    }

    #[test]
    fn a_line_says_what_there_is_and_fits_into_a_narrow_terminal() {
        let (mut show, began) = (Show::new(Form::None), Instant::now());
        let at = |snapshot| Progress {
            snapshot,
            in_flight: Some(16),
            retries: 3,
            ..Progress::default()
        };
        show.take(began, &at(begun()));
        let now = began + Duration::from_secs(100);
        let line = |columns| show.line(now, &at(snapshot()), columns);
        let whole = "65.0%, 1,001,000 ok, 2 dead, 3 retried, 10/s, 16 in flight, eta 00:02:20";
        assert_eq!(line(usize::MAX), whole);
        assert_eq!(line(whole.len()), whole);
        assert_eq!(line(60), "65.0%, 1,001,000 ok, 2 dead, 3 retried, 10/s, eta 00:02:20");
        assert_eq!(line(41), "65.0%, 1,001,000 ok, 2 dead, eta 00:02:20");
        assert_eq!(line(30), "65.0%, 2 dead, eta 00:02:20");
        assert_eq!(line(8), "65.0%");
        for columns in 5..100 {
            assert!(line(columns).len() <= columns, "{}", line(columns));
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let show = Show::new(Form::None);
        let compressed = ProgressSnapshot {
            counts: LineCounts { output: 3, dead: 2, filtered: 0 },
            low_for: Duration::from_secs(9),
            ..ProgressSnapshot::default()
        };
        let progress = Progress {
            snapshot: compressed,
            retries: 4,
            waiting: Some((3, "status 429".into())),
            held_up_by: Some("the breaker is open".into()),
            in_flight: Some(13),
        };
        let line = show.line(Instant::now(), &progress, usize::MAX);
        let expected = "3 ok, 2 dead, 4 retried, 13 in flight, 3 waiting (status 429), line 1 since 9 s, \
                        eta ? (the breaker is open)";
        assert_eq!(line, expected);
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(12_345_678, "12,345,678");
        assert_eq!(clock(1059.2), "00:17:40");
    }
}
