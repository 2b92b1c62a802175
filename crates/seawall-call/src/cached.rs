//! A policy with what stands around its calls: answers that are kept, calls that share one
//! answer, and what is said when there is none.
//!
//! Does not know: HTTP; the gateway has a cache of its own around the same [`Cache`] and
//! [`SingleFlight`]. The order is the plan's: cache (fresh) > coalesce > the policy's call > fallback
//! (stale, then prepared). A policy that says nothing of a cache or of coalescing costs a call
//! nothing here: it is made in the caller's own future.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{
    Attempt, CacheUse, CallEventKind, CallId, CancelCell, Deadline, Fate, Judge, Origin, Phase,
    Priority, TraceContext,
};
use seawall_policy::Params;
use seawall_policy::cache::{Look, Own};

use crate::{Answer, Cache, CacheEntry, CallError, Context, Policy, SingleFlight, clock};

/// Calls through a policy, keeps answers and shares them, as the policy's numbers say
/// (`cache`, `coalesce`); clones share everything.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use seawall_call::{Cached, Context, Plain, Policy};
/// use seawall_core::{CancelCell, Silent, UpstreamId};
/// use seawall_policy::{Params, cache};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = cache::Params { fresh_for: Duration::from_secs(30), ..Default::default() };
/// let params = Params { cache: Some(cache), coalesce: true, ..Params::standard() };
/// let policy = Policy::new(UpstreamId(0), params, Arc::new(Silent));
/// let weather: Cached<&str, &str, String> =
///     Cached::new(policy).or_say(|_fate| Some("nobody knows"));
///
/// let cancel = CancelCell::default();
/// let ask = async |city| {
///     let answer = weather.call(Context::new(&cancel), city, Plain, |_attempt| async {
///         Ok("rain")
///     });
///     answer.await.expect("there is always an answer")
/// };
/// assert_eq!(ask("oslo").await.age, None);
/// let again = ask("oslo").await;
/// assert_eq!((again.value, again.attempts), ("rain", 0));
/// assert!(again.age.is_some());
/// # }
/// ```
pub struct Cached<K, T, E>(Arc<Inner<K, T, E>>);

struct Inner<K, T, E> {
    policy: Policy,
    cache: Arc<Cache<K, T>>,
    flights: SingleFlight<K, Told<T, E>>,
    ways: Ways<T>,
}

/// Holds what the owner says of its answers.
struct Ways<T> {
    bytes: fn(&T) -> u64,
    own: fn(&T) -> Own,
    prepared: Option<Arc<Prepared<T>>>,
}

impl<T> Clone for Ways<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes, own: self.own, prepared: self.prepared.clone() }
    }
}

type Prepared<T> = dyn Fn(Fate) -> Option<T> + Send + Sync;

/// Holds an answer, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served<T> {
    /// The answer.
    pub value: T,
    /// How the call ended, as its caller sees it: `Stale` for an old answer because there was no
    /// new one, `Fallback` for a prepared one.
    pub fate: Fate,
    /// How many attempts were made for it; none for a kept answer.
    pub attempts: u32,
    /// How old a kept answer is.
    pub age: Option<Duration>,
    /// Whether it is the answer to another one's call.
    pub is_shared: bool,
}

/// Is what a flight tells all who wait for it.
struct Told<T, E> {
    result: Result<(T, Fate, u32), CallError<Arc<E>>>,
    /// The call that was made.
    call: CallId,
    /// For whom the call was made.
    by: (Priority, Option<u64>),
}

impl<T: Clone, E> Clone for Told<T, E> {
    fn clone(&self) -> Self {
        Self { result: self.result.clone(), call: self.call, by: self.by }
    }
}

