//! A policy around a reqwest client.
//!
//!     cargo run -p seawall-examples --bin around_reqwest
//!
//! It starts a flaky upstream on 127.0.0.1 and shows what is repeated and what is not.

use std::time::Duration;

use reqwest::{Client, Method};
use seawall_call::Policy;
use seawall_testkit::{ScriptedReply, ScriptedUpstream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Of ten requests for one path the first is reset, the second refused, the third answered.
    let replies = || {
        [ScriptedReply::reset(), ScriptedReply::status(503, "later"), ScriptedReply::ok("sunny")]
    };
    // reqwest has retries of its own for what was never sent; here the policy decides alone.
    let inner = Client::builder().retry(reqwest::retry::never()).build()?;
    let policy = Policy::builder()
        .total_timeout(Duration::from_secs(2))
        .limit(|limit| limit.in_flight_max = 32)
        .build()?;
    let client = policy.client(inner.clone());

    for method in [Method::GET, Method::POST] {
        let upstream = ScriptedUpstream::replies(replies()).await?;
        let request = client.request(method.clone(), upstream.url()).body("where?");
        match request.send().await {
            Ok(answer) => println!("{method}: {} {}", answer.status(), answer.text().await?),
            Err(error) => println!("{method}: {error}"),
        }
    }

    // A 503 that says when to come again is waited for, and one that asks for too long is passed on.
    for seconds in ["1", "60"] {
        let busy = ScriptedReply::with_headers(503, &[("retry-after", seconds)], "busy");
        let upstream = ScriptedUpstream::replies([busy, ScriptedReply::ok("sunny")]).await?;
        let started = tokio::time::Instant::now();
        let answer = client.get(upstream.url()).send().await?;
        let waited = started.elapsed() >= Duration::from_secs(1);
        let status = answer.status();
        println!("retry-after {seconds}: {status} {}, waited: {waited}", answer.text().await?);
    }

    // A service that only answers 503: as in the README, and sixty more.
    let upstream = ScriptedUpstream::answering(|_| ScriptedReply::status(503, "no")).await?;
    let url = upstream.url();
    let policy = Policy::builder().total_timeout(Duration::from_secs(2)).build()?;
    let client = policy.client(inner);
    let mut refused = 0;
    for _ in 0..61 {
        refused += u32::from(client.get(&url).send().await.is_err());
    }
    println!("of 61 calls {refused} were not made, {} requests were sent", upstream.seen().len());
    println!("breaker: {:?}", policy.snapshot().breaker);
    println!("{}", policy.params().describe());
    Ok(())
}
