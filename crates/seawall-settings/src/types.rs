//! The settings as they are meant: every value here is legal and every reference resolved.
//!
//! Does not know: TOML, files, where a value came from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use seawall_call::Policy;
use seawall_core::{RouteId, Secret, Silent, UpstreamId};
use seawall_gateway::{Fallback, KeySource, Prepared, PrioritySource, Route, Target, UpstreamHost};
use seawall_http::{BadAddress, Options, Upstream};
use seawall_policy::Params;
use seawall_watch::RequestForm;

use super::JobSettings;

/// Everything that one settings file means.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The version of the file's form.
    pub version: u32,
    /// The port for clients.
    pub server: ServerSettings,
    /// The port for status and metrics.
    pub admin: AdminSettings,
    /// The log of requests.
    pub log: LogSettings,
    /// The job worker.
    pub worker: WorkerSettings,
    /// The policies by name, `standard` first.
    pub policies: Vec<PolicySettings>,
    /// The upstreams, in the order of the file.
    pub upstreams: Vec<UpstreamSettings>,
    /// The routes, in the order of the file.
    pub routes: Vec<RouteSettings>,
    /// The jobs, in the order of the file.
    pub jobs: Vec<JobSettings>,
}

/// The settings of the port for clients.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How long a stop waits for what is in flight.
    pub drain: Duration,
    /// How long it is not ready, and takes requests all the same, before it stops.
    pub lame_duck: Duration,
    /// What holds for every connection and request.
    pub gateway: seawall_gateway::Server,
}

/// The settings of the port for status and metrics.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where it listens; loopback unless there is a token.
    pub listen: SocketAddr,
    /// What a caller must show.
    pub token: Option<Secret>,
    /// Whether faults may be injected.
    pub chaos: bool,
}

/// The settings of the log of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where it is written.
    pub to: LogTo,
    /// The form of its lines there; the program's log has its own.
    pub form: RequestForm,
}

/// Where the log of requests is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// To the program's log.
    Log,
    /// To the standard output.
    Stdout,
    /// To a file.
    File(PathBuf),
}

/// The settings of the job worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The file that jobs are kept in.
    pub store: PathBuf,
    /// The database that they are kept in instead.
    pub postgres: Option<Secret>,
    /// What others see as the holder of jobs; `None` for the host's name and the process's number.
    pub name: Option<String>,
    /// How many run at once.
    pub concurrency: u32,
    /// How long after this process died another one takes its jobs.
    pub lease: Duration,
    /// How long runs are listed that are done.
    pub keep_done: Duration,
    /// How long those that failed.
    pub keep_failed: Duration,
    /// How long those that were cancelled.
    pub keep_cancelled: Duration,
    /// How long a payload may be that is put in.
    pub payload_bytes_max: usize,
}

/// One policy.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// Its name.
    pub name: Arc<str>,
    /// Its numbers.
    pub params: Params,
}

/// One upstream; whoever runs it makes the instance and keeps it across reloads.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Where its endpoints are, at least one: `http://host:port[/base]` or `sim:NAME`.
    pub addresses: Vec<Arc<str>>,
    /// The way there.
    pub options: Options,
    /// The name of its policy.
    pub policy: Arc<str>,
    /// The numbers of its policy.
    pub params: Params,
}

/// One route.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The route as written, with its host if it has one: `GET /api/weather/{city}`.
    pub name: Arc<str>,
    /// The method it serves; `None` for any.
    pub method: Option<Method>,
    /// The host it serves, in lower case without port; `None` for any.
    pub host: Option<Arc<str>>,
    /// The path it serves.
    pub path: Arc<str>,
    /// The place of its upstream in [`Settings::upstreams`].
    pub upstream: usize,
    /// The path and query it asks the upstream for; `None` for the request's own.
    pub upstream_path: Option<Arc<str>>,
    /// The bytes of a body on this route; `None` for the server's limit.
    pub body_bytes_max: Option<u64>,
    /// Whether its bodies are streams.
    pub is_stream: bool,
    /// The name and numbers of its own policy; `None` for that of its upstream.
    pub policy: Option<PolicySettings>,
    /// How much its requests matter.
    pub priority: PrioritySource,
    /// What tells its callers apart.
    pub key: KeySource,
    /// What it answers when its call has failed.
    pub fallback: Option<FallbackSettings>,
    /// The host that its upstream is told.
    pub upstream_host: UpstreamHost,
    /// Whether redirects to its upstream are rewritten.
    pub rewrites_redirects: bool,
}

