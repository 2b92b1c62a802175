//! The way to one endpoint, by whichever protocol.
//!
//! Does not know: the other endpoints of its upstream, names.

use std::sync::Arc;

use crate::address::Address;
use crate::http1::Http1;
use crate::http2::Http2;
use crate::{BadAddress, Options, Simulation};

/// The way to one endpoint.
#[derive(Clone)]
pub(crate) enum EndpointTransport {
    Http1(Arc<Http1>),
    Http2(Arc<Http2>),
    Simulated(Simulation),
}

impl EndpointTransport {
    /// Returns where it leads; nothing for a simulated one.
    pub(crate) fn address(&self) -> Option<&Address> {
        match self {
            Self::Http1(http1) => Some(http1.address()),
            Self::Http2(http2) => Some(http2.address()),
            Self::Simulated(_) => None,
        }
    }

    /// Makes the way to `http://host:port[/base]` or `sim:NAME`; nothing is connected yet.
    pub(crate) fn to(address: &str, options: &Options) -> Result<Self, BadAddress> {
        if let Some(name) = address.strip_prefix("sim:") {
            let simulation = Simulation::named(name)?;
            simulation.set_body_rate_min(options.body_rate_min);
            return Ok(Self::Simulated(simulation));
        }
        Ok(Self::at(Address::parse(address)?, options))
    }

    /// Makes the way to an address; nothing is connected yet.
    pub(crate) fn at(address: Address, options: &Options) -> Self {
        match options.http2 {
            true => Self::Http2(Arc::new(Http2::new(address, options.clone()))),
            false => Self::Http1(Arc::new(Http1::new(address, options.clone()))),
        }
    }
}
