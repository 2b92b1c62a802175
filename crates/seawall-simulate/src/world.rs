//! The world: clients, servers and an upstream, and the time that passes between what happens.
//!
//! Does not know: how a result is shown. What a call does step by step is in `journey`, what an
//! attempt does in `attempt`. Invariants: time never goes back; the same setup gives the same
//! course; at the end every place has come back.

use std::time::{Duration, Instant};

use seawall_core::{Chance, EndpointId, Fate, Priority};
use seawall_policy::Params;
use seawall_policy::backoff::Backoff;
use seawall_policy::bulkhead::QueuePosition;

use crate::agenda::{Agenda, What};
use crate::arrivals::{Arrival, Arrivals, nanos};
use crate::endpoint::{Endpoint, Service};
use crate::gateway::{Gateway, Leave};
use crate::setup::Setup;
use crate::slab::Slab;
use crate::tally::{Load, Tally};

/// Holds everything there is.
pub(crate) struct World<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) params: &'a Params,
    epoch: Instant,
    /// In nanoseconds since the epoch.
    pub(crate) now: u64,
    /// The same as the machines read it.
    pub(crate) instant: Instant,
    pub(crate) agenda: Agenda,
    pub(crate) calls: Slab<Call>,
    pub(crate) attempts: Slab<Attempt>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Calls that were handed a place in this instant and have not noticed yet.
    pub(crate) woken: Vec<u32>,
    arrivals: Arrivals,
    pub(crate) chance: Chance,
    pub(crate) tally: Tally,
    client_timeout: u64,
}

/// Is a call, or between two of its tries, the client that makes it.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// Entries of the agenda with another stamp are void.
    pub(crate) stamp: u32,
    pub(crate) number: u64,
    pub(crate) gateway: usize,
    pub(crate) priority: Priority,
    pub(crate) is_idempotent: bool,
    pub(crate) caller: Option<u16>,
    /// How many times the client has asked.
    tries: u32,
    /// When this try began, when the client leaves, and when the policy gives it up.
    pub(crate) began: u64,
    pub(crate) gone_at: u64,
    pub(crate) deadline: u64,
    /// How many attempts were begun in this try, and those that have not ended.
    pub(crate) begun: u32,
    pub(crate) live: Vec<u32>,
    /// How many of those that were begun were not hedges.
    pub(crate) rounds: u32,
    /// The endpoints that were tried, a bit for each.
    pub(crate) tried: u64,
    /// How many hedges were sent beside the attempt under way.
    pub(crate) hedges: u32,
    /// Whether it has paid its share of hedged calls.
    pub(crate) is_hedged: bool,
    /// What its last attempt came to, if that failed: what it ends with if the next is refused.
    pub(crate) failed: Option<Fate>,
    pub(crate) backoff: Backoff,
    /// Whether a retry was begun in the budget and has not ended.
    pub(crate) is_retrying: bool,
    /// When its wait is over.
    pub(crate) until: u64,
    pub(crate) stands: Stands,
}

/// Says where a call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stands {
    /// Its attempts are under way.
    #[default]
    Attempting,
    /// It waits for a place.
    Queued(QueuePosition),
    /// It waits before a retry.
    BackingOff,
    /// The client waits before it tries again.
    Pausing,
}

/// Is one attempt; it holds a place from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Entries of the agenda, and jobs of an endpoint, with another stamp are void.
    pub(crate) stamp: u32,
    pub(crate) call: u32,
    pub(crate) began: u64,
    pub(crate) until: u64,
    pub(crate) service: Service,
    pub(crate) leave: Leave,
    pub(crate) is_hedge: bool,
}

impl<'a> World<'a> {
    pub(crate) fn new(setup: &'a Setup) -> Self {
        let (epoch, params) = (Instant::now(), &setup.params);
        let mut seeds = Chance::seeded(setup.seed);
        // The first is that of the arrivals.
        let _ = seeds.bits();
        let chance = Chance::seeded(seeds.bits());
        let endpoints = (0..setup.endpoints()).map(|endpoint| {
            let scenario = setup.scenario(endpoint);
            Endpoint::new(scenario, setup.upstream.cancels, seeds.bits(), epoch)
        });
        let endpoints: Vec<Endpoint> = endpoints.collect();
        let count = setup.endpoints();
        let gateways = (0..setup.gateways.max(1))
            .map(|_| Gateway::new(params, count, seeds.bits(), epoch))
            .collect();
        Self {
            setup,
            params,
            epoch,
            now: 0,
            instant: epoch,
            agenda: Agenda::default(),
            calls: Slab::new(),
            attempts: Slab::new(),
            gateways,
            endpoints,
            woken: Vec::new(),
            arrivals: Arrivals::new(setup),
            chance,
            tally: Tally::new(setup),
            client_timeout: nanos(setup.clients.timeout).max(1),
        }
    }

    /// Lets everything happen that is to happen; `progress` is told now and then how far it is.
    pub(crate) fn run(&mut self, progress: &mut dyn FnMut(Duration)) {
        let mut arrival = self.arrivals.next();
        loop {
            let next = self.agenda.next_at().unwrap_or(u64::MAX);
            let arrives = arrival.as_ref().map_or(u64::MAX, |arrival| nanos(arrival.at));
            let at = next.min(arrives);
            if at == u64::MAX {
                break;
            }
            while let Some(sample_at) = self.tally.next_sample(at) {
                progress(Duration::from_nanos(sample_at));
                self.sample(sample_at);
            }
            self.now = at;
            self.instant = self.epoch + Duration::from_nanos(at);
            match arrival {
                Some(one) if arrives < next => {
                    self.arrive(one);
                    arrival = self.arrivals.next();
                }
                _ => self.happen(),
            }
            self.wake();
        }
    }

