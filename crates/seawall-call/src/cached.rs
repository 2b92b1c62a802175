//! A policy with what stands around its calls: answers that are kept, calls that share one
//! answer, and what is said when there is none.
//!
//! Does not know: HTTP, whose cache walks the same [`flow`]. The order is the plan's: cache (fresh) >
//! coalesce > the policy's call > fallback (stale, then prepared). A policy that says nothing of a
//! cache or of coalescing costs a call nothing here: it is made in the caller's own future.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Attempt, Fate, Judge};
use seawall_policy::cache::{Look, Own};

use crate::flow::{self, Flight, Landing, Question};
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
    flights: SharedCalls<K, T, E>,
    ways: Ways<T>,
}

type SharedCalls<K, T, E> =
    SingleFlight<K, Landing<T, Result<CachedAnswer<T>, CallError<Arc<E>>>, E>>;

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

/// An answer, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedAnswer<T> {
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
        let flights = SingleFlight::new(flow::FLIGHTS_MAX, flow::UNATTENDED_MAX);
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
    /// one's [`CancelCell`](crate::CancelCell).
    pub async fn call<J, M, F>(
        &self,
        mut context: Context<'_>,
        key: K,
        judge: J,
        make: M,
    ) -> Result<CachedAnswer<T>, CallError<Arc<E>>>
    where
        J: Judge<T, E> + Clone + Send + Sync + 'static,
        M: FnMut(Attempt) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        // Whatever becomes of it is said of one call: an answer from the cache, too.
        context.enter();
        let inner = &*self.0;
        let params = inner.policy.params();
        let ask = Ask { cached: self.clone(), key, judge, make };
        let result = match params.cache.is_some() || params.coalesce {
            false => ask.alone(context).await,
            true => {
                let stored = params.cache.as_ref().and_then(|_| inner.cache.get(&ask.key));
                let stored = stored.map(|entry| (entry.value, entry.times));
                flow::answer(ask, stored, &params, params.coalesce, context).await
            }
        };
        let (fate, attempts) = fate_of(&result);
        if !fate.is_failure() {
            return result;
        }
        match inner.ways.prepared.as_ref().and_then(|say| say(fate)) {
            Some(value) => {
                inner.policy.fell_back(&context, fate);
                let fate = Fate::Fallback;
                Ok(CachedAnswer { value, fate, attempts, age: None, is_shared: false })
            }
            None => result,
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

fn fate_of<T, E>(result: &Result<CachedAnswer<T>, CallError<Arc<E>>>) -> (Fate, u32) {
    match result {
        Ok(served) => (served.fate, served.attempts),
        Err(error) => (error.fate(), error.attempts()),
    }
}

/// One call of a [`Cached`].
struct Ask<K, T, E, J, M> {
    cached: Cached<K, T, E>,
    key: K,
    judge: J,
    make: M,
}

impl<K: Clone, T, E, J: Clone, M: Clone> Clone for Ask<K, T, E, J, M> {
    fn clone(&self) -> Self {
        let Self { cached, key, judge, make } = self;
        let (cached, key) = (cached.clone(), key.clone());
        Self { cached, key, judge: judge.clone(), make: make.clone() }
    }
}

impl<K, T, E, J, M, F> Question for Ask<K, T, E, J, M>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
    J: Judge<T, E> + Clone + Send + Sync + 'static,
    M: FnMut(Attempt) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    type Flight = Self;

    fn policy(&self) -> &Policy {
        &self.cached.0.policy
    }

    fn flight(&self) -> Self {
        self.clone()
    }

    fn serve(&self, value: T, age: Duration, fate: Fate, attempts: u32) -> flow::ReplyOf<Self> {
        Ok(CachedAnswer { value, fate, attempts, age: Some(age), is_shared: false })
    }

    fn replaceable(&self, reply: &flow::ReplyOf<Self>) -> Option<u32> {
        let (fate, attempts) = fate_of(reply);
        fate.is_failure().then_some(attempts)
    }
}

impl<K, T, E, J, M, F> Flight for Ask<K, T, E, J, M>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
    J: Judge<T, E> + Clone + Send + Sync + 'static,
    M: FnMut(Attempt) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    type Key = K;
    type Stored = T;
    type Reply = Result<CachedAnswer<T>, CallError<Arc<E>>>;
    type Error = E;

    fn flights(&self) -> &SharedCalls<K, T, E> {
        &self.cached.0.flights
    }

    fn key(&self) -> K {
        self.key.clone()
    }

    async fn alone(self, context: Context<'_>) -> Self::Reply {
        let Self { cached, key, judge, make } = self;
        let answer = cached.0.policy.call(context, &judge, make).await;
        let answer = answer.map_err(|error| error.map(Arc::new))?;
        let (Answer { value, fate, attempts, .. }, _permit) = answer;
        cached.keep(&key, &value, fate);
        Ok(CachedAnswer { value, fate, attempts, age: None, is_shared: false })
    }

    async fn fly(self, context: Context<'_>) -> flow::LandingOf<Self> {
        let served = self.alone(context).await;
        let landed = served.map(|served| (served.value, served.fate, served.attempts));
        Landing::for_all(&context, landed)
    }

    fn reply(&self, landed: flow::Landed<T, E>, is_shared: bool) -> Self::Reply {
        let (value, fate, attempts) = landed?;
        Ok(CachedAnswer { value, fate, attempts, age: None, is_shared })
    }
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
