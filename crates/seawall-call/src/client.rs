//! A policy around a reqwest client.
//!
//! Does not know: sockets. Statuses, `Retry-After` and methods mean what they mean in
//! [`layer::HttpClassifier`](crate::layer::HttpClassifier). Invariant: a request whose body cannot be
//! copied is sent once; what reqwest could not even build says nothing about the upstream.

use std::future::pending;
use std::time::Duration;

use reqwest::{IntoUrl, Method, Request, Response, ResponseBuilderExt};
use seawall_core::{Chaos, Failure, Judge, Neutral, Outcome, RetryDenied};

use crate::layer::{HttpVerdict, PermitBody};
use crate::{Answer, CallError, Context, Permit, Policy};

/// A reqwest client whose requests go through a policy; made by [`Policy::client`].
///
/// A 5xx is a failure, 429 and a 503 with `Retry-After` are overload, all else is a success.
/// Idempotent methods (RFC 9110, 9.2.2) are repeated, others only if no connection could be opened,
/// or if the policy says so. Bodies that are in memory can be sent again, streams cannot. A place is
/// held until the answer's body has been read, and a body that breaks off counts as a failure.
///
/// One policy is for one service: make a client for each.
///
/// ```no_run
/// use std::time::Duration;
///
/// use seawall_call::Policy;
///
/// # async fn weather() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let policy = Policy::builder().total_timeout(Duration::from_secs(2)).build()?;
/// let client = policy.client(reqwest::Client::new());
/// let text = client.get("http://weather.example/oslo").send().await?.text().await?;
/// # drop(text);
/// # Ok(())
/// # }
/// ```
///
/// reqwest itself repeats what was provably never sent; to leave all repeating to the policy, build
/// its client with `.retry(reqwest::retry::never())`.
#[derive(Clone, Debug)]
pub struct Client {
    policy: Policy,
    client: reqwest::Client,
}

/// A request that is being put together; made by [`Client::request`] and its kin.
#[derive(Debug)]
#[must_use = "a request does nothing before it is sent"]
pub struct ClientRequest<'a> {
    client: &'a Client,
    builder: reqwest::RequestBuilder,
    context: Context<'a>,
}

impl Policy {
    /// Puts this policy around a reqwest client.
    pub fn client(&self, client: reqwest::Client) -> Client {
        Client { policy: self.clone(), client }
    }
}

impl Client {
    /// Begins a GET.
    pub fn get(&self, url: impl IntoUrl) -> ClientRequest<'_> {
        self.request(Method::GET, url)
    }

    /// Begins a POST; it is repeated only if it was never sent, or if the policy trusts its
    /// `Idempotency-Key`.
    pub fn post(&self, url: impl IntoUrl) -> ClientRequest<'_> {
        self.request(Method::POST, url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: impl IntoUrl) -> ClientRequest<'_> {
        self.request(Method::PUT, url)
    }

    /// Begins a DELETE.
    pub fn delete(&self, url: impl IntoUrl) -> ClientRequest<'_> {
        self.request(Method::DELETE, url)
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> ClientRequest<'_> {
        let builder = self.client.request(method, url);
        ClientRequest { client: self, builder, context: Context::default() }
    }

    /// Returns the policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends a request as often as the policy allows.
    ///
    /// # Errors
    ///
    /// As [`Policy::call`]. A status that says that the service failed is an answer, as it came.
    ///
    /// # Cancel safety
    ///
    /// As [`Policy::call`].
    pub async fn execute(
        &self,
        request: Request,
        context: Context<'_>,
    ) -> Result<Answer<Response>, CallError<reqwest::Error>> {
        let verdict = HttpVerdict::of(request.method(), request.headers(), &self.policy.params());
        let has_copy = request.body().is_none_or(|body| body.as_bytes().is_some());
        let judge = ReqwestJudge { verdict, has_copy };
        let mut kept = Some(request);
        let make = |_attempt| {
            let copy = kept.as_ref().and_then(Request::try_clone);
            let request = copy.or_else(|| kept.take());
            let client = self.client.clone();
            async move {
                match request {
                    Some(request) => client.execute(request).await,
                    // One that cannot be copied is never asked for twice.
                    None => pending().await,
                }
            }
        };
        let (answer, permit) = self.policy.call(context, &judge, make).await?;
        let Answer { value, fate, attempts, denied, endpoint } = answer;
        Ok(Answer { value: holding(value, permit), fate, attempts, denied, endpoint })
    }
}

