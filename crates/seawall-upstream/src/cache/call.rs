//! A call through the cache, by HTTP's rules.
//!
//! Does not know what the caller is told; the order is [`seawall_call::flow`]'s. Invariants: nobody
//! gets an answer that was made for somebody in particular, unless it says that anybody may have it;
//! a body that has not come to its end is never stored and never shared.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::uri::Authority;
use http::{Method, StatusCode, Uri};
use http_body::Body as _;
use seawall_call::flow::{self, Flight, Landed, Landing, LandingOf, Question};
use seawall_call::{Answer, CallError, Context, Permit, Policy, SingleFlight, now};
use seawall_core::{Fate, Fault};
use seawall_http::{Body, Response};
use seawall_policy::Params;
use seawall_policy::cache::{self, Freshness};
use seawall_wire::caching::{self, RequestDirectives, ResponseDirectives};
use seawall_wire::{Fields, ProblemDetails, name};

use super::changed;
use super::gather::{Gathered, gather};
use super::store::{Key, ResponseCache};
use super::stored::{Head, StoredResponse};
use super::tee::Tee;
use crate::{Http, HttpRequest, Repeats, Reply, Upstream, UpstreamNames};

impl Upstream<Http> {
    /// Calls: what is stored and fresh > a call shared with others > the policy's call > what is
    /// stored and stale.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up; the reason is read from the context. A call that
    /// others wait for goes on.
    pub async fn call(&self, request: &HttpRequest, context: Context<'_>) -> Reply {
        let params = self.policy().params();
        call(&UpstreamNames::own(self), &params, request, context).await
    }
}

/// Calls an upstream; where its policy stores or shares answers, through its cache.
///
/// # Cancel safety
///
/// Dropping the future gives this caller's part up; a call that others wait for goes on.
pub(crate) async fn call(
    names: &UpstreamNames<'_>,
    params: &Params,
    request: &HttpRequest,
    context: Context<'_>,
) -> Reply {
    let upstream = names.upstream;
    let reply = match is_used(params, request) {
        false => upstream.send_by(params, request, context).await.into(),
        // Boxed: calls without a cache carry no room for it.
        true => Box::pin(through_cache(upstream, request, params, context)).await,
    };
    forget_changed(names, request, &reply);
    reply
}

/// Returns whether a request may be answered by the cache or another call.
pub(crate) fn is_used(params: &Params, request: &HttpRequest) -> bool {
    (params.cache.is_some() || params.coalesce)
        && request.is_cacheable
        // What is fetched for many is nobody's own request.
        && request.repeats == Repeats::Harmless
        && request.gathered_bytes_max.is_none()
        && request.listener.is_none()
}

async fn through_cache(
    upstream: &Upstream,
    request: &HttpRequest,
    params: &Params,
    context: Context<'_>,
) -> Reply {
    let asked = RequestDirectives::read(&request.method, &request.headers)
        .filter(|_| request.body.is_empty());
    let Some(mut asked) = asked else {
        return upstream.send_by(params, request, context).await.into();
    };
    asked.is_personal |= request.is_personal;
    let store = upstream.protocol().cache();
    let key = Key::of(request);
    let (stored, any) = match &params.cache {
        Some(cache) => store.find(cache, &key, &request.headers),
        None => (None, None),
    };
    let stored = stored.filter(|stored| stored.is_declared || !asked.is_personal);
    let is_head = request.method == Method::HEAD;
    let is_shared = params.coalesce && !asked.is_personal && !is_head && !store.is_apart(&key);
    let found = stored.as_ref().map(|stored| (Arc::clone(stored), stored.times));
    let ask = Ask { upstream, request, params, store, key, asked, stored, any };
    if is_head
        && !asked.only_if_cached
        && !found.as_ref().is_some_and(|(_, times)| ask.takes(times))
    {
        // Only what is stored is of use to it: its own answer is for nobody else.
        return upstream.send_by(params, request, context).await.into();
    }
    flow::answer(ask, found, params, is_shared, context).await
}

