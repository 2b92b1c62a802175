//! Looks up the names of the running upstreams, on a thread of its own.
//!
//! Does not know: what a name stands for. Invariant: nothing that serves waits for a look-up, and
//! what is no longer in the settings is not looked up.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_http::{NamesNews, Resolve};
use seawall_upstream::Upstream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Keeps the names of upstreams followed.
pub(crate) struct Names {
    resolver: Arc<dyn Resolve>,
    followed: Mutex<Followed>,
}

#[derive(Default)]
struct Followed {
    /// Begun when the first name is followed.
    runtime: Option<Runtime>,
    upstreams: Vec<(Upstream, JoinHandle<()>)>,
}

impl Names {
    pub(crate) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, followed: Mutex::default() }
    }

    /// Follows the names of these upstreams and of no others.
    pub(crate) fn follow(&self, upstreams: &[Upstream]) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.upstreams.retain(|(upstream, task)| {
            let stays = upstreams.iter().any(|one| one.is_same(upstream));
            if !stays {
                task.abort();
            }
            stays
        });
        for upstream in upstreams {
            let transport = upstream.protocol().transport();
            let is_followed = || followed.upstreams.iter().any(|(one, _)| one.is_same(upstream));
            if !transport.has_names() || is_followed() {
                continue;
            }
            let Some(runtime) = followed.runtime() else { return };
            // Until they are looked up, the endpoints are as they were written.
            place(upstream, &transport.endpoints());
            let task = runtime.spawn(follow(upstream.clone(), Arc::clone(&self.resolver)));
            followed.upstreams.push((upstream.clone(), task));
        }
    }
}

impl Followed {
    fn runtime(&mut self) -> Option<&Runtime> {
        if self.runtime.is_none() {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).max_blocking_threads(LOOK_UPS_MAX).enable_all();
            match builder.thread_name("seawall-names").build() {
                Ok(runtime) => self.runtime = Some(runtime),
                // Each connection looks its name up then.
                Err(error) => {
                    warn!(event = "names.failed", "names are not followed: no thread: {error}");
                }
            }
        }
        self.runtime.as_ref()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A look-up may be stuck in the operating system; nobody waits for it.
            runtime.shutdown_background();
        }
    }
}

fn place(upstream: &Upstream, endpoints: &[Option<Arc<str>>]) {
    let is_placed = upstream.policy().place_endpoints(endpoints);
    debug_assert!(is_placed.is_ok(), "what is too many is left out where it was looked up");
}

async fn follow(followed: Upstream, resolver: Arc<dyn Resolve>) {
    let upstream = followed.name();
    let tell = |news: NamesNews<'_>| match news {
        NamesNews::Changed { endpoints, left_out } => {
            place(&followed, endpoints);
            let all: Vec<&str> = endpoints.iter().flatten().map(|name| &**name).collect();
            let addresses = all.join(" ");
            info!(event = "endpoints.found", upstream, addresses, "endpoints of an upstream");
            if !left_out.is_empty() {
                let (count, addresses) = (left_out.len(), left_out.join(" "));
                warn!(
                    event = "endpoints.left_out",
                    upstream,
                    count,
                    addresses,
                    "an upstream has more endpoints than can be counted"
                );
            }
        }
        NamesNews::Failed { host, error } => {
            warn!(event = "name.failed", upstream, "could not look up {host}: {error}");
        }
    };
    followed.protocol().transport().follow_names(&*resolver, tell).await;
}

/// How many look-ups may be stuck before others wait for them.
const LOOK_UPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::time::{Duration, Instant};

    use seawall_call::Policy;
    use seawall_core::{Silent, UpstreamId};
    use seawall_http::{Options, Resolving, Transport};
    use seawall_policy::Params;
    use seawall_upstream::Http;

    use super::*;

    /// Answers with the addresses 127.0.0.1 to 127.0.0.n; nobody listens at any of them.
    struct Loopback(AtomicU8);

    impl Resolve for Loopback {
        fn resolve<'a>(&'a self, _: &'a str, port: u16) -> Resolving<'a> {
            let last = self.0.load(Ordering::SeqCst);
            let ip = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
            Box::pin(async move { Ok((1..=last).map(|n| SocketAddr::new(ip(n), port)).collect()) })
        }
    }

    fn upstream() -> Upstream {
        let options = Options { dns_refresh: Duration::from_millis(10), ..Options::default() };
        let policy = Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent));
        let transport = Transport::new("http://origin.test:1", options).expect("an address");
        Upstream::new("origin", policy, Http::new(transport))
    }

    #[track_caller]
    fn until_there_are(upstream: &Upstream, wanted: &[&str]) {
        let begun = Instant::now();
        loop {
            let there = upstream.policy().snapshot().endpoints;
            if there.iter().map(|endpoint| &*endpoint.name).eq(wanted.iter().copied()) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{there:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_policy_has_an_endpoint_for_each_address_that_its_name_has_now() {
        let resolver = Arc::new(Loopback(AtomicU8::new(2)));
        let names = Names::new(resolver.clone());
        let upstream = upstream();
        names.follow(std::slice::from_ref(&upstream));
        until_there_are(&upstream, &["http://127.0.0.1:1", "http://127.0.0.2:1"]);
        resolver.0.store(3, Ordering::SeqCst);
        let three = ["http://127.0.0.1:1", "http://127.0.0.2:1", "http://127.0.0.3:1"];
        until_there_are(&upstream, &three);

        names.follow(&[]);
        assert!(names.followed.lock().expect("nobody panicked").upstreams.is_empty());
    }
}
