//! A call through the cache: cache (fresh) > coalesce > the policy's call > stale.
//!
//! Does not know what the client is told. Invariants: nobody gets an answer that was made for
//! somebody in particular, unless it says that anybody may have it; a body that has not come to
//! its end is never kept and never shared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::Authority;
use http::{Method, StatusCode, Uri};
use http_body::Body as _;
use seawall_call::{CallError, draw_call_id};
use seawall_core::{CacheUse, CallEventKind, CallId, CancelCell, Fate, Fault, Origin, Phase};
use seawall_http::{Body, Replay};
use seawall_policy::Params;
use seawall_policy::cache::{self, Look};
use seawall_wire::caching::{self, Asked, Said};
use seawall_wire::{Fields, name};
use tokio::time::Instant as Clock;

use super::changed;
use super::gather::{Gathered, gather};
use super::landed::Landed;
use super::store::{Key, ResponseCache, now};
use super::stored::{Head, StoredResponse};
use super::tee::Tee;
use crate::answer::problem::Problem;
use crate::call::ended::Ended;
use crate::call::forward::{self, Job, Sent};
use crate::request::caller::Caller;
use crate::{KeySource, Route};

/// Makes a call on a route that keeps or shares answers.
///
/// # Cancel safety
///
/// Dropping the future gives this request's part up; a call that others wait for goes on.
pub(crate) async fn call(
    job: &Job<'_>,
    has_body: bool,
    store: &Arc<ResponseCache>,
    params: &Params,
    cancel: &CancelCell,
) -> Ended {
    let asked = Asked::read(&job.method, &job.headers).filter(|_| !has_body);
    let Some(mut asked) = asked else {
        return forward::call(job, cancel).await.into();
    };
    // What tells callers apart tells whose answer it is.
    asked.is_personal |=
        matches!(&job.route.key, KeySource::Header(name) if job.headers.contains(name));
    let key = Key::of(job);
    let (kept, any) = match &params.cache {
        Some(cache) => store.find(cache, &key, &job.headers),
        None => (None, None),
    };
    let kept = kept.filter(|kept| kept.is_declared || !asked.is_personal);
    if let Some(kept) = &kept
        && let Some(how) = usable(kept, &asked)
    {
        if how == CacheUse::Revalidating {
            let ask = Ask::new(job, store, key, asked, Some(kept.clone()));
            ask.refresh(any.as_deref());
        }
        return serve(job, cancel, kept, how, Fate::Ok, 0);
    }
    if asked.only_if_cached {
        return not_kept();
    }
    if job.method == Method::HEAD {
        return forward::call(job, cancel).await.into();
    }
    let is_shared = params.coalesce && !asked.is_personal && !store.is_apart(&key);
    let ask = Ask::new(job, store, key, asked, kept.clone());
    let ended = match is_shared {
        true => together(ask, job, params, any.as_deref(), cancel).await,
        false => ask.alone(job, job.deadline, cancel).await,
    };
    match kept {
        Some(kept) if ended.may_be_replaced(params) && kept.times.may_stand_in(now()) => {
            serve(job, cancel, &kept, CacheUse::OnError, Fate::Stale, ended.attempts())
        }
        _ => ended,
    }
}

/// Forgets what is kept of what a request has changed (RFC 9111, 4.4): what it asked for, and what
/// `Location` and `Content-Location` name on the same site. The policy of its own route does not
/// matter: another route to the same upstream may keep it.
pub(crate) fn forget_changed(job: &Job<'_>, store: &ResponseCache, ended: &Ended) {
    let Some(headers) = ended.accepted() else { return };
    store.change(&Key::of(job));
    for uri in changed::named(job, headers) {
        store.change(&Key::at(job, &uri));
    }
}

/// Says how an answer that is kept may be used before the upstream is asked.
fn usable(kept: &StoredResponse, asked: &Asked) -> Option<CacheUse> {
    let now = now();
    if !asked.takes(kept.times.age(now), kept.times.fresh_for(now)) {
        return None;
    }
    match kept.times.look(now) {
        Look::Fresh => Some(CacheUse::Fresh),
        Look::Revalidate => Some(CacheUse::Revalidating),
        Look::OnError | Look::Gone => None,
    }
}

