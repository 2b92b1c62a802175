//! Endpoints whose addresses come from names: looked up now and then, never by a call.
//!
//! Does not know: policies. Invariants: an endpoint keeps its place for as long as its name has its
//! address; a look-up that fails changes nothing; connections to an address that is gone are not
//! used again.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use seawall_core::EndpointId;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::address::Address;
use crate::endpoint_transport::EndpointTransport;
use crate::{Options, Resolve};

/// The endpoints of an upstream of which at least one has a name.
pub(crate) struct Names {
    listed: Vec<Address>,
    options: Options,
    /// Empty until the names have been looked up.
    places: RwLock<Arc<Places>>,
}

/// Endpoints, each at its own place.
type Places = [Option<Endpoint>];

#[derive(Clone)]
struct Endpoint {
    name: Arc<str>,
    way: EndpointTransport,
}

/// What the looking up of an upstream's names has found.
#[derive(Clone, Copy, Debug)]
pub enum NamesNews<'a> {
    /// The endpoints are others than before.
    Changed {
        /// The endpoints, each at the place that is its [`EndpointId`].
        endpoints: &'a [Option<Arc<str>>],
        /// Those that there was no place for.
        left_out: &'a [Arc<str>],
    },
    /// A name could not be looked up, for the first time since it could; what it stood for
    /// before holds.
    Failed {
        /// The name.
        host: &'a str,
        /// Why.
        error: &'a io::Error,
    },
}

/// One of the listed addresses, and what is known of its name.
struct Listed<'a> {
    address: &'a Address,
    found: Vec<SocketAddr>,
    /// Those of them to which a connection could be opened.
    reached: HashSet<SocketAddr>,
    is_failing: bool,
}

impl Names {
    /// Holds what is listed; nothing is looked up yet.
    pub(crate) fn new(listed: Vec<Address>, options: Options) -> Self {
        Self { listed, options, places: RwLock::new(Arc::new([])) }
    }

