//! Why the host did not start.

use std::io;

use seawall_settings::SettingsReport;
use thiserror::Error;

use crate::exit::Exit;
use crate::files;
use crate::listen::CannotListen;

/// Says why the host did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings were refused.
    #[error("settings refused")]
    Settings(SettingsReport),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// Ports that somebody else has bound cannot be taken over.
    #[error("cannot take sockets over: {0}")]
    TakeOver(String),
    /// Too few files may be open.
    #[error(transparent)]
    Files(#[from] files::TooFew),
    /// The operating system gave us no thread, no timer or no signals.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The job worker cannot start.
    #[error("{0}")]
    Jobs(String),
}

impl StartError {
    /// Returns the code that the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Settings,
            Self::Listen(_)
            | Self::TakeOver(_)
            | Self::Files(_)
            | Self::System(_)
            | Self::Jobs(_) => Exit::Open,
        }
    }

    /// Returns the whole of it, for people.
    pub fn human(&self, color: bool) -> String {
        match self {
            Self::Settings(report) => report.human(color),
            Self::Listen(cannot) => format!("error: {cannot}\n{}\n", cannot.advice()),
            Self::Files(_) => format!("error: {self}\nhelp: raise it with `ulimit -n 65536`\n"),
            Self::TakeOver(_) | Self::System(_) | Self::Jobs(_) => format!("error: {self}\n"),
        }
    }
}
