//! Which endpoints of an upstream are left out because they do worse than the others.
//!
//! Does not know: how an endpoint is picked from those that are in. Invariant: never so many are
//! out that fewer than `keep_min` of them stay in, and always at least one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{Chance, EjectReason, EndpointId, Outcome};

use crate::sync::{AtomicU32, AtomicU64, Mutex};

/// Holds the numbers of outlier detection; it needs at least two endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Out after so many failures in a row; 0 for never.
    pub consecutive: u32,
    /// How often shares are compared.
    pub interval: Duration,
    /// Shares are compared among at least so many endpoints.
    pub endpoints_min: u32,
    /// An endpoint's share counts from so many attempts in an interval.
    pub attempts_min: u32,
    /// Out below the mean success share by so many standard deviations; 0 for never.
    pub deviations: f64,
    /// Out at this share of failures, above 0 to 1; above 1 for never.
    pub failures_max: f64,
    /// How long it is out the first time; as much longer each further time.
    pub out: Duration,
    /// The longest it is out.
    pub out_max: Duration,
    /// The share of endpoints that stay in whatever happens, 0 to 1; never less than one.
    pub keep_min: f64,
}

impl Default for Params {
    /// Envoy's numbers, but half of the endpoints stay in: 5 in a row; every 10 s, among at least
    /// 5 with 100 attempts, 1.9 deviations; 30 s, 300 s at most.
    fn default() -> Self {
        Self {
            consecutive: 5,
            interval: Duration::from_secs(10),
            endpoints_min: 5,
            attempts_min: 100,
            deviations: 1.9,
            failures_max: 0.85,
            out: Duration::from_secs(30),
            out_max: Duration::from_secs(300),
            keep_min: 0.5,
        }
    }
}

/// Picks endpoints and leaves out those that do worse than the others; shared by reference.
#[derive(Debug)]
pub struct EndpointPicker {
    epoch: Instant,
    /// Each at its own place; a place may be vacant.
    endpoints: Box<[Option<Arc<Endpoint>>]>,
    /// How many there are.
    count: u16,
    /// When shares are compared next.
    compare_at: AtomicU64,
    /// Held by whoever ejects: two at once could take out one too many.
    ejecting: Mutex<()>,
}

/// A change of one endpoint: it was ejected, or returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointChange {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What has become of it.
    pub what: What,
}

/// Says what has become of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is out.
    Ejected {
        /// For so long.
        ejected_for: Duration,
        /// Why.
        why: EjectReason,
    },
    /// It is in again.
    Returned,
}

/// Says since when, until when and why an endpoint is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// When it was left out.
    pub since: Instant,
    /// When it may be picked again.
    pub until: Instant,
    /// Why it was left out.
    pub why: EjectReason,
}

/// What stands at a place of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointSlot {
    /// Nothing.
    Vacant,
    /// An endpoint that was not there before.
    New,
    /// The one that stood at this place before.
    Kept(EndpointId),
}

#[derive(Debug, Default)]
struct Endpoint {
    in_flight: AtomicU32,
    /// How many failures in a row.
    row: AtomicU32,
    succeeded: AtomicU32,
    failed: AtomicU32,
    /// Until when it is out, in nanoseconds since the epoch; zero while it is in.
    out_until: AtomicU64,
    /// Since when it is out, and the place of the reason; they mean nothing while it is in.
    out_since: AtomicU64,
    out_why: AtomicU32,
    /// When it last came back.
    back_at: AtomicU64,
    /// How many times it was out, less the whole intervals it was in since.
    times: AtomicU32,
}

/// How many endpoints an upstream may have; the last number stands for all of them.
pub const ENDPOINTS_MAX: u16 = u16::MAX;

/// Returns the bit by which a call remembers that it has tried an endpoint. From the 65th on they
/// share bits, and one that was not tried may be passed over for it.
pub const fn tried(endpoint: EndpointId) -> u64 {
    1 << (endpoint.0 % u64::BITS as u16)
}

impl EndpointPicker {
    /// Makes `count` endpoints that are all in, at least one and at most [`ENDPOINTS_MAX`]; no
    /// `now` may be before `epoch`.
    pub fn new(epoch: Instant, count: u16) -> Self {
        let count = count.clamp(1, ENDPOINTS_MAX);
        Self::of(epoch, (0..count).map(|_| Some(Arc::default())).collect())
    }

    /// Makes the endpoints that stand at these places, at most [`ENDPOINTS_MAX`]. What is kept goes
    /// on where it is: it stays in or out, and attempts in flight are still counted.
    pub fn renewed(&self, places: &[EndpointSlot]) -> Self {
        let endpoints = places.iter().take(usize::from(ENDPOINTS_MAX)).map(|place| match place {
            EndpointSlot::Vacant => None,
            EndpointSlot::New => Some(Arc::default()),
            EndpointSlot::Kept(id) => self.endpoints.get(usize::from(id.0))?.clone(),
        });
        let renewed = Self::of(self.epoch, endpoints.collect());
        renewed.compare_at.store(self.compare_at.load(Ordering::Relaxed), Ordering::Relaxed);
        renewed
    }

