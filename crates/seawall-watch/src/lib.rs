//! Sees what Seawall does: metrics, logs, status.
//!
//! Does not know: HTTP, settings files, policies. It is told events, and asked for text. It is
//! the only crate that knows Prometheus and tracing's subscribers.

mod attention;
mod cells;
mod count;
mod escape;
mod format;
mod gauges;
mod grade;
mod history;
mod jobs;
mod log;
pub mod names;
mod once_per_second;
mod process;
mod prometheus;
mod queue;
mod recorder;
mod requests;
mod status;
mod survey;

pub use format::Format;
pub use gauges::{BreakerGauge, EjectedGauge, EndpointGauges, Gauges, TallyGauge};
pub use grade::{Attention, Grade};
pub use jobs::{JobCells, JobStatus, JobsStatus, LineNumbers, RunEnd, RunStatus};
pub use log::{BadFilter, EventLog, init};
pub use prometheus::CONTENT_TYPE;
pub use queue::FlushGuard;
pub use recorder::{ROUTES_MAX, Recorder, UPSTREAMS_MAX};
pub use requests::{RequestForm, RequestLog, RequestOutput};
pub use status::{
    About, BreakerTimes, EndpointStatus, FateCounts, GatewayStatus, RouteStatus, RuntimeStatus,
    SettingsStatus, Status, UpstreamStatus,
};
