//! The way of a call through a cache, for whatever kind of answer: what is stored and fresh > a call
//! shared with others > a call of its own > what is stored and stale.
//!
//! Does not know: HTTP, or where answers are stored. [`Cached`](crate::Cached) walks it with values
//! of any type; a cache with rules of its own, such as HTTP's, implements [`Question`] and
//! [`Flight`]. Invariant: nobody is told what [`Flight::fits`] or a [`Landing`] keeps from them.

use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{
    CacheUse, CallEventKind, CallId, CancelCell, Deadline, Fate, Origin, Phase, Priority,
};
use seawall_policy::Params;
use seawall_policy::cache::{Freshness, Look};

use crate::{CallError, Context, Policy, SingleFlight, clock, draw_call_id};

/// A call that may be answered with something stored.
pub trait Question: Send {
    /// The same call once the upstream has to be asked.
    type Flight: Flight;

    /// Returns the policy that is called through.
    fn policy(&self) -> &Policy;

    /// Makes the call that asks the upstream.
    fn flight(&self) -> Self::Flight;

    /// Returns whether the caller takes a stored answer of this age.
    fn accepts(&self, _times: &Freshness, _now: Instant) -> bool {
        true
    }

    /// Answers where the upstream must not be asked.
    fn unasked(&self) -> Option<ReplyOf<Self>> {
        None
    }

    /// Answers with what is stored.
    fn serve(
        &self,
        stored: StoredOf<Self>,
        age: Duration,
        fate: Fate,
        attempts: u32,
    ) -> ReplyOf<Self>;

    /// Returns how many attempts were made for a reply that a stale answer is better than; `None`
    /// for a reply that stands.
    fn replaceable(&self, reply: &ReplyOf<Self>) -> Option<u32>;
}

