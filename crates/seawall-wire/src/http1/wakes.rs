//! When a server has to look after a connection again, though nothing has come over it.
//!
//! Does not know timers or sockets: it is told what has happened and when, and says what is due next.
//! The list of what can be due is closed. A body's clocks are not here: they are whose body it is.

use std::time::{Duration, Instant};

/// What is due on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The client should have sent its first byte.
    FirstByte,
    /// A head that has begun should be whole.
    Head,
    /// The client should have sent its next request.
    Idle,
    /// The client has been quiet for long enough: a server that stops can end the connection.
    Drain,
    /// The client should have taken some of what is written.
    WriteStall,
}

/// The time that each takes.
#[derive(Clone, Copy, Debug)]
pub struct WakeTimes {
    /// From the connection to its first byte.
    pub first_byte: Duration,
    /// From a head's first byte to its last.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// How long a client is quiet before a server that stops ends its connection.
    pub drain: Duration,
    /// How long a client may take nothing of an answer.
    pub write_stall: Duration,
}

/// Knows what is due on one connection.
///
/// ```
/// use std::time::{Duration, Instant};
/// use seawall_wire::http1::{WakeTimes, Wake, Wakes};
///
/// let second = Duration::from_secs(1);
/// let times = WakeTimes {
///     first_byte: 5 * second,
///     head: 10 * second,
///     idle: 60 * second,
///     drain: second,
///     write_stall: 30 * second,
/// };
/// let now = Instant::now();
/// let mut wakes = Wakes::opened(times, now);
/// assert_eq!(wakes.due(false), Some((now + 5 * second, Wake::FirstByte)));
/// wakes.begin_head(now + second);
/// assert_eq!(wakes.due(false), Some((now + 11 * second, Wake::Head)));
/// wakes.answer();
/// assert_eq!(wakes.due(false), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Wakes {
    times: WakeTimes,
    waits: Waits,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Waits {
    FirstByte {
        since: Instant,
    },
    NextRequest {
        since: Instant,
    },
    Head {
        since: Instant,
    },
    /// For the service, or for a body.
    Others,
    /// For the client, who had taken so many bytes.
    Taken {
        since: Instant,
        bytes: u64,
    },
}

impl Wakes {
    /// Begins with a connection that has just been opened.
    pub const fn opened(times: WakeTimes, now: Instant) -> Self {
        Self { times, waits: Waits::FirstByte { since: now } }
    }

    /// Begins with a connection that waits for a request.
    pub const fn between_requests(times: WakeTimes, now: Instant) -> Self {
        Self { times, waits: Waits::NextRequest { since: now } }
    }

    /// Begins with a connection whose request is being answered.
    pub const fn answering(times: WakeTimes) -> Self {
        Self { times, waits: Waits::Others }
    }

    /// Takes note that a part of a head is here.
    pub const fn begin_head(&mut self, now: Instant) {
        if !matches!(self.waits, Waits::Head { .. }) {
            self.waits = Waits::Head { since: now };
        }
    }

    /// Takes note that others are waited for than the client.
    pub const fn answer(&mut self) {
        self.waits = Waits::Others;
    }

    /// Takes note that the client has taken so many bytes of the answer, and that there are more: the
    /// clock begins anew with every byte that it takes.
    pub const fn write(&mut self, bytes: u64, now: Instant) {
        match self.waits {
            Waits::Taken { bytes: before, .. } if before == bytes => {}
            _ => self.waits = Waits::Taken { since: now, bytes },
        }
    }

    /// Returns what is due next, and when; `is_stopping` is whether the server ends what is idle.
    pub fn due(&self, is_stopping: bool) -> Option<(Instant, Wake)> {
        let times = &self.times;
        let (since, after, wake) = match self.waits {
            Waits::Others => return None,
            Waits::FirstByte { since } | Waits::NextRequest { since } if is_stopping => {
                (since, times.drain, Wake::Drain)
            }
            Waits::FirstByte { since } => (since, times.first_byte, Wake::FirstByte),
            Waits::NextRequest { since } => (since, times.idle, Wake::Idle),
            Waits::Head { since } => (since, times.head, Wake::Head),
            Waits::Taken { since, .. } => (since, times.write_stall, Wake::WriteStall),
        };
        // Later than a clock can say is never.
        Some((since.checked_add(after)?, wake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const TIMES: WakeTimes =
        WakeTimes { first_byte: s(5), head: s(10), idle: s(60), drain: s(1), write_stall: s(30) };

    #[test]
    fn a_head_has_its_time_from_its_first_byte_however_often_more_of_it_comes() {
        let now = Instant::now();
        let mut wakes = Wakes::between_requests(TIMES, now);
        assert_eq!(wakes.due(false), Some((now + s(60), Wake::Idle)));
        for after in [3, 5, 12] {
            wakes.begin_head(now + s(after));
            assert_eq!(wakes.due(false), Some((now + s(13), Wake::Head)));
        }
    }

    #[test]
    fn a_server_that_stops_ends_what_is_quiet_and_nothing_else() {
        let now = Instant::now();
        let drain = Some((now + s(1), Wake::Drain));
        assert_eq!(Wakes::opened(TIMES, now).due(true), drain);
        let mut wakes = Wakes::between_requests(TIMES, now);
        assert_eq!(wakes.due(true), drain);
        wakes.begin_head(now);
        assert_eq!(wakes.due(true), Some((now + s(10), Wake::Head)));
        wakes.answer();
        assert_eq!(wakes.due(true), None);
        wakes.write(1, now);
        assert_eq!(wakes.due(true), Some((now + s(30), Wake::WriteStall)));
    }

    #[test]
    fn the_clock_of_an_unread_answer_begins_anew_with_every_byte_that_is_taken() {
        let now = Instant::now();
        let mut wakes = Wakes::answering(TIMES);
        for (bytes, after, due) in [(0, 0, 30), (0, 20, 30), (1, 29, 59), (1, 58, 59)] {
            wakes.write(bytes, now + s(after));
            assert_eq!(wakes.due(false), Some((now + s(due), Wake::WriteStall)));
        }
        // All is written, and then there is more: it is not the old wait.
        wakes.answer();
        wakes.write(1, now + s(70));
        assert_eq!(wakes.due(false), Some((now + s(100), Wake::WriteStall)));
    }

    #[test]
    fn what_is_due_after_the_end_of_all_clocks_is_never_due() {
        let times = WakeTimes { idle: Duration::MAX, ..TIMES };
        assert_eq!(Wakes::between_requests(times, Instant::now()).due(false), None);
    }
}