impl<'a> ClientRequest<'a> {
    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|builder| builder.header(name, value))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|builder| builder.body(body))
    }

    /// Ends the call so long from now at the latest.
    pub fn within(mut self, limit: Duration) -> Self {
        self.context = self.context.within(limit);
        self
    }

    /// Says what the call brings along: its priority, its key, why it may end.
    pub fn context(mut self, context: Context<'a>) -> Self {
        self.context = context;
        self
    }

    /// Changes anything that reqwest's own builder can: `with(|builder| builder.json(&order))`.
    pub fn with(
        mut self,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Sends the request as often as the policy allows.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`]; a request that could not be built has failed without an attempt.
    ///
    /// # Cancel safety
    ///
    /// As [`Policy::call`].
    pub async fn send(self) -> Result<Response, CallError<reqwest::Error>> {
        let request = self.builder.build();
        let request = request.map_err(|error| CallError::Failed {
            error,
            attempts: 0,
            denied: None,
            endpoint: None,
        })?;
        self.client.execute(request, self.context).await.map(|answer| answer.value)
    }
}

/// Puts the permit into the answer's body.
fn holding(response: Response, permit: Permit) -> Response {
    // reqwest hands its answers out without their URL.
    let url = http::Response::builder().url(response.url().clone()).body(());
    let (mut head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    if let Ok(url) = url {
        head.extensions.extend(url.into_parts().0.extensions);
    }
    let body = reqwest::Body::wrap(PermitBody::new(body, permit));
    http::Response::from_parts(head, body).into()
}

/// Judges reqwest's results: answers as HTTP does, errors by where they happened.
struct ReqwestJudge {
    verdict: HttpVerdict,
    has_copy: bool,
}

impl Judge<Response, reqwest::Error> for ReqwestJudge {
    fn outcome(&self, result: Result<&Response, &reqwest::Error>) -> Outcome {
        match result {
            Ok(response) => self.verdict.of_head(response.status(), response.headers()),
            Err(error) if error.is_builder() || error.is_redirect() => {
                Outcome::Neutral(Neutral::LocalReject)
            }
            Err(error) if error.is_connect() => Outcome::Failure(Failure::Connect),
            Err(error) if error.is_timeout() => Outcome::Failure(Failure::TimedOut),
            Err(_) => Outcome::Failure(Failure::Reset),
        }
    }

    fn may_repeat(
        &self,
        result: Option<Result<&Response, &reqwest::Error>>,
    ) -> Result<(), RetryDenied> {
        if !self.has_copy {
            return Err(RetryDenied::Body);
        }
        match result {
            // Nothing was sent, so nothing can be done twice: not even by a POST.
            Some(Err(error)) if error.is_connect() => Ok(()),
            Some(Ok(response)) => self.verdict.may_repeat_head(response.headers()),
            _ => self.verdict.may_repeat_any(),
        }
    }

    fn may_hedge(&self) -> bool {
        self.has_copy && self.verdict.may_repeat_any().is_ok()
    }

    fn injected(&self, what: Chaos) -> Option<Result<Response, reqwest::Error>> {
        // reqwest's errors are its own to make.
        (what == Chaos::Error).then(|| {
            let mut response = http::Response::new(reqwest::Body::default());
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            Ok(response.into())
        })
    }
}
