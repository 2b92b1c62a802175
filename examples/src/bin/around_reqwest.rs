//! A policy around a reqwest client, with a judge that knows HTTP.
//!
//!     cargo run -p seawall-examples --bin around_reqwest
//!
//! It starts a flaky upstream on 127.0.0.1 and shows what is repeated and what is not.

use std::time::Duration;

use http::{Method, Response};
use reqwest::{Body, Client, Request};
use seawall_call::layer::HttpVerdict;
use seawall_call::{CallError, Context, Judge, Policy};
use seawall_core::{Failure, Outcome, RetryDenied};
use seawall_testkit::{Reply, ScriptedUpstream};

/// Judges reqwest's results: answers as HTTP does, errors by where they happened.
struct Reqwest(HttpVerdict);

impl Judge<Response<Body>, reqwest::Error> for Reqwest {
    fn outcome(&self, result: Result<&Response<Body>, &reqwest::Error>) -> Outcome {
        match result {
            Err(error) if error.is_connect() => Outcome::Failure(Failure::Connect),
            other => self.0.outcome(other),
        }
    }

    fn may_repeat(
        &self,
        result: Option<Result<&Response<Body>, &reqwest::Error>>,
    ) -> Result<(), RetryDenied> {
        match result {
            // Nothing was sent, so nothing can be done twice: not even by a POST.
            Some(Err(error)) if error.is_connect() => Ok(()),
            other => self.0.may_repeat(other),
        }
    }

    fn may_hedge(&self) -> bool {
        Judge::<Response<Body>, reqwest::Error>::may_hedge(&self.0)
    }
}

/// Sends a request as often as the policy allows; each attempt is a copy of it.
async fn send(
    policy: &Policy,
    client: &Client,
    request: Request,
) -> Result<(String, u32), CallError<reqwest::Error>> {
    let judge = HttpVerdict::of(request.method(), request.headers(), &policy.params());
    let make = async |_| {
        // A body that is a stream cannot be copied; ours are texts.
        let copy = request.try_clone().expect("its body is a text");
        client.execute(copy).await.map(Response::from)
    };
    let (answer, _permit) = policy.call(Context::default(), &Reqwest(judge), make).await?;
    // The permit is held until the body is here: the upstream is busy until then.
    let status = answer.value.status();
    let body = reqwest::Response::from(answer.value).text().await;
    let body = body.map_err(|error| {
        let (attempts, endpoint) = (answer.attempts, Some(answer.endpoint));
        CallError::Failed { error, attempts, denied: None, endpoint }
    })?;
    Ok((format!("{status} {body}"), answer.attempts))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Of ten requests for one path the first is reset, the second refused, the third answered.
    let replies = || [Reply::reset(), Reply::status(503, "later"), Reply::ok("sunny")];
    // reqwest has retries of its own for what was never sent; here the policy decides alone.
    let client = Client::builder().retry(reqwest::retry::never()).build()?;
    let policy = Policy::builder()
        .total_timeout(Duration::from_secs(2))
        .limit(|limit| limit.in_flight_max = 32)
        .build()?;

    for method in [Method::GET, Method::POST] {
        let upstream = ScriptedUpstream::replies(replies()).await?;
        let request = client.request(method.clone(), upstream.url()).body("where?").build()?;
        match send(&policy, &client, request).await {
            Ok((answer, attempts)) => println!("{method}: {answer} after {attempts} attempts"),
            Err(error) => println!("{method}: {error}"),
        }
    }

    // A 503 that says when to come again is waited for, and one that asks for too long is passed on.
    for seconds in ["1", "60"] {
        let busy = Reply::with_headers(503, &[("retry-after", seconds)], "busy");
        let upstream = ScriptedUpstream::replies([busy, Reply::ok("sunny")]).await?;
        let started = tokio::time::Instant::now();
        let request = client.get(upstream.url()).build()?;
        let (answer, _) = send(&policy, &client, request).await?;
        let waited = started.elapsed() >= Duration::from_secs(1);
        println!("retry-after {seconds}: {answer}, waited: {waited}");
    }
    println!("{}", policy.params().describe());
    Ok(())
}
