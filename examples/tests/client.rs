//! A reqwest client whose requests go through a policy.

use std::time::Duration;

use reqwest::Method;
use seawall_call::{BreakerState, CallError, Client, Policy, RetryDenied};
use seawall_testkit::{ScriptedReply, ScriptedUpstream};

fn client(policy: &Policy) -> Client {
    let client = reqwest::Client::builder().retry(reqwest::retry::never());
    policy.client(client.build().expect("it needs no certificates"))
}

fn standard() -> Policy {
    Policy::builder().total_timeout(Duration::from_secs(5)).build().expect("it is sound")
}

async fn replies(replies: impl IntoIterator<Item = ScriptedReply>) -> ScriptedUpstream {
    ScriptedUpstream::replies(replies).await.expect("a free port")
}

#[tokio::test]
async fn sixty_one_calls_to_a_service_that_only_answers_503_open_the_breaker() {
    let upstream = ScriptedUpstream::answering(|_| ScriptedReply::status(503, "no")).await;
    let upstream = upstream.expect("a free port");
    let policy = standard();
    let client = client(&policy);
    let mut refused = 0;
    for _ in 0..61 {
        match client.get(upstream.url()).send().await {
            Ok(answer) => assert_eq!(answer.status(), 503),
            Err(error) => {
                assert!(matches!(error, CallError::BreakerOpen { .. }), "{error:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(policy.snapshot().breaker, Some(BreakerState::Open));
    assert!(upstream.seen().len() <= 20 && refused >= 45, "{refused} of 61 were refused");
}

#[tokio::test]
async fn what_may_be_sent_again_is_and_keeps_its_url() {
    let upstream = replies([
        ScriptedReply::reset(),
        ScriptedReply::status(503, "no"),
        ScriptedReply::ok("sunny"),
    ])
    .await;
    let client = client(&standard());
    let url = format!("{}/oslo", upstream.url());
    let answer = client.request(Method::PUT, &url).body("where?").send().await.expect("it answers");
    assert_eq!(answer.url().as_str(), url);
    assert_eq!(answer.text().await.expect("it has a body"), "sunny");
    assert!(upstream.seen().iter().all(|seen| &*seen.body == b"where?"));
}

#[tokio::test]
async fn what_may_not_be_done_twice_is_sent_once() {
    let upstream = replies([ScriptedReply::status(503, "no"), ScriptedReply::ok("sunny")]).await;
    let client = client(&standard());
    let request = client.post(upstream.url()).with(|builder| builder.body("pay"));
    let answer = request.send().await.expect("what the upstream said");
    assert_eq!(answer.status(), 503);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_built_says_nothing_about_the_upstream() {
    let policy = standard();
    let error = client(&policy).get("no url").send().await.expect_err("it is none");
    assert!(matches!(error, CallError::Failed { attempts: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again_even_by_a_post() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let error = client(&standard()).post(format!("http://{address}/")).send().await;
    let error = error.expect_err("nobody listens");
    assert_eq!((error.attempts(), error.denied()), (3, Some(RetryDenied::Attempts)));
}

#[tokio::test]
async fn a_place_is_held_until_the_body_has_been_read() {
    let upstream = replies([ScriptedReply::ok("sunny")]).await;
    let policy = standard();
    let answer = client(&policy).get(upstream.url()).send().await.expect("it answers");
    assert_eq!(policy.snapshot().in_flight, 1);
    assert_eq!(answer.text().await.expect("it has a body"), "sunny");
    assert_eq!(policy.snapshot().in_flight, 0);
}

#[test]
fn the_readme_shows_what_the_example_does() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../src/bin/around_reqwest.rs");
    for line in [
        "let policy = Policy::builder().total_timeout(Duration::from_secs(2)).build()?;",
        "policy.client(",
        "client.get(",
    ] {
        assert!(readme.contains(line) && example.contains(line), "{line}");
    }
}