/// Forgets what is stored of what a request has changed (RFC 9111, 4.4): what it asked for, and what
/// `Location` and `Content-Location` name on the same site. The policy of this call does not matter:
/// another one to the same upstream may store it.
pub(crate) fn forget_changed(names: &UpstreamNames<'_>, request: &HttpRequest, reply: &Reply) {
    if request.method.is_safe() {
        return;
    }
    let Some(headers) = reply.accepted() else { return };
    let store = names.upstream.protocol().cache();
    store.change(&Key::of(request));
    for uri in changed::named(names, request, headers) {
        store.change(&Key::at(request, &uri));
    }
}

/// One request that the cache may answer.
struct Ask<'a> {
    upstream: &'a Upstream,
    request: &'a HttpRequest,
    params: &'a Params,
    store: &'a Arc<ResponseCache>,
    key: Key,
    asked: RequestDirectives,
    /// The answer that is stored for it.
    stored: Option<Arc<StoredResponse>>,
    /// Any variant of it.
    any: Option<Arc<StoredResponse>>,
}

impl Ask<'_> {
    /// Returns whether what is stored does before the upstream is asked.
    fn takes(&self, times: &Freshness) -> bool {
        let now = now();
        flow::usable(times, now).is_some() && self.accepts(times, now)
    }
}

impl Question for Ask<'_> {
    type Flight = Fetch;

    fn policy(&self) -> &Policy {
        self.upstream.policy()
    }

    fn flight(&self) -> Fetch {
        let (request, asked) = (self.request, self.asked);
        let mut headers = request.headers.clone();
        // A personal request for which nothing is stored goes as it came: its answer is for nobody
        // else, and the client's condition may spare it the body.
        let is_conditional = (self.stored.is_some() || !asked.is_personal)
            && caching::make_conditional(
                &mut headers,
                self.stored.as_ref().map(|one| &one.headers),
            );
        Fetch {
            upstream: self.upstream.clone(),
            uri: request.uri.clone(),
            host: request.host.clone(),
            client_headers: request.headers.clone(),
            headers,
            is_stream: request.is_stream,
            mark: self.store.mark(&self.key),
            sharing: self.key.sharing(self.any.as_deref(), &request.headers),
            key: self.key.clone(),
            asked,
            stored: self.stored.clone().filter(|_| is_conditional),
        }
    }

    fn accepts(&self, times: &Freshness, now: Instant) -> bool {
        self.asked.takes(times.age(now), times.fresh_for(now))
    }

    fn unasked(&self) -> Option<Reply> {
        self.asked.only_if_cached.then(not_stored)
    }

    fn serve(
        &self,
        stored: Arc<StoredResponse>,
        age: Duration,
        fate: Fate,
        attempts: u32,
    ) -> Reply {
        let response = stored.response(&self.request.headers, Some(age));
        Reply::Whole { response, fate, attempts }
    }

    fn replaceable(&self, reply: &Reply) -> Option<u32> {
        reply.may_be_replaced(self.params).then(|| reply.attempts())
    }
}

/// Answers a request that wants a stored answer or none.
fn not_stored() -> Reply {
    let problem = ProblemDetails {
        word: "not-kept",
        title: "no answer to this request is kept".into(),
        status: 504,
        ..ProblemDetails::default()
    };
    Reply::Whole { response: Response::problem(&problem), fate: Fate::Ok, attempts: 0 }
}

/// Everything that asking the upstream takes, and storing its answer.
#[derive(Clone)]
struct Fetch {
    upstream: Upstream,
    uri: Uri,
    host: Option<Authority>,
    /// The client's own.
    client_headers: Fields,
    /// With our condition in the place of the client's.
    headers: Fields,
    is_stream: bool,
    key: Key,
    /// With what the answer is known to be chosen by.
    sharing: Key,
    asked: RequestDirectives,
    /// What is stored and can be confirmed.
    stored: Option<Arc<StoredResponse>>,
    mark: u64,
}

