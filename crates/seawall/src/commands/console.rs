//! How a command speaks: answers on stdout, talk on stderr, colour where it can be seen.
//!
//! Does not know: what is said. A reader that went away (`| head`) is no error.

use std::io::{self, IsTerminal, Write};

use seawall_settings::SettingsReport;
use serde_json::Value as Json;

use crate::cli::{Color, Global};

/// The output of a command, as the flags ask for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    color: Color,
    /// Whether answers are JSON documents.
    pub(crate) json: bool,
    is_quiet: bool,
}

impl Console {
    pub(crate) fn new(global: &Global) -> Self {
        Self { color: global.color, json: global.json, is_quiet: global.quiet }
    }

    /// Answers.
    pub(crate) fn answer(&self, text: &str) {
        say(&mut io::stdout().lock(), text);
    }

    /// Answers with a table: columns side by side, the last as long as it is.
    pub(crate) fn table<const N: usize>(&self, rows: &[[String; N]]) {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for row in rows {
            let padded = row.iter().zip(widths).map(|(text, width)| format!("{text:<width$}"));
            self.answer(padded.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// Answers with bytes as they are.
    pub(crate) fn answer_bytes(&self, bytes: &[u8]) {
        // Nobody is left to be told when stdout is closed.
        let _ = io::stdout().lock().write_all(bytes);
    }

    /// Answers with a document.
    pub(crate) fn document(&self, document: &Json) {
        self.answer(&format!("{document:#}"));
    }

    /// Says something besides the answer.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_quiet {
            say(&mut io::stderr().lock(), text);
        }
    }

    /// Says that something was not done.
    pub(crate) fn error(&self, what: &str, help: Option<&str>) {
        let mut text = format!("error: {what}");
        if let Some(help) = help {
            text += &format!("\nhelp: {help}");
        }
        say(&mut io::stderr().lock(), &text);
    }

    /// Says what is wrong with settings.
    pub(crate) fn report(&self, report: &SettingsReport) {
        say(&mut io::stderr().lock(), report.human(self.is_stderr_colored()).trim_end());
    }

    /// Returns whether only answers are wanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Returns whether answers are coloured.
    pub(crate) fn is_answer_colored(&self) -> bool {
        self.is_colored(&io::stdout())
    }

    /// Returns whether talk is coloured.
    pub(crate) fn is_stderr_colored(&self) -> bool {
        self.is_colored(&io::stderr())
    }

    fn is_colored(&self, stream: &impl IsTerminal) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_refused =
                    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                stream.is_terminal() && !is_refused
            }
        }
    }
}

fn say(stream: &mut impl Write, text: &str) {
    // Nobody is left to be told when the stream is closed.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(b"\n"));
}
