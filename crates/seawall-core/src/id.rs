//! Small numbers that stand for configured names, so that no hot path hashes a string, and the
//! numbers by which calls and their attempts are told apart.

use std::fmt;
use std::num::NonZeroU64;

/// Stands for one upstream of this process, for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u16);

/// Stands for one route of this process, for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// Stands for one endpoint of an upstream: its place in the upstream's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u16);

impl EndpointId {
    /// Stands for all endpoints of an upstream together.
    pub const ALL: Self = Self(u16::MAX);
}

/// The id of one call: no other call of this process has it, for as long as the process lives.
///
/// It is a number and says nothing of when the call was made: each thread has its own range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub NonZeroU64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One attempt of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// Its number within the call, from 1, hedged attempts included.
    pub number: u32,
    /// Whether it was sent beside another that had not answered yet.
    pub is_hedge: bool,
}
