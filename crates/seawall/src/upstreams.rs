//! The upstreams of the settings as running parts, kept by name across reloads.
//!
//! Invariant: a name keeps its policy, and with it breaker, budget, limiter and queue, for as long
//! as the process lives and the settings name it. Nothing changes before [`Upstreams::commit`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use seawall_admin::ByHand;
use seawall_call::{EndpointTally, Policy};
use seawall_core::{Observers, UpstreamId};
use seawall_http::{BadAddress, SystemResolver, Transport};
use seawall_policy::breaker::Trip;
use seawall_policy::shed::Load;
use seawall_settings::{Settings, UpstreamSettings};
use seawall_upstream::{Http, Upstream};
use seawall_watch::{BreakerGauge, EjectedGauge, EndpointGauges, Gauges, Recorder, TallyGauge};
use tokio::time::Instant;
use tracing::warn;

use crate::by_hand;
use crate::names::Names;

/// Makes the way to an upstream; the demo has its own.
pub type Connect = dyn Fn(&UpstreamSettings) -> Result<Transport, BadAddress> + Send + Sync;

/// The running upstreams, by name.
pub struct Upstreams {
    recorder: Arc<Recorder>,
    observers: Observers,
    load: Arc<Load>,
    /// Whether the settings in force allow faults to be injected.
    allows_chaos: AtomicBool,
    connect: Box<Connect>,
    running: Mutex<HashMap<Arc<str>, Running>>,
    names: Names,
    listed: Arc<ArcSwap<Vec<Upstream>>>,
}

#[derive(Clone)]
struct Running {
    settings: UpstreamSettings,
    upstream: Upstream,
}

/// The upstreams that were made for new settings and are not in force yet.
pub struct PreparedUpstreams {
    running: Vec<Running>,
    allows_chaos: bool,
}

impl PreparedUpstreams {
    /// Returns the upstreams, in the order of the settings.
    pub fn upstreams(&self) -> Vec<Upstream> {
        self.running.iter().map(|running| running.upstream.clone()).collect()
    }
}

impl Upstreams {
    /// Makes an empty set whose state is shown in the metrics of `recorder`.
    pub fn new(
        recorder: Arc<Recorder>,
        observers: Observers,
        load: Arc<Load>,
        connect: Box<Connect>,
    ) -> Self {
        let listed: Arc<ArcSwap<Vec<Upstream>>> = Arc::default();
        let probed = listed.clone();
        recorder.probe_with(move || probed.load().iter().map(gauges).collect());
        let (allows_chaos, running) = (AtomicBool::new(false), Mutex::default());
        let names = Names::new(Arc::new(SystemResolver));
        Self { recorder, observers, load, allows_chaos, connect, running, names, listed }
    }

    /// Makes what the settings need and is not running yet; nothing takes effect.
    ///
    /// # Errors
    ///
    /// Fails if an upstream's address means nothing.
    pub fn prepare(&self, settings: &Settings) -> Result<PreparedUpstreams, BadAddress> {
        let known = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = settings.upstreams.iter().map(|settings| {
            let upstream = match known.get(&settings.name) {
                Some(old) if is_same_way(&old.settings, settings) => old.upstream.clone(),
                old => self.upstream(settings, old.map(|old| &old.upstream))?,
            };
            Ok(Running { settings: settings.clone(), upstream })
        });
        let running = running.collect::<Result<_, _>>()?;
        Ok(PreparedUpstreams { running, allows_chaos: settings.admin.chaos })
    }