impl<T, E> Told<T, E> {
    /// Returns whether it failed of something that was the caller's it was made for: another one
    /// with time left may fare better.
    fn is_its_own(&self, by: (Priority, Option<u64>)) -> bool {
        match &self.result {
            // It had begun before we came, so its time ran out before ours.
            Err(CallError::TimedOut { phase, .. }) => *phase != Phase::Attempt,
            Err(
                CallError::RateLimited { .. }
                | CallError::Shed { .. }
                | CallError::QueueFull
                | CallError::QueueTimeout { .. },
            ) => self.by != by,
            _ => false,
        }
    }
}

impl<K, T, E> Cached<K, T, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// Makes an empty cache around a policy; how large it may be is read now, everything else at
    /// each call. An answer weighs what its type does, and is fresh for as long as the policy says.
    pub fn new(policy: Policy) -> Self {
        let size = policy.params().cache.clone().unwrap_or_default();
        let cache = Arc::new(Cache::new(&size));
        let flights = SingleFlight::new(FLIGHTS_MAX, UNATTENDED_MAX);
        let ways =
            Ways { bytes: |_| size_of::<T>() as u64, own: |_| Own::default(), prepared: None };
        Self(Arc::new(Inner { policy, cache, flights, ways }))
    }

    /// Says how many bytes an answer takes.
    #[must_use]
    pub fn weigh(self, bytes: fn(&T) -> u64) -> Self {
        self.with(|ways| ways.bytes = bytes)
    }

    /// Says what an answer says of its own freshness.
    #[must_use]
    pub fn own(self, own: fn(&T) -> Own) -> Self {
        self.with(|ways| ways.own = own)
    }

    /// Says what is answered when a call has failed, was refused or ran out of time, and there is
    /// no old answer; `None` leaves the failure as it is.
    #[must_use]
    pub fn or_say(self, say: impl Fn(Fate) -> Option<T> + Send + Sync + 'static) -> Self {
        self.with(|ways| ways.prepared = Some(Arc::new(say)))
    }

    fn with(self, change: impl FnOnce(&mut Ways<T>)) -> Self {
        let Inner { policy, cache, flights, ways } = &*self.0;
        let mut ways = ways.clone();
        change(&mut ways);
        let (policy, cache, flights) = (policy.clone(), cache.clone(), flights.clone());
        Self(Arc::new(Inner { policy, cache, flights, ways }))
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Returns what is kept.
    pub fn cache(&self) -> &Cache<K, T> {
        &self.0.cache
    }

    /// Returns how many shared calls are under way.
    pub fn in_flight(&self) -> usize {
        self.0.flights.len()
    }

    /// Answers from what is kept, or calls the upstream as the policy allows; calls with the same
    /// key at the same time share one answer if the policy says so.
    ///
    /// Two calls may only have the same key if one may get the other's answer. Must be called on a
    /// tokio runtime: a shared call, and the fetching of a newer answer, are tasks on it.
    ///
    /// # Errors
    ///
    /// As [`Policy::call`], if there is no answer that could stand in. A caller of a shared call
    /// fails with [`CallError::TimedOut`] when its own deadline passes; the others go on.
    ///
    /// # Panics
    ///
    /// If `make` or `judge` panic in a shared call, whoever began it panics; the others try again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up this caller's part. A shared call goes on for as long as
    /// somebody waits for it; when the last one is dropped it is cancelled, for the reason in that
    /// one's [`CancelCell`].
    pub async fn call<J, M, F>(
        &self,
        mut context: Context<'_>,
        key: K,
        judge: J,
        make: M,
    ) -> Result<Served<T>, CallError<Arc<E>>>
    where
        J: Judge<T, E> + Clone + Send + Sync + 'static,
        M: FnMut(Attempt) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        // Whatever becomes of it is said of one call: an answer from the cache, too.
        context.enter();
        let inner = &*self.0;
        let params = inner.policy.params();
        let kept = params.cache.as_ref().and_then(|_| inner.cache.get(&key));
        if let Some(kept) = &kept {
            let now = clock::now();
            let how = match kept.times.look(now) {
                Look::Fresh => Some(CacheUse::Fresh),
                Look::Revalidate => Some(CacheUse::Revalidating),
                Look::OnError | Look::Gone => None,
            };
            if let Some(how) = how {
                if how == CacheUse::Revalidating {
                    self.refresh(&context, &key, &judge, &make);
                }
                return Ok(inner.serve(&context, kept.clone(), how, Fate::Ok, 0, now));
            }
        }
        let work = Work { judge, make };
        let result = if params.coalesce {
            Box::pin(self.together(context, &key, &params, work)).await
        } else {
            self.alone(context, &key, work).await
        };
        let (fate, attempts) = match &result {
            Ok(served) => (served.fate, served.attempts),
            Err(error) => (error.fate(), error.attempts()),
        };
        if !fate.is_failure() {
            return result;
        }
        let now = clock::now();
        if let Some(kept) = kept.filter(|kept| kept.times.may_stand_in(now)) {
            return Ok(inner.serve(&context, kept, CacheUse::OnError, Fate::Stale, attempts, now));
        }
        match inner.ways.prepared.as_ref().and_then(|say| say(fate)) {
            Some(value) => {
                inner.policy.fell_back(&context, fate);
                let fate = Fate::Fallback;
                Ok(Served { value, fate, attempts, age: None, is_shared: false })
            }
            None => result,
        }
    }

    /// Calls for this caller and nobody else.
    async fn alone<J, M, F>(
        &self,
        context: Context<'_>,
        key: &K,
        work: Work<J, M>,
    ) -> Result<Served<T>, CallError<Arc<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let answer = self.0.policy.call(context, &work.judge, work.make).await;
        let answer = answer.map_err(|error| error.map(Arc::new))?;
        let (Answer { value, fate, attempts, .. }, _permit) = answer;
        self.keep(key, &value, fate);
        Ok(Served { value, fate, attempts, age: None, is_shared: false })
    }

    /// Calls together with all who ask the same.
    async fn together<J, M, F>(
        &self,
        mut context: Context<'_>,
        key: &K,
        params: &Params,
        work: Work<J, M>,
    ) -> Result<Served<T>, CallError<Arc<E>>>
    where
        J: Judge<T, E> + Clone + Send + Sync + 'static,
        M: FnMut(Attempt) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let policy = &self.0.policy;
        let now = clock::now();
        let own = until(now, params.timeout.total, context.deadline);
        // The flight ends by its own deadline, and so tells the breaker what it knows; one that
        // its last waiter leaves in that instant would tell nothing.
        let wait = until(now, params.timeout.total.saturating_add(SLACK), context.deadline);
        let by = (context.priority, context.key);
        let beginner = Beginner::of(&context);
        for _ in 0..FLIGHTS_EACH {
            let fly = |cancel| self.fly(beginner, key.clone(), work.clone(), cancel);
            let Some(mut follower) = self.0.flights.join(key.clone(), context.cancel, fly) else {
                break;
            };
            let is_shared = !follower.is_first();
            let Ok(landed) = tokio::time::timeout_at(wait.into(), follower.answer()).await else {
                policy.tell(&context, CallEventKind::TimedOut { phase: Phase::Total });
                return Err(CallError::TimedOut {
                    phase: Phase::Total,
                    attempts: 0,
                    denied: None,
                    endpoint: None,
                });
            };
            match landed {
                Some(told) if !(is_shared && told.is_its_own(by)) => {
                    if is_shared {
                        policy.coalesced(&context, told.call, now);
                    }
                    let (value, fate, attempts) = told.result?;
                    return Ok(Served { value, fate, attempts, age: None, is_shared });
                }
                // The call was given up, or failed of what was not ours: once more.
                _ => {}
            }
        }
        context.deadline = Some(Deadline::at(own));
        self.alone(context, key, work).await
    }

    /// Fetches a newer answer while the old one is used; one at a time for each key.
    fn refresh<J, M, F>(&self, context: &Context<'_>, key: &K, judge: &J, make: &M)
    where
        J: Judge<T, E> + Clone + Send + Sync + 'static,
        M: FnMut(Attempt) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let beginner = Beginner::of(context);
        let work = Work { judge: judge.clone(), make: make.clone() };
        let fly = |cancel| self.fly(beginner, key.clone(), work, cancel);
        // If there is one already, or too many, the old answer does for longer.
        let _has_begun = self.0.flights.launch(key.clone(), fly);
    }

    /// Makes the call of a flight: nobody's deadline holds but the policy's, and how often one of
    /// them has tried is not held against the others.
    fn fly<J, M, F>(
        &self,
        beginner: Beginner,
        key: K,
        work: Work<J, M>,
        cancel: Arc<CancelCell>,
    ) -> impl Future<Output = Told<T, E>> + Send + 'static
    where
        J: Judge<T, E> + Send + Sync + 'static,
        M: FnMut(Attempt) -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let cached = self.clone();
        async move {
            let Beginner { parent, trace, by } = beginner;
            let (priority, caller) = by;
            let origin = Some(&Origin { parent, trace, bag: None });
            let mut context = Context { origin, priority, key: caller, ..Context::new(&cancel) };
            let call = context.enter();
            let result = cached.alone(context, &key, work).await;
            let result = result.map(|served| (served.value, served.fate, served.attempts));
            Told { result, call, by }
        }
    }

    fn keep(&self, key: &K, value: &T, fate: Fate) {
        let params = self.0.policy.params();
        let Some(params) = &params.cache else { return };
        if fate.is_failure() {
            return;
        }
        let Ways { bytes, own, .. } = &self.0.ways;
        let now = clock::now();
        let times = params.times(&own(value), now);
        if times.look(now) != Look::Gone {
            self.0
                .cache
                .put(key.clone(), CacheEntry { value: value.clone(), times, bytes: bytes(value) });
        }
    }
}

