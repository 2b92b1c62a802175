//! The flags of what a person tells a running server: `reload`, `breaker`, `chaos`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use seawall_settings::{read_duration, read_listen, read_percent};

/// The flags of `reload`.
#[derive(Clone, Debug, Args)]
pub struct Reload {
    /// Takes the settings even if they leave less than half of the routes or jobs, or none
    #[arg(long)]
    pub force: bool,
    /// The admin address of the running server [default: `admin.listen` of the settings]
    #[arg(long, value_name = "ADDRESS", value_parser = read_listen)]
    pub admin: Option<SocketAddr>,
}

/// What `breaker` can do.
#[derive(Clone, Debug, Args)]
pub struct BreakerFlags {
    /// What to do.
    #[command(subcommand)]
    pub action: BreakerCommand,
    /// The admin address of the running server [default: `admin.listen` of the settings]
    #[arg(long, global = true, value_name = "ADDRESS", value_parser = read_listen)]
    pub admin: Option<SocketAddr>,
}

/// What `breaker` does.
#[derive(Clone, Debug, Subcommand)]
pub enum BreakerCommand {
    /// List the upstreams that were called, and what their breakers do
    Ls,
    /// Refuse every call to an upstream
    Open {
        /// The upstream
        upstream: String,
        /// For how long, at most 24h
        #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = read_duration)]
        for_long: Duration,
    },
    /// Refuse no call to an upstream, whatever fails
    Close {
        /// The upstream
        upstream: String,
        /// For how long, at most 24h
        #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = read_duration)]
        for_long: Duration,
    },
    /// Let the breaker decide by itself again
    Release {
        /// The upstream
        upstream: String,
    },
}

/// The flags of `chaos`.
#[derive(Clone, Debug, Args)]
pub struct ChaosFlags {
    /// The upstream
    pub upstream: String,
    /// Begins attempts so much later
    #[arg(long, value_name = "TIME", value_parser = read_duration)]
    pub latency: Option<Duration>,
    /// The share of attempts that begin later [default: all that nothing else happens to]
    #[arg(long, value_name = "SHARE", value_parser = read_percent, requires = "latency")]
    pub latency_share: Option<f64>,
    /// The share of attempts that are answered with an error
    #[arg(long, value_name = "SHARE", value_parser = read_percent, default_value = "0%")]
    pub fail: f64,
    /// The share of attempts that are never answered
    #[arg(long, value_name = "SHARE", value_parser = read_percent, default_value = "0%")]
    pub hang: f64,
    /// The share of attempts whose connection is reset
    #[arg(long, value_name = "SHARE", value_parser = read_percent, default_value = "0%")]
    pub reset: f64,
    /// Only calls of this caller: its address, or its value of the header in `policy.rate.key`
    #[arg(long, value_name = "CALLER")]
    pub key: Option<String>,
    /// For how long, at most 24h
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = read_duration)]
    pub for_long: Duration,
    /// Ends what was begun before
    #[arg(long, conflicts_with_all = ["latency", "fail", "hang", "reset", "key", "for_long"])]
    pub clear: bool,
    /// The admin address of the running server [default: `admin.listen` of the settings]
    #[arg(long, value_name = "ADDRESS", value_parser = read_listen)]
    pub admin: Option<SocketAddr>,
}
