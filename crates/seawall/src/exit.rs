//! The one table of exit codes: every command of the binary ends with one of these.
//!
//! Does not know: what the commands do. Codes are a promise to scripts and never change meaning.

use std::process::ExitCode;

/// How a command ended, as a script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Done, and the answer is no: `check` found errors, `routes test` found no route, a drain
    /// had to cut connections.
    No,
    /// The command line was wrong.
    Usage,
    /// The settings were refused.
    Settings,
    /// An address could not be listened on, or a file not opened.
    Open,
    /// No running server answered.
    NoServer,
    /// A job stopped and can be resumed.
    Stopped,
    /// Seawall has a bug.
    Bug,
    /// A signal ended it at once.
    Signal(u8),
}

impl Exit {
    /// Returns the number that the operating system is given.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Settings => 3,
            Self::Open => 4,
            Self::NoServer => 5,
            Self::Stopped => 6,
            Self::Bug => 70,
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table as `seawall --help` prints it.
pub const HELP: &str = "\
Exit codes:
  0   done
  1   done, and the answer is no (check, routes test, a drain that had to cut connections)
  2   wrong usage
  3   settings refused
  4   cannot listen or open
  5   no running server to talk to
  6   job stopped, can be resumed
  70  a bug of Seawall
  128+n  ended by signal n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code() {
        let all = [
            Exit::Done,
            Exit::No,
            Exit::Usage,
            Exit::Settings,
            Exit::Open,
            Exit::NoServer,
            Exit::Stopped,
            Exit::Bug,
        ];
        for exit in all {
            let line = format!("\n  {} ", exit.code());
            assert!(HELP.contains(&line), "{exit:?} is not in the help");
        }
        assert_eq!(Exit::Signal(15).code(), 143);
    }
}
