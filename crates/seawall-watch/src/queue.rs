//! The way of log lines to where they are written: a bounded queue and a thread of its own.
//!
//! Does not know what a line says. Invariant: whoever logs never waits for whoever reads; when the
//! queue is full, lines are left out and counted.

use std::io::{self, Stderr, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{error, warn};
use tracing_subscriber::fmt::MakeWriter;

use crate::format::Format;
use crate::once_per_second::OncePerSecond;

/// Takes lines.
#[derive(Clone)]
pub(crate) struct Queue {
    /// Ends the thread when the last clone is dropped.
    lines: SyncSender<Line>,
    left_out: Arc<AtomicU64>,
}

enum Line {
    Text(Vec<u8>),
    /// Asks to write to a new file of the same name from here on.
    Reopen,
    /// Asks to be told when everything before it is written.
    Mark(SyncSender<()>),
}

/// A guard that waits, when dropped, until the lines so far are written, but not for long.
#[must_use = "dropping it waits for the lines so far, and later ones may be lost"]
pub struct FlushGuard(pub(crate) Queue);

/// Where lines are written in the end.
pub(crate) trait Output: Write + Send + 'static {
    /// Writes to a new file of the same name from here on, if it is a file.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Stderr {}
impl Output for Stdout {}

/// Says where it is told that lines were left out or could not be written.
#[derive(Clone, Copy)]
pub(crate) enum Notice {
    /// Among the lines, in their form: this is the log itself.
    Here(Format),
    /// In the log: these lines have a form that others read.
    InTheLog,
}

impl Queue {
    pub(crate) fn start(to: impl Output, lines_max: usize, notice: Notice) -> io::Result<Self> {
        let (lines, queued) = sync_channel(lines_max);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = left_out.clone();
        thread::Builder::new()
            .name("seawall-log".to_owned())
            .spawn(move || write_all(&queued, to, &counted, notice))?;
        Ok(Self { lines, left_out })
    }

    /// Takes a line, or counts it as left out if there is no room.
    pub(crate) fn put(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Line::Text(line)) {
            self.left_out.fetch_add(1, Relaxed);
        }
    }

    /// Writes later lines to a new file of the same name; returns whether it could be asked for.
    pub(crate) fn reopen(&self) -> bool {
        self.lines.try_send(Line::Reopen).is_ok()
    }
}

fn write_all(queued: &Receiver<Line>, mut to: impl Output, left_out: &AtomicU64, notice: Notice) {
    let troubles = OncePerSecond::new(1);
    // A reader that is gone may come back (a new tail of a pipe), so errors do not end it.
    while let Ok(line) = queued.recv() {
        let done = match line {
            Line::Text(text) => to.write_all(&text),
            Line::Reopen => to.reopen(),
            Line::Mark(reached) => {
                let _who_asked_may_be_gone = reached.try_send(());
                Ok(())
            }
        };
        let lost = left_out.swap(0, Relaxed);
        let what = format_args!("{lost} log lines left out");
        match notice {
            Notice::Here(_) if lost == 0 => {}
            Notice::Here(Format::Text) => drop(writeln!(to, "{what}")),
            Notice::Here(Format::Json) => {
                drop(writeln!(to, "{{\"level\":\"warn\",\"message\":\"{what}\"}}"));
            }
            Notice::InTheLog => tell(lost, done, &troubles),
        }
    }
}

fn tell(lost: u64, done: io::Result<()>, troubles: &OncePerSecond) {
    if lost > 0 {
        warn!(event = "requests.left_out", lost, "requests are missing in their log");
    }
    if let Err(error) = done {
        troubles.say(|left_out| {
            error!(event = "requests.not_written", left_out, "could not log a request: {error}");
        });
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for FlushGuard {
    fn drop(&mut self) {
        let (reached, mark) = sync_channel(1);
        let mut ask = Line::Mark(reached);
        // Who has not read after this many steps has chosen not to.
        for _ in 0..PATIENCE_STEPS {
            match self.0.lines.try_send(ask) {
                Ok(()) => {
                    let _ = mark.recv_timeout(PATIENCE_STEP * PATIENCE_STEPS);
                    return;
                }
                // A full queue has no room even for the question.
                Err(TrySendError::Full(back)) => ask = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::park_timeout(PATIENCE_STEP);
        }
    }
}

const PATIENCE_STEP: Duration = Duration::from_millis(5);
const PATIENCE_STEPS: u32 = 200;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes one line for each word it is given, as a reader that is slow.
    struct Slow(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().expect("no test panics in it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Slow {}

    const LINES_MAX: usize = 1024;

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_not_time() {
        let (go_on, waits) = sync_channel(0);
        let text = Arc::new(Mutex::new(Vec::new()));
        let mut queue =
            Queue::start(Slow(waits, text.clone()), LINES_MAX, Notice::Here(Format::Text))
                .expect("there is a thread");
        for _ in 0..LINES_MAX + 100 {
            queue.write_all(b"line\n").expect("it never fails");
        }
        let left_out = queue.left_out.load(Relaxed);
        // The thread may hold one line in its hand.
        assert!((99..=100).contains(&left_out), "{left_out}");
        drop(go_on);
        drop(FlushGuard(queue));
        let text = text.lock().expect("no test panics in it");
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains(&format!("{left_out} log lines left out")), "{text}");
    }
}
