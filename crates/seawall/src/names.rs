//! Looks up the names of the running upstreams, on a thread of its own.
//!
//! Does not know: what a name stands for. Invariant: nothing that serves waits for a look-up, and
//! what is no longer in the settings is not looked up.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_gateway::Target;
use seawall_http::{NamesNews, Resolve};
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
    targets: Vec<(Arc<Target>, JoinHandle<()>)>,
}

impl Names {
    pub(crate) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, followed: Mutex::default() }
    }

    /// Follows the names of these upstreams and of no others.
    pub(crate) fn follow(&self, targets: &[Arc<Target>]) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.targets.retain(|(target, task)| {
            let stays = targets.iter().any(|one| Arc::ptr_eq(one, target));
            if !stays {
                task.abort();
            }
            stays
        });
        for target in targets.iter().filter(|target| target.upstream.has_names()) {
            if followed.targets.iter().any(|(one, _)| Arc::ptr_eq(one, target)) {
                continue;
            }
            let Some(runtime) = followed.runtime() else { return };
            // Until they are looked up, the endpoints are as they were written.
            place(target, &target.upstream.endpoints());
            let task = runtime.spawn(follow(Arc::clone(target), Arc::clone(&self.resolver)));
            followed.targets.push((Arc::clone(target), task));
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

fn place(target: &Target, endpoints: &[Option<Arc<str>>]) {
    let is_placed = target.policy.place_endpoints(endpoints);
    debug_assert!(is_placed.is_ok(), "what is too many is left out where it was looked up");
}

async fn follow(target: Arc<Target>, resolver: Arc<dyn Resolve>) {
    let tell = |news: NamesNews<'_>| match news {
        NamesNews::Changed { endpoints, left_out } => {
            place(&target, endpoints);
            let upstream = &*target.name;
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
            let upstream = &*target.name;
            warn!(event = "name.failed", upstream, "could not look up {host}: {error}");
        }
    };
    target.upstream.follow_names(&*resolver, tell).await;
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
    use seawall_http::{Options, Resolving, Upstream};
    use seawall_policy::Params;

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

    fn target() -> Arc<Target> {
        let options = Options { dns_refresh: Duration::from_millis(10), ..Options::default() };
        Arc::new(Target {
            id: UpstreamId(0),
            name: "origin".into(),
            policy: Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent)),
            upstream: Upstream::new("http://origin.test:1", options).expect("it is an address"),
        })
    }

    #[track_caller]
    fn until_there_are(target: &Target, wanted: &[&str]) {
        let begun = Instant::now();
        loop {
            let there = target.policy.snapshot().endpoints;
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
        let target = target();
        names.follow(std::slice::from_ref(&target));
        until_there_are(&target, &["http://127.0.0.1:1", "http://127.0.0.2:1"]);
        resolver.0.store(3, Ordering::SeqCst);
        let three = ["http://127.0.0.1:1", "http://127.0.0.2:1", "http://127.0.0.3:1"];
        until_there_are(&target, &three);

        names.follow(&[]);
        assert!(names.followed.lock().expect("nobody panicked").targets.is_empty());
    }
}
