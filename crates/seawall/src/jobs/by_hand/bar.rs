//! Two lines at the end of a terminal that are drawn again and again.
//!
//! Does not know: what they say. Invariant: no line is wider than the terminal is now, and when that
//! became narrower, what was drawn before goes with all the rows it has taken since.

use std::io::{self, Write};

/// What stands at the end of a terminal.
#[derive(Debug, Default)]
pub(crate) struct Bar {
    /// How wide the lines are that were drawn last.
    drawn: Vec<usize>,
}

impl Bar {
    /// Draws a bar, if it is known how far it is, and a line below.
    pub(crate) fn draw(&mut self, share: Option<f64>, line: &str) {
        let line: String = line.chars().take(columns()).collect();
        let bar = share.map(|share| bar(share, columns().min(BAR_COLUMNS_MAX)));
        let lines: Vec<String> = bar.into_iter().chain([line]).collect();
        let mut text = self.erased();
        text += &lines.join("\n");
        self.drawn = lines.iter().map(|line| line.chars().count()).collect();
        write(&text);
    }

    /// Says something above it, and takes it away until it is drawn again.
    pub(crate) fn say(&mut self, text: &str) {
        let erased = self.erased();
        write(&format!("{erased}{text}\n"));
    }

    /// Takes it away.
    pub(crate) fn clear(&mut self) {
        let erased = self.erased();
        write(&erased);
    }

    /// Returns what takes away what was drawn last.
    fn erased(&mut self) -> String {
        let columns = columns();
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        self.drawn.clear();
        match rows.saturating_sub(1) {
            0 => "\r\x1b[J".to_owned(),
            up => format!("\r\x1b[{up}A\x1b[J"),
        }
    }
}

/// Returns how many characters a line may have; the last column stays empty, since some terminals
/// begin a new row behind it.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns < 2 { USUAL_COLUMNS } else { columns - 1 }
}

fn bar(share: f64, columns: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * columns as f64) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(columns - full))
}

fn write(text: &str) {
    // Nobody is left to be told when stderr is closed.
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// How wide a terminal is that does not say.
const USUAL_COLUMNS: usize = 79;
const BAR_COLUMNS_MAX: usize = 80;