    /// Puts what was prepared in force: policies take their new numbers and keep their state.
    pub fn commit(&self, prepared: PreparedUpstreams) {
        for running in &prepared.running {
            let policy = running.upstream.policy();
            if !running.upstream.protocol().transport().has_names() {
                let is_set = policy.set_endpoints(&running.settings.addresses);
                debug_assert!(is_set.is_ok(), "the settings were checked for too many endpoints");
            }
            if !prepared.allows_chaos {
                policy.end_chaos();
            }
            if *policy.params() != running.settings.params {
                // The settings have been checked; what remains is a warning there.
                policy.reload_as_is(running.settings.params.clone());
            }
        }
        self.allows_chaos.store(prepared.allows_chaos, Ordering::Relaxed);
        let upstreams = prepared.upstreams();
        self.names.follow(&upstreams);
        self.listed.store(Arc::new(upstreams));
        let by_name = prepared.running.into_iter().map(|r| (r.settings.name.clone(), r)).collect();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = by_name;
    }

    /// Returns the upstreams in force, in the order of the settings.
    pub fn listed(&self) -> Arc<Vec<Upstream>> {
        self.listed.load_full()
    }

    /// Does what a person wants of one upstream; says what was done.
    ///
    /// # Errors
    ///
    /// Says why it cannot be done.
    pub fn by_hand(&self, what: &ByHand) -> Result<String, String> {
        let listed = self.listed.load();
        let named = listed.iter().find(|upstream| upstream.name() == what.upstream());
        let done = named
            .ok_or_else(|| {
                let names: Vec<_> = listed.iter().map(Upstream::name).collect();
                format!("no upstream `{}`; there are: {}", what.upstream(), names.join(", "))
            })
            .and_then(|upstream| {
                let allows_chaos = self.allows_chaos.load(Ordering::Relaxed);
                by_hand::carry_out(what, upstream.policy(), allows_chaos)
            })?;
        warn!(event = "by_hand", "{done}");
        Ok(done)
    }

    fn upstream(
        &self,
        settings: &UpstreamSettings,
        old: Option<&Upstream>,
    ) -> Result<Upstream, BadAddress> {
        let transport = (self.connect)(settings)?;
        let id = self.recorder.name_upstream(&settings.name);
        let (policy, http) = match old {
            Some(old) => (old.policy().clone(), old.protocol().moved_to(transport)),
            None => {
                let policy = Policy::new(id, settings.params.clone(), self.observers.clone());
                (policy, Http::new(transport))
            }
        };
        policy.set_load(self.load.clone());
        Ok(Upstream::new(settings.name.clone(), policy, http))
    }
}

fn is_same_way(old: &UpstreamSettings, new: &UpstreamSettings) -> bool {
    old.addresses == new.addresses && old.options == new.options
}

fn gauges(upstream: &Upstream) -> (UpstreamId, Gauges) {
    let (now, at) = (upstream.policy().snapshot(), Instant::now().into_std());
    let breaker = |state, trip: Option<Trip>, left| BreakerGauge {
        state,
        since: trip.and_then(|trip| trip.since).map(|since| at.saturating_duration_since(since)),
        why: trip.map(|trip| trip.why),
        left,
    };
    let endpoints = now.endpoints.into_iter().map(|endpoint| EndpointGauges {
        breaker: now
            .breaker
            .map(|_| breaker(endpoint.breaker, endpoint.trip, endpoint.breaker_for)),
        ejected: endpoint.ejection.map(|ejection| EjectedGauge {
            since: at.saturating_duration_since(ejection.since),
            left: ejection.until.saturating_duration_since(at),
            why: ejection.why,
        }),
        in_flight: endpoint.in_flight,
        tally: endpoint.tally.map(|EndpointTally { ended, busy, last_failure }| TallyGauge {
            ended,
            busy,
            last_failure,
        }),
        address: endpoint.name,
    });
    let gauges = Gauges {
        breaker: now.breaker.map(|state| breaker(state, now.trip, now.breaker_for)),
        in_flight: now.in_flight,
        in_flight_max: now.in_flight_max,
        waiting: now.waiting,
        budget: now.budget,
        ghosts: now.ghosts,
        chaos: now.chaos_for,
        endpoints: endpoints.collect(),
    };
    (upstream.id(), gauges)
}