/// An answer whose body is on its way, and the place of its call.
type Sent = (Answer<Response<Body>>, Permit);

/// The result of asking the upstream.
enum FetchResult {
    /// An answer that may be kept; its body is on its way.
    Keep(Sent, Head),
    /// The upstream has confirmed what is kept.
    Renewed(Arc<StoredResponse>, Fate, u32),
    /// An answer that may be shared, and not kept.
    Share(Sent),
    /// An answer for one.
    Apart(Sent),
}

impl Flight for Fetch {
    type Key = Key;
    type Stored = Arc<StoredResponse>;
    type Reply = Reply;
    type Error = Fault;

    fn flights(&self) -> &SingleFlight<Key, LandingOf<Self>> {
        &self.store().flights
    }

    fn key(&self) -> Key {
        self.sharing.clone()
    }

    fn fits(&self, stored: &Self::Stored) -> bool {
        stored.is_for(&self.client_headers)
    }

    fn reply(&self, landed: Landed<Self::Stored, Fault>, _is_shared: bool) -> Reply {
        match landed {
            Ok((stored, fate, attempts)) => self.stored_reply(&stored, fate, attempts),
            Err(error) => Reply::Failed(error),
        }
    }

    /// The body is passed on while it is collected.
    async fn alone(self, context: Context<'_>) -> Reply {
        let params = self.upstream.policy().params();
        let answer = match self.send(&params, context).await {
            Ok(answer) => answer,
            Err(error) => return Err(error).into(),
        };
        match self.settle(answer, &params) {
            FetchResult::Renewed(stored, fate, attempts) => {
                self.stored_reply(&stored, fate, attempts)
            }
            FetchResult::Keep(mut answer, head) => {
                let body = std::mem::take(answer.0.value.body_mut());
                let bytes_max = cache_of(&params).answer_bytes_max;
                let keep = move |body| drop(self.keep(head.with(body), &params));
                *answer.0.value.body_mut() = match body.size_hint().lower() > bytes_max {
                    true => body,
                    false => Body::boxed(Tee::new(body, bytes_max, keep)),
                };
                Ok(answer).into()
            }
            FetchResult::Share(answer) | FetchResult::Apart(answer) => Ok(answer).into(),
        }
    }

    async fn fly(self, context: Context<'_>) -> LandingOf<Self> {
        let params = self.upstream.policy().params();
        let answer = match self.send(&params, context).await {
            Ok(answer) => answer,
            Err(error) => return Landing::for_all(&context, Err(error.map(Arc::new))),
        };
        let (mut answer, head) = match self.settle(answer, &params) {
            FetchResult::Renewed(stored, fate, attempts) => {
                return self.land(&context, stored, fate, attempts);
            }
            FetchResult::Keep(answer, head) => (answer, Some(head)),
            FetchResult::Share(answer) => (answer, None),
            FetchResult::Apart(answer) => return self.land_apart(&context, answer),
        };
        let body = std::mem::take(answer.0.value.body_mut());
        let body = match gather(body, cache_of(&params).answer_bytes_max).await {
            Gathered::Whole(body) => body,
            Gathered::Passing(body) => {
                *answer.0.value.body_mut() = body;
                return self.land_apart(&context, answer);
            }
        };
        let (Answer { value, fate, attempts, .. }, _place) = answer;
        match head {
            Some(head) => {
                let stored = self.keep(head.with(body), &params);
                self.land(&context, stored, fate, attempts)
            }
            // What is not stored is only here because all may have it.
            None => {
                let cache = cache_of(&params);
                let head =
                    Head::new(value.status(), value.headers(), &self.headers, None, &cache, now());
                Landing::for_all(&context, Ok((Arc::new(head.with(body)), fate, attempts)))
            }
        }
    }
}

impl Fetch {
    fn store(&self) -> &Arc<ResponseCache> {
        self.upstream.protocol().cache()
    }

