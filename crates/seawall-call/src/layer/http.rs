//! What HTTP requests and answers mean to a policy.
//!
//! Does not know: clients, servers, sockets. Whether a request may be repeated is decided by the
//! request, never by the answer: an attempt that timed out has no answer to look at.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use seawall_core::{Deadline, Failure, Judge, Outcome, Priority, RetryDenied};
use seawall_policy::Params;
use seawall_wire::verdict::{self, Pushback};

use super::{Classify, KeepPermit, LetGo};
use crate::{Context, Permit, Policy};

/// Judges HTTP by status and method, and copies requests as `B` copies bodies.
///
/// - 5xx is a failure, 429 and a 503 with `Retry-After` are overload, all else is a success; an
///   `Err` of the service is a lost connection.
/// - Only idempotent methods are repeated (RFC 9110, 9.2.2), unless the policy says `any_method`,
///   or trusts an `Idempotency-Key` and there is one; and only where the body can be copied.
/// - A [`Deadline`], a [`Priority`], a [`Policy`] and an `Arc<Params>` among the request's
///   extensions are its own: when its caller stops waiting, how much it matters, the policy of its
///   host or tenant, and numbers for it alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpClassifier<B = Empty, K = LetGo> {
    bodies: B,
    keep: K,
}

/// Copies only bodies that are empty: those of any type that can be made empty, like axum's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

/// Copies bodies by cloning them: `Bytes`, `String`, `Full<Bytes>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cloned;

/// Copies a body for another attempt.
pub trait CopyBody<B> {
    /// Returns a copy; `None` if the body can be sent only once.
    fn copy(&self, body: &B) -> Option<B>;
}

impl<B: Body + Default> CopyBody<B> for Empty {
    fn copy(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

impl<B: Clone> CopyBody<B> for Cloned {
    fn copy(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

impl HttpClassifier {
    /// Repeats requests without a body.
    pub const fn new() -> Self {
        Self { bodies: Empty, keep: LetGo }
    }

    /// Repeats requests whose body can be cloned.
    pub const fn cloned() -> HttpClassifier<Cloned> {
        HttpClassifier { bodies: Cloned, keep: LetGo }
    }
}

impl<B> HttpClassifier<B> {
    /// Repeats requests whose body `bodies` can copy.
    pub const fn copied_by(bodies: B) -> Self {
        Self { bodies, keep: LetGo }
    }
}

impl<B, K> HttpClassifier<B, K> {
    /// Holds an attempt's place in the bulkhead until its answer's body has been read, and tells
    /// the breaker if that fails. `keep` puts the permit into the body; for axum:
    ///
    /// ```
    /// use axum::body::Body;
    /// use seawall_call::layer::{PermitBody, HttpClassifier};
    ///
    /// let classify = HttpClassifier::new().holding(|body, permit| Body::new(PermitBody::new(body, permit)));
    /// # let _ = |layer: seawall_call::layer::PolicyLayer| layer.classified(classify);
    /// ```
    pub fn holding<R, F: Fn(R, Permit) -> R>(self, keep: F) -> HttpClassifier<B, F> {
        HttpClassifier { bodies: self.bodies, keep }
    }
}

/// Judges the attempts of one HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct HttpVerdict {
    is_repeatable: bool,
}

impl HttpVerdict {
    /// Judges the attempts of a request with this method and these headers, as a policy of these
    /// numbers allows: for clients that are called without a layer.
    pub fn of(method: &Method, headers: &HeaderMap, params: &Params) -> Self {
        let is_allowed = params.retry.as_ref().is_some_and(|retry| {
            retry.any_method || (retry.idempotency_key && headers.contains_key("idempotency-key"))
        });
        Self { is_repeatable: is_allowed || method.is_idempotent() }
    }

    /// Says what an answer with this head says about its upstream.
    pub(crate) fn of_head(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        verdict::of_head(status, headers, SystemTime::now)
    }

    /// Says whether the request may be sent again after an answer with these headers.
    pub(crate) fn may_repeat_head(&self, headers: &HeaderMap) -> Result<(), RetryDenied> {
        if verdict::pushback(headers) == Some(Pushback::Never) {
            return Err(RetryDenied::Pushback);
        }
        self.may_repeat_any()
    }

    /// Says whether the request may be sent again whatever became of it.
    pub(crate) fn may_repeat_any(&self) -> Result<(), RetryDenied> {
        if self.is_repeatable { Ok(()) } else { Err(RetryDenied::Method) }
    }
}

impl<B, R, E, C, K> Classify<Request<B>, Response<R>, E> for HttpClassifier<C, K>
where
    C: CopyBody<B> + Clone,
    K: KeepPermit<R> + Clone,
{
    type Judge = HttpVerdict;

    fn judge(&self, request: &Request<B>, params: &Params) -> HttpVerdict {
        HttpVerdict::of(request.method(), request.headers(), params)
    }

    fn copy(&self, request: &Request<B>, judge: &HttpVerdict) -> Option<Request<B>> {
        if !judge.is_repeatable {
            return None;
        }
        let mut copy = Request::new(self.bodies.copy(request.body())?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }

    fn context(&self, request: &Request<B>) -> Context<'static> {
        let extensions = request.extensions();
        Context {
            deadline: extensions.get::<Deadline>().copied(),
            priority: extensions.get::<Priority>().copied().unwrap_or_default(),
            ..Context::default()
        }
    }

    fn finish(&self, response: Response<R>, permit: Permit) -> Response<R> {
        response.map(|body| self.keep.keep(body, permit))
    }

    fn policy(&self, request: &Request<B>) -> Option<Policy> {
        request.extensions().get::<Policy>().cloned()
    }

    fn params(&self, request: &Request<B>) -> Option<Arc<Params>> {
        request.extensions().get::<Arc<Params>>().cloned()
    }
}

impl<R, E> Judge<Response<R>, E> for HttpVerdict {
    fn outcome(&self, result: Result<&Response<R>, &E>) -> Outcome {
        match result {
            Ok(response) => self.of_head(response.status(), response.headers()),
            Err(_) => Outcome::Failure(Failure::Reset),
        }
    }

    fn may_repeat(&self, result: Option<Result<&Response<R>, &E>>) -> Result<(), RetryDenied> {
        match result {
            Some(Ok(response)) => self.may_repeat_head(response.headers()),
            _ => self.may_repeat_any(),
        }
    }

    fn may_hedge(&self) -> bool {
        self.is_repeatable
    }
}
