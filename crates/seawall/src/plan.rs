//! What the host is to run.
//!
//! Does not know: what the settings say.

use std::net::SocketAddr;

use seawall_core::Observers;
use seawall_settings::Source;

use crate::upstreams::Connect;

/// Says what to run.
pub struct Plan {
    /// Where the settings come from.
    pub source: Source,
    /// `run` or `demo`.
    pub mode: &'static str,
    /// Stands in for all listeners.
    pub listen: Option<SocketAddr>,
    /// Stands in for `admin.listen`.
    pub admin_listen: Option<SocketAddr>,
    /// Whether warnings refuse, too.
    pub strict: bool,
    /// Whether it takes the ports over from the running server of these settings.
    pub replaces: bool,
    /// How many worker threads; at least one.
    pub workers: usize,
    /// Whether it says on stderr that it stops, where nobody reads logs.
    pub talks: bool,
    /// Who is told of every event besides the log, on the thread where it happened.
    pub observers: Observers,
    /// Makes the way to an upstream.
    pub connect: Box<Connect>,
}