/// A call that asks the upstream, for its caller alone or for all who ask the same.
pub trait Flight: Clone + Send + 'static {
    /// What two calls have in common that may share an answer.
    type Key: Hash + Eq + Clone + Send + 'static;
    /// A whole answer, which many may be given.
    type Stored: Clone + Send + Sync + 'static;
    /// What a caller is told.
    type Reply: Send + 'static;
    /// An attempt's own error.
    type Error: Send + Sync + 'static;

    /// Returns the calls that are under way, by key.
    fn flights(&self) -> &SingleFlight<Self::Key, LandingOf<Self>>;

    /// Returns the key.
    fn key(&self) -> Self::Key;

    /// Calls for this caller and nobody else.
    fn alone(self, context: Context<'_>) -> impl Future<Output = Self::Reply> + Send;

    /// Calls for all who wait; nobody's deadline holds but the policy's.
    fn fly(self, context: Context<'_>) -> impl Future<Output = LandingOf<Self>> + Send;

    /// Returns whether a shared answer is one to this call.
    fn fits(&self, _stored: &Self::Stored) -> bool {
        true
    }

    /// Answers with what a shared call came to.
    fn reply(&self, landed: Landed<Self::Stored, Self::Error>, is_shared: bool) -> Self::Reply;
}

/// What a shared call came to, for all who wait for it: an answer of type `T`, an error of type `E`,
/// or a reply for one of them.
pub struct Landing<T, R, E> {
    what: What<T, R, E>,
    /// The call that was made.
    call: CallId,
    /// For whom it was made.
    by: By,
}

enum What<T, R, E> {
    All(Landed<T, E>),
    /// An answer that the upstream wants to be asked for each time.
    First(Landed<T, E>),
    One(Arc<Mutex<Option<R>>>),
}

/// A whole answer with its fate and attempts, or why there is none.
pub type Landed<T, E> = Result<(T, Fate, u32), CallError<Arc<E>>>;

/// What a shared call of this kind comes to.
pub type LandingOf<F> = Landing<<F as Flight>::Stored, <F as Flight>::Reply, <F as Flight>::Error>;

/// What a question is answered with.
pub type ReplyOf<Q> = <<Q as Question>::Flight as Flight>::Reply;

/// What a question's cache stores.
pub type StoredOf<Q> = <<Q as Question>::Flight as Flight>::Stored;

/// Priority and key of a caller.
type By = (Priority, Option<u64>);

impl<T, R, E> Landing<T, R, E> {
    /// Lands what all who wait may have.
    pub fn for_all(context: &Context<'_>, landed: Landed<T, E>) -> Self {
        Self::new(context, What::All(landed))
    }

    /// Lands an answer that only whoever came first may have, since the upstream wants to be asked
    /// each time.
    pub fn for_first(context: &Context<'_>, landed: Landed<T, E>) -> Self {
        Self::new(context, What::First(landed))
    }

    /// Lands a reply that is not whole, or is for whoever came first.
    pub fn for_one(context: &Context<'_>, reply: R) -> Self {
        Self::new(context, What::One(Arc::new(Mutex::new(Some(reply)))))
    }

    fn new(context: &Context<'_>, what: What<T, R, E>) -> Self {
        // A flight has its id from its beginning.
        Self { what, call: context.call.unwrap_or_else(draw_call_id), by: by(context) }
    }
}

impl<T: Clone, R, E> Clone for Landing<T, R, E> {
    fn clone(&self) -> Self {
        let what = match &self.what {
            What::All(landed) => What::All(landed.clone()),
            What::First(landed) => What::First(landed.clone()),
            What::One(slot) => What::One(slot.clone()),
        };
        Self { what, call: self.call, by: self.by }
    }
}

/// Answers a question; `stored` is the answer to it that there is, whatever its age.
///
/// Must be called on a tokio runtime: a shared call, and the fetching of a newer answer, are tasks
/// on it.
///
/// # Cancel safety
///
/// Dropping the future gives up this caller's part. A shared call goes on for as long as somebody
/// waits for it; when the last one is dropped it is cancelled, for the reason in that one's
/// [`CancelCell`].
// Not an `async fn`: its callers' compilers cannot see that it can be sent between threads.
pub fn answer<Q: Question>(
    question: Q,
    stored: Option<(StoredOf<Q>, Freshness)>,
    params: &Params,
    is_shared: bool,
    context: Context<'_>,
) -> impl Future<Output = ReplyOf<Q>> + Send {
    find(question, stored, params, is_shared, context)
}

async fn find<Q: Question>(
    question: Q,
    stored: Option<(StoredOf<Q>, Freshness)>,
    params: &Params,
    is_shared: bool,
    mut context: Context<'_>,
) -> ReplyOf<Q> {
    // Whatever becomes of it is said of one call: an answer from the cache, too.
    context.enter();
    let (policy, now) = (question.policy().clone(), clock::now());
    if let Some((stored, times)) = &stored
        && let Some(how) = usable(times, now)
        && question.accepts(times, now)
    {
        if how == CacheUse::Revalidating {
            refresh(&question.flight(), &context);
        }
        let age = times.age(now);
        policy.used_cache(&context, how, age, now);
        return question.serve(stored.clone(), age, Fate::Ok, 0);
    }
    if let Some(reply) = question.unasked() {
        return reply;
    }
    let flight = question.flight();
    let reply = match is_shared {
        // Boxed: a call that is not shared carries no room for it.
        true => Box::pin(together(flight, &policy, params, context)).await,
        false => flight.alone(context).await,
    };
    let Some(attempts) = question.replaceable(&reply) else { return reply };
    let now = clock::now();
    match stored {
        Some((stored, times)) if times.may_stand_in(now) => {
            let age = times.age(now);
            policy.used_cache(&context, CacheUse::OnError, age, now);
            question.serve(stored, age, Fate::Stale, attempts)
        }
        _ => reply,
    }
}

/// Returns how a stored answer may be used before the upstream is asked.
pub fn usable(times: &Freshness, now: Instant) -> Option<CacheUse> {
    match times.look(now) {
        Look::Fresh => Some(CacheUse::Fresh),
        Look::Revalidate => Some(CacheUse::Revalidating),
        Look::OnError | Look::Gone => None,
    }
}

/// Fetches a newer answer while the old one is used; one at a time for each key.
fn refresh<F: Flight>(flight: &F, context: &Context<'_>) {
    // If there is one already, or too many, the old answer does for longer.
    let _has_begun = flight.flights().launch(flight.key(), begin(flight, context));
}

/// Calls together with all who ask the same.
async fn together<F: Flight>(
    flight: F,
    policy: &Policy,
    params: &Params,
    mut context: Context<'_>,
) -> F::Reply {
    let now = clock::now();
    let own = until(now, params.timeout.total, context.deadline);
    // The flight ends by its own deadline, and so tells the breaker what it knows; one that its
    // last waiter leaves in that instant would tell nothing.
    let wait = until(now, params.timeout.total.saturating_add(SLACK), context.deadline);
    for _ in 0..FLIGHTS_EACH {
        let begin = begin(&flight, &context);
        let Some(mut follower) = flight.flights().join(flight.key(), context.cancel, begin) else {
            break;
        };
        let is_shared = !follower.is_first();
        let Ok(landing) = tokio::time::timeout_at(wait.into(), follower.answer()).await else {
            let phase = Phase::Total;
            policy.tell(&context, CallEventKind::TimedOut { phase });
            let timed_out =
                CallError::TimedOut { phase, attempts: 0, denied: None, endpoint: None };
            return flight.reply(Err(timed_out), false);
        };
        // Without one the call was given up: once more.
        let Some(Landing { what, call, by: whose }) = landing else { continue };
        let landed = match what {
            What::All(Err(error)) if is_shared && is_its_own(&error, whose == by(&context)) => {
                continue;
            }
            // It is for somebody else: no use in waiting again.
            What::First(_) | What::One(_) if is_shared => break,
            What::All(landed) | What::First(landed) => landed,
            What::One(slot) => {
                let reply = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                match reply {
                    Some(reply) => return reply,
                    None => break,
                }
            }
        };
        if landed.as_ref().is_ok_and(|(stored, ..)| !flight.fits(stored)) {
            break;
        }
        if is_shared {
            policy.coalesced(&context, call, now);
        }
        return flight.reply(landed, is_shared);
    }
    context.deadline = Some(Deadline::at(own));
    flight.alone(context).await
}

/// Begins the call for all who will wait: how often one of them has tried is not held against the
/// others.
fn begin<F: Flight>(
    flight: &F,
    context: &Context<'_>,
) -> impl FnOnce(Arc<CancelCell>) -> Pin<Box<dyn Future<Output = LandingOf<F>> + Send>> + use<F> {
    let flight = flight.clone();
    let Context { call: parent, origin, priority, key, client, .. } = *context;
    let trace = origin.and_then(|origin| origin.trace);
    move |cancel| {
        Box::pin(async move {
            // It is nobody's call but its own, in the trace of whoever began it.
            let origin = Some(&Origin { parent, trace, bag: None });
            let mut context = Context { origin, priority, key, client, ..Context::new(&cancel) };
            context.enter();
            flight.fly(context).await
        })
    }
}

/// Returns whether a shared call failed of something of the caller that it was made for: another one
/// with time left may fare better.
fn is_its_own<E>(error: &CallError<E>, is_same_caller: bool) -> bool {
    match error {
        // It began before the others came, so its time ran out before theirs.
        CallError::TimedOut { phase, .. } => *phase != Phase::Attempt,
        CallError::RateLimited { .. }
        | CallError::Shed { .. }
        | CallError::QueueFull
        | CallError::QueueTimeout { .. } => !is_same_caller,
        _ => false,
    }
}

fn by(context: &Context<'_>) -> By {
    (context.priority, context.key)
}

/// Returns until when a caller waits.
fn until(now: Instant, total: Duration, own: Option<Deadline>) -> Instant {
    let total = now.checked_add(total).unwrap_or(now + CENTURY);
    own.map_or(total, |own| own.instant().min(total))
}

/// Each belongs to a call that waits, so there are no more than calls; this only keeps the table
/// from being the largest thing in memory.
pub const FLIGHTS_MAX: usize = 65_536;

/// So many newer answers are fetched at a time that nobody waits for.
pub const UNATTENDED_MAX: usize = 256;

/// How much longer than a shared call may take is waited for it.
const SLACK: Duration = Duration::from_secs(1);

/// On so many shared calls a caller may find that they are no good for it; then it goes alone.
const FLIGHTS_EACH: u32 = 3;

/// Longer than anybody waits.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