    fn of(epoch: Instant, endpoints: Box<[Option<Arc<Endpoint>>]>) -> Self {
        Self {
            epoch,
            count: endpoints.iter().flatten().count() as u16,
            compare_at: AtomicU64::new(0),
            ejecting: Mutex::default(),
            endpoints,
        }
    }

    /// Returns how many endpoints there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Picks one: of two at random the one with fewer attempts in flight.
    ///
    /// `tried` has the bits of the endpoints that the call has tried already, see [`tried`]. Those
    /// are picked again only if no other is left, and those that are out only if all are.
    pub fn pick(
        &self,
        tried_before: u64,
        now: Instant,
        chance: &mut Chance,
        is_usable: impl Fn(EndpointId) -> bool,
    ) -> EndpointId {
        if self.endpoints.len() == 1 {
            return EndpointId(0);
        }
        // The lower, the better: first whether it is out, then whether its breaker lets nobody
        // through, then whether it was tried.
        let rank = |id: EndpointId| {
            let is_out = self.is_out(id, now);
            let is_unusable = !is_out && !is_usable(id);
            let is_tried = tried_before & tried(id) != 0;
            u8::from(is_out) << 2 | u8::from(is_unusable) << 1 | u8::from(is_tried)
        };
        let places = || (0..).map(EndpointId).zip(&self.endpoints);
        let all = || places().filter(|(_, endpoint)| endpoint.is_some()).map(|(id, _)| id);
        let (mut best, mut count) = (u8::MAX, 0_u32);
        for found in all().map(rank) {
            if found < best {
                (best, count) = (found, 0);
            }
            count += u32::from(found == best);
        }
        let places = [(); 2].map(|()| (chance.unit() * f64::from(count)) as usize);
        // One that has become worse since it was counted leaves the last of the others.
        let of_best = || all().filter(|id| rank(*id) == best);
        let nth =
            |place| of_best().nth(place).or_else(|| of_best().last()).or_else(|| all().next());
        let [one, other] = places.map(|place| nth(place).unwrap_or_default());
        if self.in_flight(other) < self.in_flight(one) { other } else { one }
    }

