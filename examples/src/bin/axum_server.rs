//! A policy in an axum server: around what a handler calls, and around the server itself.
//!
//!     cargo run -p seawall-examples --bin axum_server
//!
//! It starts a weather service that fails at first, an axum server in front of it, and asks that
//! server a few times. Nothing leaves 127.0.0.1.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use seawall_call::layer::{HttpClassifier, PermitBody, PolicyLayer};
use seawall_call::{Builder, CallError, Policy};
use seawall_policy::Params;
use seawall_testkit::{ScriptedReply, ScriptedUpstream};
use tower::ServiceBuilder;

/// What every handler needs: clones share one client and one policy's state.
#[derive(Clone)]
struct Weather {
    client: reqwest::Client,
    url: String,
    policy: Policy,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two failures, one good answer, and then nothing but failures.
    let broken = || ScriptedReply::status(503, "later");
    let replies = [broken(), broken(), ScriptedReply::ok("sunny"), broken()];
    let upstream = ScriptedUpstream::replies(replies).await?;

    // Around the call: retries, a breaker, a deadline of two seconds.
    let policy = Policy::builder()
        .total_timeout(Duration::from_secs(2))
        .breaker(|breaker| breaker.consecutive = 5)
        .build()?;
    let weather = Weather { client: reqwest::Client::new(), url: upstream.url(), policy };

    // Around the server: no more than 64 requests at once, and a deadline; nothing is repeated.
    let guard = Builder::from(Params::bare())
        .total_timeout(Duration::from_secs(5))
        .limit(|limit| limit.in_flight_max = 64)
        .build()?;
    let refusals = HandleErrorLayer::new(async |error: CallError<Infallible>| {
        error.to_response::<Body>("this server")
    });
    // A place is held until the body has been read, not only until its head is there.
    let http =
        HttpClassifier::new().holding(|body, ticket| Body::new(PermitBody::new(body, ticket)));
    let guard = PolicyLayer::new(guard).classified(http);
    let router = Router::new().route("/weather/{city}", get(ask)).with_state(weather.clone());
    let router = router.layer(ServiceBuilder::new().layer(refusals).layer(guard));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    for number in 1..=4 {
        let response = reqwest::get(format!("http://{address}/weather/oslo")).await?;
        println!("{number}: {} {}", response.status(), response.text().await?);
    }
    println!("breaker: {:?}", weather.policy.snapshot().breaker);
    println!("requests that the upstream has seen: {}", upstream.counts().requests);
    server.abort();
    Ok(())
}

/// Asks the upstream, as often as its policy allows.
async fn ask(State(weather): State<Weather>, Path(city): Path<String>) -> Response {
    let answer = weather
        .policy
        .run(async |_| {
            // A status other than success is an error here, and so worth another attempt.
            let url = format!("{}/{city}", weather.url);
            weather.client.get(url).send().await?.error_for_status()?.text().await
        })
        .await;
    match answer {
        Ok(answer) => answer.value.into_response(),
        Err(error) => error.to_response::<Body>("weather"),
    }
}
