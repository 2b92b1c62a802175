//! What went wrong: where, whose, why, and whether the upstream can have seen the request.

use std::error::Error;
use std::fmt;

/// Says at which step of a call something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Reading the job from its source (the client's request, a line).
    Source,
    /// Finding the upstream's address.
    Resolve,
    /// Opening a connection to the upstream.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for or reading the head of the answer.
    Head,
    /// Reading the body of the answer.
    Body,
    /// Handing the outcome to its sink.
    Sink,
}

/// Says whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller sent something bad or went away.
    Client,
    /// Seawall itself, or the machine it runs on.
    Us,
    /// The upstream, or the way to it.
    Upstream,
}

/// Says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The connection was refused.
    Refused,
    /// The address could not be found or reached.
    Unreachable,
    /// The connection was reset or closed before an answer.
    Reset,
    /// A body ended before its announced end.
    Truncated,
    /// Time ran out.
    TimedOut,
    /// The bytes were not what the protocol allows.
    Malformed,
    /// A size limit was passed.
    TooLarge,
    /// Bytes came more slowly than the floor.
    TooSlow,
    /// A limit on open things (files, memory, connections) was reached.
    Exhausted,
    /// The work was given up on purpose.
    Cancelled,
    /// Our code panicked.
    Panicked,
    /// Any other error of the operating system.
    Io,
}

/// Says whether the upstream can have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Provably not: any request may be tried again.
    Unsent,
    /// Perhaps: only an idempotent request may be tried again.
    Maybe,
    /// Perhaps, but most likely not: the connection had carried other requests, and ended before a
    /// byte of this one's answer. It says nothing about the upstream: whoever forgets idle
    /// connections (a restarted server, a NAT, a balancer) ends them so.
    Stale,
}

/// Describes a failure: where, whose, why, and the detail for a log.
#[derive(Debug)]
pub struct Fault {
    /// The step at which it happened.
    pub step: Step,
    /// Whose fault it was.
    pub side: Side,
    /// Why.
    pub cause: Cause,
    /// Whether the upstream can have seen the request.
    pub sent: Sent,
    /// The error underneath, if there is one.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Step {
    /// Returns the word for this step.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Head => "head",
            Self::Body => "body",
            Self::Sink => "sink",
        }
    }
}

impl Side {
    /// Returns the word for this side.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Us => "us",
            Self::Upstream => "upstream",
        }
    }
}

impl Cause {
    /// Lists every cause; each stands at its own number.
    pub const ALL: [Self; 12] = [
        Self::Refused,
        Self::Unreachable,
        Self::Reset,
        Self::Truncated,
        Self::TimedOut,
        Self::Malformed,
        Self::TooLarge,
        Self::TooSlow,
        Self::Exhausted,
        Self::Cancelled,
        Self::Panicked,
        Self::Io,
    ];

    /// Returns the word for this cause.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::TimedOut => "timed_out",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
            Self::Io => "io",
        }
    }
}

impl Fault {
    /// Describes a fault of the upstream that may have seen the request.
    pub const fn upstream(step: Step, cause: Cause) -> Self {
        Self { step, side: Side::Upstream, cause, sent: Sent::Maybe, source: None }
    }

    /// Describes a fault of ours, before anything was sent.
    pub const fn ours(step: Step, cause: Cause) -> Self {
        Self { step, side: Side::Us, cause, sent: Sent::Unsent, source: None }
    }

    /// Describes a fault of the client.
    pub const fn client(step: Step, cause: Cause) -> Self {
        Self { step, side: Side::Client, cause, sent: Sent::Maybe, source: None }
    }

    /// Says that the upstream provably has not seen the request.
    #[must_use]
    pub const fn unsent(mut self) -> Self {
        self.sent = Sent::Unsent;
        self
    }

    /// Returns whether the client left before it had sent all that it announced.
    pub fn is_client_gone(&self) -> bool {
        self.side == Side::Client && self.cause == Cause::Truncated
    }

    /// Returns whether the head of an answer was over a limit of the settings.
    pub fn is_head_too_large(&self) -> bool {
        self.step == Step::Head && self.cause == Cause::TooLarge
    }

    /// Returns whether the upstream said itself that it has not looked at the request, which was on
    /// its way already.
    pub fn is_not_looked_at(&self) -> bool {
        self.sent == Sent::Unsent && self.side == Side::Upstream && self.step == Step::Head
    }

    /// Says that it met a connection that had been forgotten.
    #[must_use]
    pub const fn stale(mut self) -> Self {
        self.sent = Sent::Stale;
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} at {})", self.cause.as_str(), self.side.as_str(), self.step.as_str())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
