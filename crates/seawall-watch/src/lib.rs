//! Sees what Seawall does: metrics, logs, status.
//!
//! Does not know: HTTP, settings files, policies. It is told events, and asked for text. It is
//! the only crate that knows Prometheus and tracing's subscribers.

mod count;
mod history;
mod jobs;
mod log;
pub mod names;
mod process;
mod prometheus;
mod queue;
mod recorder;
mod status;

pub use jobs::{JobCells, JobStatus, JobsStatus, LineNumbers, RunEnd, RunStatus};
pub use log::{BadFilter, EventLog, Format, init};
pub use prometheus::CONTENT_TYPE;
pub use queue::Written;
pub use recorder::{Gauges, ROUTES_MAX, Recorder, UPSTREAMS_MAX};
pub use status::{
    About, FateCounts, GatewayStatus, RouteStatus, RuntimeStatus, SettingsStatus, Status,
    UpstreamStatus,
};
