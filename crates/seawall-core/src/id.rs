//! Small numbers that stand for configured names, so that no hot path hashes a string.

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