    fn happen(&mut self) {
        let Some(entry) = self.agenda.take() else { return };
        match entry.what {
            What::Call if self.calls[entry.index].stamp == entry.stamp => {
                self.stop_waiting(entry.index);
            }
            What::Hedge if self.calls[entry.index].stamp == entry.stamp => self.hedge(entry.index),
            What::Attempt if self.attempts[entry.index].stamp == entry.stamp => {
                self.attempt_is_due(entry.index);
            }
            What::Orphan => {
                self.endpoints[entry.index as usize].end(true);
                self.serve(entry.index as usize);
            }
            What::Ghost => {
                let gateway = &mut self.gateways[entry.index as usize];
                gateway.expire(self.params, self.instant, &mut self.woken);
            }
            What::Call | What::Hedge | What::Attempt => {}
        }
    }

    /// Lets those who were handed a place notice it, as tasks do after the one that woke them.
    fn wake(&mut self) {
        let mut next = 0;
        while let Some(&call) = self.woken.get(next) {
            next += 1;
            self.handed(call);
        }
        self.woken.clear();
    }

    fn arrive(&mut self, arrival: Arrival) {
        let index = self.calls.take();
        let number = self.tally.arrived(arrival.priority, arrival.caller);
        let call = &mut self.calls[index];
        call.number = number;
        call.priority = arrival.priority;
        call.is_idempotent = arrival.is_idempotent;
        call.caller = arrival.caller;
        call.tries = 0;
        self.begin_try(index);
    }

    /// Lets a client ask one of the servers.
    pub(crate) fn begin_try(&mut self, index: u32) {
        let gateway = match self.gateways.len() {
            1 => 0,
            many => (self.chance.bits() % many as u64) as usize,
        };
        let total = nanos(self.params.timeout.total);
        let call = &mut self.calls[index];
        call.gateway = gateway;
        call.tries += 1;
        call.began = self.now;
        call.gone_at = self.now.saturating_add(self.client_timeout);
        call.deadline = self.now.saturating_add(total);
        (call.begun, call.rounds, call.tried, call.hedges) = (0, 0, 0, 0);
        (call.is_hedged, call.failed) = (false, None);
        call.backoff = Backoff::default();
        self.tally.called();
        self.enter(index);
    }

    /// Ends a call for its client, who is content, tries again, or gives up.
    pub(crate) fn end(&mut self, index: u32, fate: Fate) {
        let now = self.now;
        let call = &mut self.calls[index];
        call.stamp = call.stamp.wrapping_add(1);
        let is_good = matches!(fate, Fate::Ok | Fate::OkAfterRetry | Fate::OkHedged);
        if std::mem::take(&mut call.is_retrying) {
            self.gateways[call.gateway].budget.end();
        }
        self.tally.ended(fate, now - call.began, call.begun, call.number);
        if !is_good && call.tries <= self.setup.clients.retries {
            let pause = nanos(self.setup.clients.pause) as f64 * (0.5 + self.chance.unit());
            let until = now.saturating_add(pause as u64);
            (call.stands, call.until) = (Stands::Pausing, until);
            return self.agenda.note(until, What::Call, index, call.stamp);
        }
        self.tally.answered(is_good, call.priority, call.caller);
        self.calls.free(index);
    }

    /// Returns when a timer of the runtime that is set to `at` goes off: a whole millisecond.
    pub(crate) fn timer(at: u64) -> u64 {
        at.div_ceil(TICK).saturating_mul(TICK)
    }

    fn sample(&mut self, at: u64) {
        let instant = self.epoch + Duration::from_nanos(at);
        let mut load = Load::default();
        for endpoint in &self.endpoints {
            load.working += endpoint.present - endpoint.waiting;
            load.queued += endpoint.waiting;
        }
        let fixed = self.params.limit.as_ref().map(|limit| limit.in_flight_max);
        for gateway in &self.gateways {
            load.limit += gateway.limit(self.params).or(fixed).unwrap_or(0);
            load.in_flight += gateway.in_flight();
            load.waiting += gateway.waiting();
            load.open += u32::from(gateway.is_any_open(instant));
        }
        self.tally.sampled(at, load);
    }

    /// Counts what is still held: nothing, once everything has happened.
    pub(crate) fn held(&self) -> usize {
        let gateways = self
            .gateways
            .iter()
            .map(|gateway| gateway.in_flight() + gateway.waiting() + gateway.budget.under_way());
        let endpoints = self.endpoints.iter().map(|endpoint| endpoint.present + endpoint.busy);
        let sum: u32 = gateways.chain(endpoints).sum();
        sum as usize + self.calls.len() + self.attempts.len()
    }

    pub(crate) fn elapsed(&self, since: u64) -> Duration {
        Duration::from_nanos(self.now - since)
    }

    pub(crate) fn instant_of(&self, at: u64) -> Instant {
        self.epoch + Duration::from_nanos(at)
    }
}

impl Default for Attempt {
    fn default() -> Self {
        Self {
            stamp: 0,
            call: 0,
            began: 0,
            until: 0,
            service: Service::Waits,
            leave: Leave { endpoint: EndpointId(0), grant: None },
            is_hedge: false,
        }
    }
}

/// Timers of the runtime are whole milliseconds, rounded up.
const TICK: u64 = 1_000_000;
