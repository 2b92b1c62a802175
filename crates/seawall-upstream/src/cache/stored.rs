//! One answer that is kept: what it says, by what it was chosen, and until when it may be used.
//!
//! Does not know where it is kept. Its body is whole, or it would not be here.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use seawall_http::Response;
use seawall_policy::cache::{self, Freshness, Own, Stale};
use seawall_wire::caching::{self, ResponseDirectives};
use seawall_wire::headers as rules;
use seawall_wire::name::{AGE, DATE, TRAILER, X_REQUEST_ID};
use seawall_wire::{Fields, NameSet, Value};

/// Holds one answer.
#[derive(Debug)]
pub(super) struct StoredResponse {
    pub(super) status: StatusCode,
    pub(super) headers: Fields,
    pub(super) body: Bytes,
    /// The headers that the answer was chosen by, with what the request said in them.
    chosen_by: Vec<(HeaderName, Option<Vec<u8>>)>,
    /// Whether it may be given to requests that say who asks.
    pub(super) is_declared: bool,
    pub(super) times: Freshness,
}

/// Holds an answer whose body is not here yet.
#[derive(Clone, Debug)]
pub(super) struct Head {
    status: StatusCode,
    headers: Fields,
    chosen_by: Vec<(HeaderName, Option<Vec<u8>>)>,
    is_declared: bool,
    times: Freshness,
}

impl Head {
    /// Takes an answer's head down; `said` is what it says of being kept, nothing if it is only
    /// shared.
    pub(super) fn new(
        status: StatusCode,
        headers: &Fields,
        request: &Fields,
        said: Option<&ResponseDirectives>,
        params: &cache::Params,
        now: Instant,
    ) -> Self {
        let mut headers = headers.clone();
        rules::strip_response(&mut headers);
        headers.remove_any(NOT_KEPT);
        // Whoever keeps an answer says when it came (RFC 9110, 6.6.1).
        if !headers.contains(DATE) {
            let date = httpdate::fmt_http_date(SystemTime::now());
            headers.append(DATE, Value::new(date.as_bytes()).unwrap_or("".into()));
        }
        // It must not hold on to all that came with it.
        let headers = headers.compact();
        let names = caching::vary(&headers).unwrap_or_default();
        let chosen_by = names.into_iter().map(|name| {
            let value = caching::selecting(request, &name);
            (name, value)
        });
        Self {
            status,
            chosen_by: chosen_by.collect(),
            headers,
            is_declared: said.is_some_and(|said| said.is_declared),
            times: params.times(&own(said), now),
        }
    }

    pub(super) fn with(self, body: Bytes) -> StoredResponse {
        let Self { status, headers, chosen_by, is_declared, times } = self;
        StoredResponse { status, headers, body, chosen_by, is_declared, times }
    }

    /// Returns whether all may have the answer who wait for it now.
    pub(super) fn is_for_all(&self, now: Instant) -> bool {
        self.times.may_stand_in(now)
    }

    /// Returns whether the answer can ever be used again: as it is, or after asking the upstream.
    pub(super) fn is_worth_keeping(&self, now: Instant) -> bool {
        self.times.may_stand_in(now)
            || caching::make_conditional(&mut Fields::default(), Some(&self.headers))
    }
}

impl StoredResponse {
    /// Returns whether the answer is the one for a request with these headers.
    pub(super) fn is_for(&self, request: &Fields) -> bool {
        self.chosen_by.iter().all(|(name, value)| caching::selecting(request, name) == *value)
    }

    /// Returns whether both were chosen by the same headers with the same words in them.
    pub(super) fn is_in_place_of(&self, other: &Self) -> bool {
        self.chosen_by == other.chosen_by
    }

    /// Lists the headers that the answer was chosen by.
    pub(super) fn chosen_by(&self) -> impl Iterator<Item = &HeaderName> {
        self.chosen_by.iter().map(|(name, _)| name)
    }

    /// Makes the answer that the upstream has confirmed; nothing if it may not be kept any longer, or
    /// if what was confirmed is another one.
    pub(super) fn renewed(
        &self,
        not_modified: &Fields,
        request: &Fields,
        said: impl Fn(&Fields) -> Option<ResponseDirectives>,
        params: &cache::Params,
        now: Instant,
    ) -> Option<Self> {
        if !caching::is_about(&self.headers, not_modified) {
            return None;
        }
        let mut headers = self.headers.clone();
        // Whatever it says of its date and its age is the new word.
        headers.remove(DATE);
        caching::update(&mut headers, not_modified);
        let said = said(&headers)?;
        let head = Head::new(self.status, &headers, request, Some(&said), params, now);
        Some(head.with(self.body.clone()))
    }

    /// Makes an answer of it; one without a body, if the client has it already.
    pub(super) fn response(&self, request: &Fields, age: Option<Duration>) -> Response<Bytes> {
        let is_known =
            self.status == StatusCode::OK && caching::is_not_modified(request, &self.headers);
        let mut response = Response::new(if is_known { Bytes::new() } else { self.body.clone() });
        let (status, mut headers) = match is_known {
            true => (StatusCode::NOT_MODIFIED, caching::for_not_modified(&self.headers)),
            false => (self.status, self.headers.clone()),
        };
        if let Some(age) = age {
            headers.insert_number(AGE, age.as_secs());
        }
        response.head_mut().status = status;
        response.head_mut().headers = headers;
        response
    }

    /// Returns how much room it takes.
    pub(super) fn bytes(&self) -> u64 {
        let chosen_by = self
            .chosen_by
            .iter()
            .map(|(name, value)| name.as_str().len() + value.as_ref().map_or(0, Vec::len));
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.as_bytes().len() + value.as_bytes().len() + HEADER_BYTES);
        let sum = chosen_by.sum::<usize>() + headers.sum::<usize>() + self.body.len();
        (sum + size_of::<Self>()) as u64
    }
}

/// Says in the policy's words what an answer says of itself.
fn own(said: Option<&ResponseDirectives>) -> Own {
    let Some(said) = said else {
        let never = Stale::Never;
        return Own {
            fresh_for: Some(Duration::ZERO),
            while_revalidate: never,
            on_error: never,
            age: Duration::ZERO,
        };
    };
    let stale = |own: Option<Duration>| match own {
        Some(own) => Stale::For(own),
        None if said.must_revalidate => Stale::Never,
        None => Stale::Unsaid,
    };
    Own {
        fresh_for: said.fresh_for,
        age: said.age,
        while_revalidate: stale(said.stale_while_revalidate),
        on_error: stale(said.stale_if_error),
    }
}

/// An id belongs to the request that it was the answer to, an age to the moment, and trailers are
/// not kept.
const NOT_KEPT: NameSet = NameSet::of(&[X_REQUEST_ID, AGE, TRAILER]);

/// What a field takes besides its letters.
const HEADER_BYTES: usize = 20;
