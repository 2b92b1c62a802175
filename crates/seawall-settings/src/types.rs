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
use seawall_gateway::{BadRoute, KeySource, PrioritySource, Route, RouteEnd};
use seawall_http::{BadAddress, Options, Transport};
use seawall_policy::Params;
use seawall_upstream::{BadOperation, Fallback, Http, Operation, Prepared, Upstream, UpstreamHost};
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

/// A port for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Where it is.
    pub address: SocketAddr,
}

/// The settings that hold for all clients.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Their ports, one at least.
    pub listeners: Vec<ListenerSettings>,
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
    pub fn way(&self) -> Result<Transport, BadAddress> {
        Transport::several(&self.all(), self.options.clone())
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
    /// `upstreams` holds one for each of [`Settings::upstreams`], in their order; `id` gives a route
    /// its number, the same number for the same name for as long as the process lives.
    ///
    /// # Errors
    ///
    /// Names the route whose path, or that at its upstream, cannot be read.
    pub fn gateway(
        &self,
        upstreams: &[Upstream],
        mut id: impl FnMut(&RouteSettings) -> RouteId,
    ) -> Result<seawall_gateway::Settings, BadRoute> {
        let routes = self.routes.iter().filter_map(|route| {
            let upstream = upstreams.get(route.upstream)?;
            let operation = route.operation(upstream, upstreams);
            Some(operation.map_err(BadRoute::from).map(|operation| Route {
                id: id(route),
                name: route.name.clone(),
                method: route.method.clone(),
                host: route.host.clone(),
                path: route.path.clone(),
                body_bytes_max: route.body_bytes_max,
                priority: route.priority.clone(),
                key: route.key.clone(),
                rewrites_redirects: route.rewrites_redirects,
                to: RouteEnd::Call(Arc::new(operation)),
            }))
        });
        let routes = routes.collect::<Result<_, _>>()?;
        Ok(seawall_gateway::Settings { server: self.server.gateway.clone(), routes })
    }

    /// Returns the gateway's settings with upstreams that nobody ever calls: to ask, not to serve.
    ///
    /// # Errors
    ///
    /// As [`Self::gateway`].
    pub fn idle_gateway(&self) -> Result<seawall_gateway::Settings, BadRoute> {
        let upstreams = self.upstreams.iter().enumerate().filter_map(|(place, upstream)| {
            let id = UpstreamId(place as u16);
            let policy = Policy::new(id, upstream.params.clone(), Arc::new(Silent));
            // Addresses were read when the settings were.
            Some(Upstream::new(upstream.name.clone(), policy, Http::new(upstream.way().ok()?)))
        });
        let upstreams: Vec<_> = upstreams.collect();
        let mut next = 0..u16::MAX;
        self.gateway(&upstreams, |_| RouteId(next.next().unwrap_or(u16::MAX)))
    }
}

impl RouteSettings {
    /// Returns what the route calls.
    fn operation(
        &self,
        upstream: &Upstream,
        upstreams: &[Upstream],
    ) -> Result<Operation, BadOperation> {
        let upstream = match &self.policy {
            // The settings have been checked; what remains is a warning there.
            Some(own) => upstream.with_policy(upstream.policy().derive_as_is(own.params.clone())),
            None => upstream.clone(),
        };
        let mut operation = Operation::new(self.name.clone(), upstream, &self.path)?;
        if let Some(path) = &self.upstream_path {
            operation = operation.asking_for(path)?;
        }
        operation.is_stream = self.is_stream;
        operation.upstream_host = self.upstream_host.clone();
        operation.fallback = self.fallback.as_ref().and_then(|fallback| match fallback {
            FallbackSettings::Prepared(prepared) => Some(Fallback::Prepared(prepared.clone())),
            FallbackSettings::Upstream(other) => {
                upstreams.get(*other).cloned().map(Fallback::Upstream)
            }
        });
        Ok(operation)
    }
}