    /// Counts an attempt in.
    pub fn begin(&self, endpoint: EndpointId) {
        if let Some(endpoint) = self.several(endpoint) {
            endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an attempt out that was counted in.
    pub fn end(&self, endpoint: EndpointId) {
        if let Some(endpoint) = self.several(endpoint) {
            endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns how many attempts are in flight to an endpoint.
    pub fn in_flight(&self, endpoint: EndpointId) -> u32 {
        self.several(endpoint).map_or(0, |endpoint| endpoint.in_flight.load(Ordering::Relaxed))
    }

    /// Returns whether an endpoint is out at `now`.
    pub fn is_out(&self, endpoint: EndpointId, now: Instant) -> bool {
        self.several(endpoint).is_some_and(|endpoint| {
            endpoint.out_until.load(Ordering::Relaxed) > crate::nanos(self.epoch, now)
        })
    }

    /// Returns since when and why an endpoint is out at `now`, if it is.
    pub fn ejection(&self, endpoint: EndpointId, now: Instant) -> Option<Ejection> {
        let cell = self.several(endpoint)?;
        let until = cell.out_until.load(Ordering::Acquire);
        if until <= crate::nanos(self.epoch, now) {
            return None;
        }
        let at = |nanos| self.epoch.checked_add(Duration::from_nanos(nanos));
        Some(Ejection {
            since: at(cell.out_since.load(Ordering::Relaxed))?,
            until: at(until)?,
            why: *EjectReason::ALL.get(cell.out_why.load(Ordering::Relaxed) as usize)?,
        })
    }

    /// Takes note of how an attempt ended. At most one endpoint changes at a time; the others
    /// follow with the next attempts.
    pub fn record(
        &self,
        params: &Params,
        endpoint: EndpointId,
        outcome: Outcome,
        now: Instant,
    ) -> Option<EndpointChange> {
        let cell = self.several(endpoint)?;
        let nanos = crate::nanos(self.epoch, now);
        match outcome {
            Outcome::Success => {
                if cell.row.load(Ordering::Relaxed) != 0 {
                    cell.row.store(0, Ordering::Relaxed);
                }
                cell.succeeded.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Failure(_) | Outcome::Overload { .. } => {
                cell.failed.fetch_add(1, Ordering::Relaxed);
                let row = cell.row.fetch_add(1, Ordering::Relaxed) + 1;
                if params.consecutive != 0
                    && row >= params.consecutive
                    && let Some(change) =
                        self.eject(params, endpoint, EjectReason::Consecutive, nanos)
                {
                    return Some(change);
                }
            }
            _ => return None,
        }
        self.take_back(nanos).or_else(|| self.compare(params, nanos))
    }

    fn take_back(&self, now: u64) -> Option<EndpointChange> {
        let places = (0..).map(EndpointId).zip(&self.endpoints);
        let mut there = places.filter_map(|(id, endpoint)| Some((id, endpoint.as_ref()?)));
        let (id, endpoint) = there.find(|(_, endpoint)| {
            let until = endpoint.out_until.load(Ordering::Relaxed);
            let is_over = until != 0 && until <= now;
            // Whoever sets it to zero has taken it back.
            is_over
                && endpoint
                    .out_until
                    .compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
        })?;
        endpoint.row.store(0, Ordering::Relaxed);
        endpoint.back_at.store(now, Ordering::Relaxed);
        Some(EndpointChange { endpoint: id, what: What::Returned })
    }

    /// Compares the shares of success when the interval is over, and ejects the worst.
    fn compare(&self, params: &Params, now: u64) -> Option<EndpointChange> {
        let due = self.compare_at.load(Ordering::Relaxed);
        let next = now.saturating_add(crate::saturated(params.interval));
        if now < due
            || self
                .compare_at
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
            || due == 0
        {
            return None;
        }
        let shares: Vec<(u16, f64)> = (0..)
            .zip(&self.endpoints)
            .filter_map(|(place, endpoint)| endpoint.as_ref()?.take_share(params, place, now))
            .collect();
        if shares.len() < params.endpoints_min.max(2) as usize {
            return None;
        }
        let &(worst, share) = shares.iter().min_by(|one, other| one.1.total_cmp(&other.1))?;
        let count = shares.len() as f64;
        let mean = shares.iter().map(|(_, share)| share).sum::<f64>() / count;
        let spread = shares.iter().map(|(_, share)| (share - mean).powi(2)).sum::<f64>() / count;
        let is_outlier =
            params.deviations > 0.0 && share < mean - params.deviations * spread.sqrt();
        let why = match 1.0 - share >= params.failures_max {
            true => EjectReason::FailureShare,
            false if is_outlier => EjectReason::SuccessRate,
            false => return None,
        };
        self.eject(params, EndpointId(worst), why, now)
    }

    #[cold]
    fn eject(
        &self,
        params: &Params,
        endpoint: EndpointId,
        why: EjectReason,
        now: u64,
    ) -> Option<EndpointChange> {
        let _one = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = f64::from(self.count());
        let kept = (params.keep_min.clamp(0.0, 1.0) * count).ceil().max(1.0);
        let is_out = |endpoint: &&Arc<Endpoint>| endpoint.out_until.load(Ordering::Relaxed) != 0;
        let out = self.endpoints.iter().flatten().filter(is_out).count() as f64;
        let cell = self.several(endpoint)?;
        if out + 1.0 > count - kept || cell.out_until.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let times = cell.times.fetch_add(1, Ordering::Relaxed) + 1;
        let ejected_for = params.out.saturating_mul(times).min(params.out_max);
        cell.row.store(0, Ordering::Relaxed);
        let until = now.saturating_add(crate::saturated(ejected_for)).max(1);
        cell.out_since.store(now, Ordering::Relaxed);
        cell.out_why.store(why as u32, Ordering::Relaxed);
        // Whoever sees that it is out sees why.
        cell.out_until.store(until, Ordering::Release);
        Some(EndpointChange { endpoint, what: What::Ejected { ejected_for, why } })
    }

    /// Returns an endpoint if there are several: one alone is neither counted nor ejected.
    fn several(&self, endpoint: EndpointId) -> Option<&Endpoint> {
        if self.count == 1 {
            return None;
        }
        self.endpoints.get(usize::from(endpoint.0))?.as_deref()
    }
}

impl Endpoint {
    /// Begins a new interval; returns the share of success of the last, if it was busy enough.
    fn take_share(&self, params: &Params, place: u16, now: u64) -> Option<(u16, f64)> {
        let succeeded = self.succeeded.swap(0, Ordering::Relaxed);
        let total = succeeded.saturating_add(self.failed.swap(0, Ordering::Relaxed));
        if self.out_until.load(Ordering::Relaxed) > now {
            return None;
        }
        let in_for = now.saturating_sub(self.back_at.load(Ordering::Relaxed));
        if in_for >= crate::saturated(params.interval) {
            // An interval in which it is in makes up for one time it was out (Envoy).
            let _ = self
                .times
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1));
        }
        (total >= params.attempts_min.max(1))
            .then(|| (place, f64::from(succeeded) / f64::from(total)))
    }
}