/// What a route answers when its call has failed.
#[derive(Clone, Debug)]
pub enum FallbackSettings {
    /// Something prepared.
    Prepared(Prepared),
    /// What another upstream says: its place in [`Settings::upstreams`].
    Upstream(usize),
}

impl UpstreamSettings {
    /// Returns its addresses.
    pub fn all(&self) -> Vec<&str> {
        self.addresses.iter().map(|address| &**address).collect()
    }

    /// Makes the way there; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// Fails if an address means nothing; settings that were taken have none such.
    pub fn way(&self) -> Result<Upstream, BadAddress> {
        Upstream::several(&self.all(), self.options.clone())
    }

    /// Returns its addresses in a line.
    pub fn shown(&self) -> String {
        self.all().join(", ")
    }
}

impl RouteSettings {
    /// Returns the name and the numbers of the policy in force on it.
    pub fn policy<'a>(&'a self, upstream: &'a UpstreamSettings) -> (&'a str, &'a Params) {
        match &self.policy {
            Some(own) => (&own.name, &own.params),
            None => (&upstream.policy, &upstream.params),
        }
    }
}

impl Settings {
    /// Returns the gateway's settings.
    ///
    /// `targets` holds one target for each of [`Settings::upstreams`], in their order; `id` gives a
    /// route its number, the same number for the same name for as long as the process lives.
    pub fn gateway(
        &self,
        targets: &[Arc<Target>],
        mut id: impl FnMut(&RouteSettings) -> RouteId,
    ) -> seawall_gateway::Settings {
        let routes = self.routes.iter().filter_map(|route| {
            let target = targets.get(route.upstream)?.clone();
            let policy = match &route.policy {
                // The settings have been checked; what remains is a warning there.
                Some(own) => target.policy.derive_as_is(own.params.clone()),
                None => target.policy.clone(),
            };
            Some(Route {
                id: id(route),
                name: route.name.clone(),
                method: route.method.clone(),
                host: route.host.clone(),
                path: route.path.clone(),
                target,
                policy,
                upstream_path: route.upstream_path.clone(),
                body_bytes_max: route.body_bytes_max,
                is_stream: route.is_stream,
                fallback: match &route.fallback {
                    None => None,
                    Some(FallbackSettings::Prepared(prepared)) => {
                        Some(Fallback::Prepared(prepared.clone()))
                    }
                    Some(FallbackSettings::Upstream(other)) => {
                        Some(Fallback::Upstream(targets.get(*other)?.clone()))
                    }
                },
                priority: route.priority.clone(),
                key: route.key.clone(),
                upstream_host: route.upstream_host.clone(),
                rewrites_redirects: route.rewrites_redirects,
            })
        });
        seawall_gateway::Settings { server: self.server.gateway.clone(), routes: routes.collect() }
    }

    /// Returns the gateway's settings with upstreams that nobody ever calls: to ask, not to serve.
    pub fn idle_gateway(&self) -> seawall_gateway::Settings {
        let targets = self.upstreams.iter().enumerate().filter_map(|(place, upstream)| {
            let id = UpstreamId(place as u16);
            let observer = Arc::new(Silent);
            Some(Arc::new(Target {
                id,
                name: upstream.name.clone(),
                policy: Policy::new(id, upstream.params.clone(), observer),
                // Addresses were read when the settings were.
                upstream: upstream.way().ok()?,
            }))
        });
        let targets: Vec<_> = targets.collect();
        let mut next = 0..u16::MAX;
        self.gateway(&targets, |_| RouteId(next.next().unwrap_or(u16::MAX)))
    }
}