    /// Returns the way to an endpoint, or to the first one if there is none at its place; nothing
    /// while the names have not been looked up.
    pub(crate) fn way(&self, endpoint: EndpointId) -> Option<EndpointTransport> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let own = places.get(usize::from(endpoint.0)).and_then(Option::as_ref);
        own.or_else(|| places.iter().flatten().next()).map(|endpoint| endpoint.way.clone())
    }

    /// Returns the names of the endpoints, each at its place.
    pub(crate) fn endpoints(&self) -> Vec<Option<Arc<str>>> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places.iter().map(|place| place.as_ref().map(|endpoint| endpoint.name.clone())).collect()
    }

    /// Looks the names up, again and again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it; the endpoints stay as they are.
    pub(crate) async fn follow(
        &self,
        resolver: &dyn Resolve,
        tell: &(dyn Fn(NamesNews<'_>) + Sync),
    ) {
        let mut listed: Vec<_> = self.listed.iter().map(Listed::new).collect();
        let mut left_out = Vec::new();
        loop {
            for one in &mut listed {
                let looked = one.look_up(resolver).await;
                let has_failed = std::mem::replace(&mut one.is_failing, looked.is_err());
                if let (Err(error), false) = (&looked, has_failed) {
                    tell(NamesNews::Failed { host: &one.address.host, error });
                }
                one.try_new().await;
            }
            let wanted: Vec<_> = listed.iter().flat_map(Listed::endpoints).collect();
            let before = self.endpoints();
            let left_out_before = std::mem::replace(&mut left_out, self.place(wanted));
            let endpoints = self.endpoints();
            if endpoints != before || left_out != left_out_before {
                tell(NamesNews::Changed { endpoints: &endpoints, left_out: &left_out });
            }
            let is_settled = listed.iter().all(Listed::is_settled);
            let pause = self.options.dns_refresh;
            sleep(if is_settled { pause } else { pause.min(UNSETTLED) }).await;
        }
    }

    /// Puts endpoints at their places; returns the names of those that there is no place for.
    fn place(&self, mut wanted: Vec<(Arc<str>, Address)>) -> Vec<Arc<str>> {
        if wanted.is_empty() {
            // Nothing was ever found: calls look the name up themselves, and fail as they do.
            return Vec::new();
        }
        let mut names = HashSet::new();
        wanted.retain(|(name, _)| names.insert(name.clone()));
        let old = self.places.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_wanted =
            |endpoint: &&Endpoint| wanted.iter().any(|(name, _)| *name == endpoint.name);
        let mut next: Vec<Option<Endpoint>> =
            old.iter().map(|place| place.as_ref().filter(is_wanted).cloned()).collect();
        // A place that was left just now is taken last: a call that is on its way to who had it
        // would go to another one.
        let mut free: Vec<usize> = (0..PLACES_MAX).collect();
        free.sort_by_key(|&place| old.get(place).is_some_and(Option::is_some));
        free.retain(|&place| next.get(place).is_none_or(Option::is_none));
        let mut free = free.into_iter();
        let mut left_out = Vec::new();
        for (name, address) in wanted {
            if next.iter().flatten().any(|endpoint| endpoint.name == name) {
                continue;
            }
            let Some(place) = free.next() else {
                left_out.push(name);
                continue;
            };
            if next.len() <= place {
                next.resize(place + 1, None);
            }
            next[place] =
                Some(Endpoint { name, way: EndpointTransport::at(address, &self.options) });
        }
        let next: Arc<Places> = next.into();
        // What has gone is dropped here, and its idle connections with it.
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = next;
        left_out
    }
}

impl<'a> Listed<'a> {
    fn new(address: &'a Address) -> Self {
        let found = address.fixed.into_iter().collect();
        Self { address, found, reached: HashSet::new(), is_failing: false }
    }

    async fn look_up(&mut self, resolver: &dyn Resolve) -> io::Result<()> {
        let Address { host, port, fixed: None, .. } = self.address else { return Ok(()) };
        let resolving = timeout(LOOK_UP_MAX, resolver.resolve(host, *port));
        let mut found = resolving.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
        }
        // In an order of its own: resolvers deal theirs anew with each answer.
        found.sort_unstable();
        found.dedup();
        self.found = found;
        Ok(())
    }

    /// Tries to connect to those of several addresses to which nobody could so far: a name may have
    /// one that nobody listens at (`localhost`), and a call must not pay for that.
    async fn try_new(&mut self) {
        self.reached.retain(|address| self.found.contains(address));
        if self.found.len() < 2 {
            return;
        }
        let mut trying = JoinSet::new();
        for address in self.found.iter().copied().filter(|one| !self.reached.contains(one)) {
            trying.spawn(async move {
                let connecting = timeout(CONNECT_MAX, TcpStream::connect(address)).await;
                matches!(connecting, Ok(Ok(_))).then_some(address)
            });
        }
        while let Some(tried) = trying.join_next().await {
            self.reached.extend(tried.ok().flatten());
        }
    }

    /// Returns the endpoints: the addresses that could be reached, or all if none could.
    fn endpoints(&self) -> Vec<(Arc<str>, Address)> {
        let is_reached =
            |address: &&SocketAddr| self.reached.is_empty() || self.reached.contains(address);
        let taken = self.found.iter().filter(is_reached).copied();
        taken.map(|address| self.address.at(address)).map(|at| (at.text(), at)).collect()
    }

    fn is_settled(&self) -> bool {
        !self.found.is_empty() && (self.found.len() < 2 || self.reached.len() == self.found.len())
    }
}

/// How many endpoints there can be: each is a row of the metrics, and one to choose among in every
/// call.
const PLACES_MAX: usize = 64;
/// How long a look-up may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);
/// How long it may take to open a connection to an address that is new.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long until the next look while a name has no address, or one that cannot be reached.
const UNSETTLED: Duration = Duration::from_secs(2);