fn serve(
    job: &Job<'_>,
    cancel: &CancelCell,
    kept: &StoredResponse,
    how: CacheUse,
    fate: Fate,
    attempts: u32,
) -> Ended {
    let now = now();
    let age = kept.times.age(now);
    job.route.policy.used_cache(&job.context(cancel), how, age, now);
    Ended::Ready { response: kept.response(&job.headers, Some(age)), fate, attempts }
}

/// Answers a request that wants a kept answer or none.
fn not_kept() -> Ended {
    let problem = Problem {
        word: "not-kept",
        title: "no answer to this request is kept".into(),
        status: 504,
        ..Problem::default()
    };
    Ended::Ready { response: problem.response(), fate: Fate::Ok, attempts: 0 }
}

/// Calls together with all who ask the same.
async fn together(
    ask: Ask,
    job: &Job<'_>,
    params: &Params,
    any: Option<&StoredResponse>,
    cancel: &CancelCell,
) -> Ended {
    let since = Clock::now();
    let total = since + params.timeout.total;
    let own = job.deadline.map_or(total, |own| own.min(total));
    // The flight ends by its own deadline, and so tells the breaker what it knows; one that its
    // last waiter leaves in that instant would tell nothing.
    let wait = job.deadline.map_or(total + SLACK, |own| own.min(total + SLACK));
    let by = (job.caller.priority, job.caller.key);
    let sharing = ask.key.sharing(any, &job.headers);
    for _ in 0..FLIGHTS_EACH {
        let fly = |cancel| ask.clone().fly(cancel);
        let Some(mut follower) = ask.store.flights.join(sharing.clone(), cancel, fly) else {
            break;
        };
        let is_first = follower.is_first();
        let policy = &job.route.policy;
        let Ok(landed) = tokio::time::timeout_at(wait, follower.answer()).await else {
            let phase = Phase::Total;
            policy.tell(&job.context(cancel), CallEventKind::TimedOut { phase });
            return Ended::Failed(Arc::new(CallError::TimedOut {
                phase,
                attempts: 0,
                denied: None,
                endpoint: None,
            }));
        };
        match landed {
            Some(Landed::Answer { call, kept, fate, attempts, is_for_all })
                if kept.is_for(&job.headers) && (is_first || is_for_all) =>
            {
                if !is_first {
                    policy.coalesced(&job.context(cancel), call, since.into_std());
                }
                let response = kept.response(&job.headers, Some(kept.times.age(now())));
                return Ended::Ready { response, fate, attempts };
            }
            Some(Landed::Failed { call, error, by: whose }) => {
                let landed = Landed::Failed { call, error: error.clone(), by: whose };
                if is_first || !landed.is_its_own(by) {
                    if !is_first {
                        policy.coalesced(&job.context(cancel), call, since.into_std());
                    }
                    return Ended::Failed(error);
                }
            }
            Some(Landed::Apart(slot)) => {
                let taken =
                    is_first.then(|| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
                match taken.flatten() {
                    Some(ended) => return ended,
                    // It is for somebody else: no use in waiting again.
                    None => break,
                }
            }
            // Chosen by headers that differ, or not to be had without asking.
            Some(Landed::Answer { .. }) => break,
            // The call was given up.
            None => {}
        }
    }
    ask.alone(job, Some(own), cancel).await
}

/// Is everything that asking the upstream takes, and keeping its answer.
#[derive(Clone)]
struct Ask {
    /// The call of the request that asks.
    call: CallId,
    route: Route,
    uri: Uri,
    host: Option<Authority>,
    /// With our condition in the place of the client's.
    headers: Fields,
    caller: Caller,
    store: Arc<ResponseCache>,
    key: Key,
    asked: Asked,
    /// What is kept and can be confirmed.
    kept: Option<Arc<StoredResponse>>,
    mark: u64,
}

/// Says what came of asking.
enum Settled {
    /// An answer that may be kept; its body is on its way.
    Keep(Sent, Head),
    /// The upstream has confirmed what is kept.
    Renewed(Arc<StoredResponse>, Fate, u32),
    /// An answer that may be shared, and not kept.
    Share(Sent),
    /// An answer for one.
    Apart(Sent),
}

impl Ask {
    fn new(
        job: &Job<'_>,
        store: &Arc<ResponseCache>,
        key: Key,
        asked: Asked,
        kept: Option<Arc<StoredResponse>>,
    ) -> Self {
        let mut headers = job.headers.clone();
        // A personal request for which nothing is kept goes as it came: its answer is for nobody
        // else, and the client's condition may spare it the body.
        let is_conditional = (kept.is_some() || !asked.is_personal)
            && caching::make_conditional(&mut headers, kept.as_ref().map(|kept| &kept.headers));
        Self {
            call: job.call,
            route: job.route.clone(),
            uri: job.uri.clone(),
            host: job.host.clone(),
            headers,
            // Whoever waits besides has not tried before.
            caller: Caller { caller_attempt: 1, ..job.caller },
            mark: store.mark(&key),
            store: store.clone(),
            key,
            asked,
            kept: kept.filter(|_| is_conditional),
        }
    }

    /// Asks for this request and nobody else; the body is passed on while it is collected.
    async fn alone(self, job: &Job<'_>, deadline: Option<Clock>, cancel: &CancelCell) -> Ended {
        let params = self.route.policy.params();
        let answer = match self.send((self.call, None), &params, deadline, cancel).await {
            Ok(answer) => answer,
            Err(error) => return Err(error).into(),
        };
        match self.settle(answer, &params) {
            Settled::Renewed(kept, fate, attempts) => {
                let age = kept.times.age(now());
                let response = kept.response(&job.headers, Some(age));
                Ended::Ready { response, fate, attempts }
            }
            Settled::Keep(mut answer, head) => {
                let body = std::mem::take(answer.value.body_mut());
                let bytes_max = cache_of(&params).answer_bytes_max;
                let keep = move |body| drop(self.keep(head.with(body), &params));
                *answer.value.body_mut() = match body.size_hint().lower() > bytes_max {
                    true => body,
                    false => Body::boxed(Tee::new(body, bytes_max, keep)),
                };
                Ok(answer).into()
            }
            Settled::Share(answer) | Settled::Apart(answer) => Ok(answer).into(),
        }
    }

    /// Asks for all who wait; nobody's deadline holds but the policy's.
    async fn fly(self, cancel: Arc<CancelCell>) -> Landed {
        let params = self.route.policy.params();
        // It is nobody's call but its own.
        let call = draw_call_id();
        let origin = Origin { parent: Some(self.call), ..Origin::UNKNOWN };
        let answer = match self.send((call, Some(&origin)), &params, None, &cancel).await {
            Ok(answer) => answer,
            Err(error) => {
                let by = (self.caller.priority, self.caller.key);
                return Landed::Failed { call, error: Arc::new(error), by };
            }
        };
        let (answer, head) = match self.settle(answer, &params) {
            Settled::Renewed(kept, fate, attempts) => {
                return self.answer(call, kept, fate, attempts);
            }
            Settled::Keep(answer, head) => (answer, Some(head)),
            Settled::Share(answer) => (answer, None),
            Settled::Apart(answer) => return self.for_one(answer),
        };
        let mut answer = answer;
        let body = std::mem::take(answer.value.body_mut());
        match gather(body, cache_of(&params).answer_bytes_max).await {
            Gathered::Whole(body) => self.landed(call, answer, head, body, &params),
            Gathered::Passing(body) => {
                *answer.value.body_mut() = body;
                self.for_one(answer)
            }
        }
    }

    fn landed(
        &self,
        call: CallId,
        answer: Sent,
        head: Option<Head>,
        body: Bytes,
        params: &Params,
    ) -> Landed {
        let (fate, attempts) = (answer.fate, answer.attempts);
        // What is not kept is only here because all may have it.
        let head_is_for_all = head.is_none();
        let kept = match head {
            Some(head) => self.keep(head.with(body), params),
            None => {
                let (status, headers) = (answer.value.status(), answer.value.headers());
                let cache = cache_of(params);
                let head = Head::new(status, headers, &self.headers, None, &cache, now());
                Arc::new(head.with(body))
            }
        };
        match head_is_for_all {
            true => Landed::Answer { call, kept, fate, attempts, is_for_all: true },
            false => self.answer(call, kept, fate, attempts),
        }
    }

    fn answer(&self, call: CallId, kept: Arc<StoredResponse>, fate: Fate, attempts: u32) -> Landed {
        let is_for_all = kept.times.may_stand_in(now());
        if !is_for_all {
            self.store.set_apart(&self.key);
        }
        Landed::Answer { call, kept, fate, attempts, is_for_all }
    }

    fn for_one(&self, answer: Sent) -> Landed {
        self.store.set_apart(&self.key);
        Landed::Apart(Arc::new(Mutex::new(Some(Ok(answer).into()))))
    }

    /// Fetches a newer answer while the old one is used.
    fn refresh(self, any: Option<&StoredResponse>) {
        let key = self.key.sharing(any, &self.headers);
        let store = self.store.clone();
        // If there is one already, or too many, the old answer does for longer.
        let _has_begun = store.flights.launch(key, |cancel| self.fly(cancel));
    }

    async fn send(
        &self,
        (call, origin): (CallId, Option<&Origin<'_>>),
        params: &Params,
        deadline: Option<Clock>,
        cancel: &CancelCell,
    ) -> Result<Sent, CallError<Fault>> {
        let job = Job {
            call,
            origin,
            route: &self.route,
            method: Method::GET,
            uri: self.uri.clone(),
            host: self.host.clone(),
            headers: self.headers.clone(),
            body: Replay::new(Body::empty(), 0),
            deadline,
            retry: params.retry.as_ref(),
            caller: self.caller,
            is_stream: self.route.is_stream,
            interim: None,
        };
        forward::call(&job, cancel).await
    }

    /// Says what may be done with an answer.
    fn settle(&self, answer: Sent, params: &Params) -> Settled {
        let (status, headers) = (answer.value.status(), answer.value.headers());
        let cache = cache_of(params);
        if status == StatusCode::NOT_MODIFIED
            && let Some(kept) = &self.kept
        {
            let version = answer.value.head().version;
            let said = |headers: &Fields| {
                // What was kept had an end.
                let version = version.max(http::Version::HTTP_2);
                Said::read(&self.asked, version, kept.status, headers, SystemTime::now())
            };
            let renewed = kept.renewed(headers, &self.headers, said, &cache, now());
            let renewed = match renewed {
                Some(renewed) => self.keep(renewed, params),
                // It may not be kept any longer, but this once the upstream has confirmed it.
                None => {
                    self.store.change(&self.key);
                    kept.clone()
                }
            };
            return Settled::Renewed(renewed, answer.fate, answer.attempts);
        }
        if answer.fate.is_failure() {
            // One failure for all who wait is kinder than a call for each.
            let control = caching::Control::read(headers);
            // A 429 may be about the caller that the headers name.
            let is_personal = control.private
                || headers.contains(name::SET_COOKIE)
                || status == StatusCode::TOO_MANY_REQUESTS;
            let is_one = is_personal || self.asked.is_personal || caching::vary(headers).is_none();
            return if is_one { Settled::Apart(answer) } else { Settled::Share(answer) };
        }
        let (version, now) = (answer.value.head().version, now());
        let said = Said::read(&self.asked, version, status, headers, SystemTime::now());
        let Some(said) = said else { return Settled::Apart(answer) };
        let head = Head::new(status, headers, &self.headers, Some(&said), &cache, now);
        if params.cache.is_some() && head.is_worth_keeping(now) {
            Settled::Keep(answer, head)
        } else if head.is_for_all(now) {
            Settled::Share(answer)
        } else {
            Settled::Apart(answer)
        }
    }

    fn keep(&self, kept: StoredResponse, params: &Params) -> Arc<StoredResponse> {
        let kept = Arc::new(kept);
        if let Some(cache) = &params.cache {
            self.store.keep(cache, &self.key, self.mark, kept.clone());
        }
        kept
    }
}

fn cache_of(params: &Params) -> cache::Params {
    params.cache.clone().unwrap_or_default()
}

/// How much longer than a shared call may take is waited for it.
const SLACK: Duration = Duration::from_secs(1);
/// On so many shared calls a request may find that they are no good for it; then it goes alone.
const FLIGHTS_EACH: u32 = 3;