impl<K, T, E> Inner<K, T, E> {
    fn serve(
        &self,
        context: &Context<'_>,
        kept: CacheEntry<T>,
        how: CacheUse,
        fate: Fate,
        attempts: u32,
        now: Instant,
    ) -> Served<T> {
        let age = kept.times.age(now);
        self.policy.used_cache(context, how, age, now);
        Served { value: kept.value, fate, attempts, age: Some(age), is_shared: false }
    }
}

/// What a flight knows of the call that began it.
#[derive(Clone, Copy)]
struct Beginner {
    parent: Option<CallId>,
    trace: Option<TraceContext>,
    by: (Priority, Option<u64>),
}

impl Beginner {
    fn of(context: &Context<'_>) -> Self {
        let Context { call, origin, priority, key, .. } = *context;
        let trace = origin.and_then(|origin| origin.trace);
        Self { parent: call, trace, by: (priority, key) }
    }
}

/// Is what an attempt does, and who judges it.
#[derive(Clone)]
struct Work<J, M> {
    judge: J,
    make: M,
}

/// Returns until when a caller waits.
fn until(now: Instant, total: Duration, own: Option<Deadline>) -> Instant {
    let total = now.checked_add(total).unwrap_or(now + CENTURY);
    own.map_or(total, |own| own.instant().min(total))
}

impl<K, T, E> Clone for Cached<K, T, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T, E> fmt::Debug for Cached<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { cache, flights, .. } = &*self.0;
        f.debug_struct("Cached")
            .field("cache", cache)
            .field("flights", flights)
            .finish_non_exhaustive()
    }
}

/// Each belongs to a call that waits, so there are no more than calls; this only keeps the table
/// from being the largest thing in memory.
const FLIGHTS_MAX: usize = 65_536;

/// So many newer answers are fetched at a time that nobody waits for.
const UNATTENDED_MAX: usize = 256;

/// How much longer than a flight may take is waited for it.
const SLACK: Duration = Duration::from_secs(1);

/// On so many flights a call may find that they are no good for it; then it goes alone.
const FLIGHTS_EACH: u32 = 3;

/// Longer than anybody waits.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