    fn stored_reply(&self, stored: &StoredResponse, fate: Fate, attempts: u32) -> Reply {
        let age = stored.times.age(now());
        let response = stored.response(&self.client_headers, Some(age));
        Reply::Whole { response, fate, attempts }
    }

    fn land(
        &self,
        context: &Context<'_>,
        stored: Arc<StoredResponse>,
        fate: Fate,
        attempts: u32,
    ) -> LandingOf<Self> {
        let is_for_all = stored.times.may_stand_in(now());
        let landed = Ok((stored, fate, attempts));
        if is_for_all {
            return Landing::for_all(context, landed);
        }
        self.store().set_apart(&self.key);
        Landing::for_first(context, landed)
    }

    fn land_apart(&self, context: &Context<'_>, answer: Sent) -> LandingOf<Self> {
        self.store().set_apart(&self.key);
        Landing::for_one(context, Ok(answer).into())
    }

    async fn send(&self, params: &Params, context: Context<'_>) -> Result<Sent, CallError<Fault>> {
        let request = HttpRequest {
            host: self.host.clone(),
            headers: self.headers.clone(),
            is_stream: self.is_stream,
            // What is fetched may be for many, and must not hold on to the client that began it.
            ..HttpRequest::new(Method::GET, self.uri.clone())
        };
        self.upstream.send_by(params, &request, context).await
    }

    /// Says what may be done with an answer.
    fn settle(&self, answer: Sent, params: &Params) -> FetchResult {
        let (status, headers) = (answer.0.value.status(), answer.0.value.headers());
        let cache = cache_of(params);
        if status == StatusCode::NOT_MODIFIED
            && let Some(kept) = &self.stored
        {
            let version = answer.0.value.head().version;
            let said = |headers: &Fields| {
                // What was kept had an end.
                let version = version.max(http::Version::HTTP_2);
                ResponseDirectives::read(
                    &self.asked,
                    version,
                    kept.status,
                    headers,
                    SystemTime::now(),
                )
            };
            let renewed = kept.renewed(headers, &self.headers, said, &cache, now());
            let renewed = match renewed {
                Some(renewed) => self.keep(renewed, params),
                // It may not be kept any longer, but this once the upstream has confirmed it.
                None => {
                    self.store().change(&self.key);
                    kept.clone()
                }
            };
            return FetchResult::Renewed(renewed, answer.0.fate, answer.0.attempts);
        }
        if answer.0.fate.is_failure() {
            // One failure for all who wait is kinder than a call for each.
            let control = caching::CacheControl::read(headers);
            // A 429 may be about the caller that the headers name.
            let is_personal = control.private
                || headers.contains(name::SET_COOKIE)
                || status == StatusCode::TOO_MANY_REQUESTS;
            let is_one = is_personal || self.asked.is_personal || caching::vary(headers).is_none();
            return if is_one { FetchResult::Apart(answer) } else { FetchResult::Share(answer) };
        }
        let (version, now) = (answer.0.value.head().version, now());
        let said =
            ResponseDirectives::read(&self.asked, version, status, headers, SystemTime::now());
        let Some(said) = said else { return FetchResult::Apart(answer) };
        let head = Head::new(status, headers, &self.headers, Some(&said), &cache, now);
        if params.cache.is_some() && head.is_worth_keeping(now) {
            FetchResult::Keep(answer, head)
        } else if head.is_for_all(now) {
            FetchResult::Share(answer)
        } else {
            FetchResult::Apart(answer)
        }
    }

    fn keep(&self, kept: StoredResponse, params: &Params) -> Arc<StoredResponse> {
        let kept = Arc::new(kept);
        if let Some(cache) = &params.cache {
            self.store().keep(cache, &self.key, self.mark, kept.clone());
        }
        kept
    }
}

fn cache_of(params: &Params) -> cache::Params {
    params.cache.clone().unwrap_or_default()
}
