//! How far a run is, for people: a bar on a terminal, else a line now and then.
//!
//! Does not know: the run; it is given snapshots. All of it goes to stderr. Speed and time left are
//! those of the last half minute of this session, so that a run that was resumed does not boast
//! with what others have done.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seawall_worker::ProgressSnapshot;
use serde_json::json;

use crate::cli::ProgressForm;

/// Says how progress is shown.
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
    bar: Option<ProgressBar>,
    samples: VecDeque<Sample>,
    told: Option<(Instant, u64)>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    bytes: u64,
    lines: u64,
}

/// Is what is shown besides the snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    /// Attempts that were not the first of their line.
    pub(crate) retries: u64,
    /// How many lines wait until they can be sent, and why.
    pub(crate) waiting: Option<(usize, String)>,
    /// Why nothing is sent at the moment.
    pub(crate) held_up_by: Option<String>,
}

impl Show {
    pub(crate) fn new(form: Form) -> Self {
        let bar = (form == Form::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{wide_bar} {percent:>3}%\n{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { form, bar, samples: VecDeque::new(), told: None }
    }

    /// Takes a snapshot, and shows it if it is time to.
    pub(crate) fn take(&mut self, now: Instant, snapshot: &ProgressSnapshot, beside: &Beside) {
        let lines = snapshot.counts.lines();
        if self.samples.back().is_none_or(|last| now - last.at >= SAMPLE_EVERY) {
            self.samples.push_back(Sample { at: now, bytes: snapshot.low_bytes, lines });
        }
        while self.samples.len() > 2 && now - self.samples[1].at >= SPEED_OVER {
            self.samples.pop_front();
        }
        if let Some(bar) = &self.bar {
            bar.set_length(snapshot.input_length);
            bar.set_position(snapshot.low_bytes.min(snapshot.input_length));
            bar.set_message(self.line(now, snapshot, beside));
            return;
        }
        let every = if self.form == Form::Json { JSON_EVERY } else { PLAIN_EVERY };
        let tenth = tenth(snapshot);
        let is_due = match self.told {
            None => self.samples.front().is_some_and(|first| now - first.at >= every),
            Some((at, before)) => now - at >= every || tenth > before,
        };
        let is_first_tenth = self.told.is_none() && tenth > 0 && self.samples.len() > 1;
        if is_due || is_first_tenth {
            self.told = Some((now, tenth));
            self.say(now, snapshot, beside);
        }
    }

    /// Shows a snapshot now, whatever the time is.
    pub(crate) fn say(&self, now: Instant, snapshot: &ProgressSnapshot, beside: &Beside) {
        match self.form {
            Form::None => {}
            Form::Json => print(&self.document(now, snapshot, beside)),
            Form::Bar | Form::Plain => self.print(&self.line(now, snapshot, beside)),
        }
    }

    /// Says something above the bar.
    pub(crate) fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(text)),
            None => print(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Returns bytes and lines a second.
    fn speed(&self, now: Instant, snapshot: &ProgressSnapshot) -> Option<(f64, f64)> {
        let first = self.samples.front()?;
        let seconds = (now - first.at).as_secs_f64();
        let since = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        (seconds >= 0.5).then(|| {
            let lines = since(snapshot.counts.lines(), first.lines);
            (since(snapshot.low_bytes, first.bytes), lines)
        })
    }

    fn seconds_left(&self, now: Instant, snapshot: &ProgressSnapshot) -> Option<f64> {
        let (bytes, _) = self.speed(now, snapshot)?;
        let left = snapshot.input_length.checked_sub(snapshot.low_bytes)?;
        (snapshot.input_length > 0 && bytes > 0.0).then(|| left as f64 / bytes)
    }

    fn line(&self, now: Instant, snapshot: &ProgressSnapshot, beside: &Beside) -> String {
        let counts = snapshot.counts;
        let mut words = Vec::new();
        if let Some(share) = share(snapshot) {
            words.push(format!("{:.1}%", share * 100.0));
        }
        words.push(format!("{} ok", grouped(counts.output)));
        let further =
            [(counts.filtered, "filtered"), (counts.dead, "dead"), (beside.retries, "retried")];
        for (number, word) in further.into_iter().filter(|(number, _)| *number > 0) {
            words.push(format!("{} {word}", grouped(number)));
        }
        if let Some((_, lines)) = self.speed(now, snapshot) {
            words.push(format!("{}/s", grouped(lines.round() as u64)));
        }
        let waiting = beside.waiting.as_ref().map_or(0, |(lines, _)| *lines as u64);
        words.push(format!("{} in flight", snapshot.in_flight.saturating_sub(waiting)));
        if let Some((lines, why)) = &beside.waiting {
            words.push(format!("{} waiting ({})", grouped(*lines as u64), cut(why)));
        }
        if snapshot.low_for >= LATE {
            let (line, seconds) = (snapshot.low + 1, snapshot.low_for.as_secs());
            words.push(format!("line {} since {seconds} s", grouped(line)));
        }
        words.push(match (&beside.held_up_by, self.seconds_left(now, snapshot)) {
            (Some(why), _) => format!("eta ? ({})", cut(why)),
            (None, Some(seconds)) => format!("eta {}", clock(seconds)),
            (None, None) => "eta ?".to_owned(),
        });
        words.join(", ")
    }

    fn document(&self, now: Instant, snapshot: &ProgressSnapshot, beside: &Beside) -> String {
        let counts = snapshot.counts;
        json!({
            "schema": 1,
            "event": "progress",
            "share": share(snapshot),
            "ok": counts.output,
            "dead": counts.dead,
            "filtered": counts.filtered,
            "retries": beside.retries,
            "lines_per_second": self.speed(now, snapshot).map(|(_, lines)| lines),
            "in_flight": snapshot.in_flight
                - beside.waiting.as_ref().map_or(0, |one| one.0 as u64).min(snapshot.in_flight),
            "waiting": beside.waiting.as_ref().map_or(0, |(lines, _)| *lines),
            "waiting_for": beside.waiting.as_ref().map(|(_, why)| why),
            "first_unfinished": snapshot.low,
            "first_unfinished_ms": snapshot.low_for.as_millis() as u64,
            "eta_s": self.seconds_left(now, snapshot),
            "held_up_by": beside.held_up_by,
        })
        .to_string()
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

fn share(snapshot: &ProgressSnapshot) -> Option<f64> {
    let length = snapshot.input_length;
    (length > 0).then(|| snapshot.low_bytes.min(length) as f64 / length as f64)
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

/// How often speed is sampled, and over how long it is taken.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
const SPEED_OVER: Duration = Duration::from_secs(30);
/// How often lines are printed.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const JSON_EVERY: Duration = Duration::from_secs(5);
/// How much of a reason is shown.
const WHY_CHARS: usize = 60;
/// A line that takes this long is named.
const LATE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use seawall_worker::Counts;

    use super::*;

    fn snapshot(bytes: u64, output: u64) -> ProgressSnapshot {
        ProgressSnapshot {
            counts: Counts { output, dead: 2, filtered: 0 },
            low_bytes: bytes,
            input_length: 1000,
            in_flight: 16,
            ..ProgressSnapshot::default()
        }
    }

    #[test]
    fn speed_and_time_left_are_those_of_the_last_half_minute_of_this_session() {
        let (mut show, began) = (Show::new(Form::None), Instant::now());
        let beside = Beside::default();
        // Resumed at 400 bytes: what was done before counts for nothing.
        for second in 0..=100_u64 {
            let bytes = 400 + second.min(50) + (second.saturating_sub(50)) * 4;
            let now = began + Duration::from_secs(second);
            show.take(now, &snapshot(bytes, 1_000_000 + second * 10), &beside);
            assert!(show.samples.len() <= 62, "{}", show.samples.len());
        }
        let (now, last) = (began + Duration::from_secs(100), snapshot(650, 1_001_000));
        assert_eq!(show.speed(now, &last), Some((4.0, 10.0)));
        let line = show.line(now, &last, &beside);
        assert_eq!(line, "65.0%, 1,001,000 ok, 2 dead, 10/s, 16 in flight, eta 00:01:28");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let show = Show::new(Form::None);
        let mut compressed = snapshot(50, 3);
        (compressed.input_length, compressed.low_for) = (0, Duration::from_secs(9));
        let beside = Beside {
            retries: 4,
            waiting: Some((3, "status 429".into())),
            held_up_by: Some("the breaker is open".into()),
        };
        let line = show.line(Instant::now(), &compressed, &beside);
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
