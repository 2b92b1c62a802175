//! The demo: simulated upstreams with a script, traffic of its own, and nothing that leaves the
//! machine.

mod scenario;
mod traffic;

pub(crate) use scenario::Script;
pub(crate) use traffic::{PER_SECOND, Traffic};

use crate::settings::Source;

/// Returns the demo's settings.
pub(crate) fn source() -> Source {
    Source::Text { name: "demo.toml (built in)".into(), text: SETTINGS.into() }
}

const SETTINGS: &str = include_str!("../../scenarios/demo.toml");

/// Returns what the demo's settings mean, until settings are read.
pub(crate) fn meant() -> crate::settings::Meant {
    use crate::settings::{AdminMeant, Meant, RouteMeant, ServerMeant, UpstreamMeant};
    use std::time::Duration;
    let mut params = seawall_policy::Params::standard();
    params.timeout.total = Duration::from_secs(2);
    params.timeout.attempt = Duration::from_millis(600);
    Meant {
        version: 1,
        server: ServerMeant {
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 8080)),
            drain: Duration::from_secs(10),
            gateway: seawall_gateway::Server::default(),
        },
        admin: AdminMeant {
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 9090)),
            token: None,
        },
        policies: Vec::new(),
        upstreams: vec![UpstreamMeant {
            name: "weather-api".into(),
            address: "sim:demo".into(),
            options: seawall_upstream::Options::default(),
            policy: "patient".into(),
            params,
        }],
        routes: vec![RouteMeant {
            name: "GET /api/weather/{city}".into(),
            method: Some(http::Method::GET),
            host: None,
            path: "/api/weather/{city}".into(),
            upstream: 0,
            upstream_path: Some("/{city}".into()),
            body_bytes_max: None,
        }],
    }
}
