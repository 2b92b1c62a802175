//! HTTP over connections: the way to an upstream, or to a simulated one behind the same face.
//!
//! Does not know: routes, settings files, metrics. It is the only crate that knows HTTP clients.

mod address;
mod body;
mod classify;
mod connect;
mod endpoint_transport;
mod fault;
mod head;
mod http1;
mod http2;
mod life;
mod message;
mod names;
mod options;
mod pace;
mod paced;
mod pool;
mod replay;
mod resolve;
pub mod server;
mod sim;
mod socket;
mod transport;

pub use address::{BadAddress, is_set_here};
pub use body::Body;
pub use classify::{HttpJudge, is_repeatable, may_resend};
pub use head::{HeadTooLarge, is_stream};
pub use message::{Request, RequestHead, Response, ResponseHead};
pub use names::NamesNews;
pub use options::Options;
pub use replay::Replay;
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use sim::Simulation;
pub use socket::{Socket, Tcp};
pub use transport::Transport;
