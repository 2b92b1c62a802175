//! Requests that ask the same at the same time share one call.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{CallEvent, CallEventKind, Event, Fate, ServerEvent};
use seawall_gateway::Server;
use seawall_policy::Params;
use seawall_testkit::{ScriptedReply, ScriptedUpstream, call_event, server_event};

use crate::cache::{Cached, body_of, get, params};
use crate::house::{House, until};

/// A gateway that shares calls, and an upstream that the test answers for.
async fn shared(cache: bool) -> (Arc<House>, ScriptedUpstream) {
    let params = match cache {
        true => params(|_| {}),
        false => Params::bare(),
    };
    let params = Params { coalesce: true, ..params };
    let upstream = ScriptedUpstream::conversation().await.unwrap();
    let house = House::with(upstream.address(), params, Server::default()).await;
    (Arc::new(house), upstream)
}

fn ask(house: &Arc<House>, headers: &str) -> tokio::task::JoinHandle<String> {
    let (house, request) = (house.clone(), get("/a", headers));
    tokio::spawn(async move { house.ask(&request).await })
}

/// Waits until so many requests wait in the gateway.
async fn waiting(house: &House, wanted: usize) {
    until(|| house.gateway.in_flight() == wanted, "they all wait").await;
}

#[tokio::test]
async fn a_hundred_requests_that_ask_the_same_make_one() {
    let (house, mut upstream) = shared(false).await;
    let asking: Vec<_> = (0..100).map(|_| ask(&house, "")).collect();
    waiting(&house, 100).await;
    upstream.asked().await.reply(ScriptedReply::ok("one for all"));
    for one in asking {
        let answer = one.await.unwrap();
        assert!(answer.ends_with("\r\n\r\none for all"), "{answer}");
        assert!(answer.contains("seawall-outcome: ok; upstream=origin; attempts=1;"), "{answer}");
    }
    assert_eq!(upstream.counts().requests, 1);
    assert_eq!(house.ledger.count(&call_event!(Coalesced { .. })), 99);
    // Nothing is kept: the next one asks again.
    let next = ask(&house, "");
    upstream.asked().await.reply(ScriptedReply::ok("another"));
    assert!(next.await.unwrap().ends_with("another"));
}

#[tokio::test]
async fn a_client_that_leaves_fails_nobody_and_the_last_one_takes_the_call_with_it() {
    let (house, mut upstream) = shared(false).await;
    let mut first = house.client().await;
    first.send(&get("/a", "")).await;
    let asked = upstream.asked().await;
    let second = ask(&house, "");
    waiting(&house, 2).await;
    drop(first);
    waiting(&house, 1).await;
    asked.reply(ScriptedReply::ok("still here"));
    assert!(second.await.unwrap().ends_with("still here"));
    assert_eq!(upstream.counts().requests, 1);

    let (mut first, mut second) = (house.client().await, house.client().await);
    first.send(&get("/a", "")).await;
    let _asked = upstream.asked().await;
    second.send(&get("/a", "")).await;
    waiting(&house, 2).await;
    drop(first);
    waiting(&house, 1).await;
    assert_eq!(upstream.counts().cancelled, 0);
    drop(second);
    upstream.cancelled(Duration::from_secs(5)).await;
    let requests = server_event!(RequestEnded { fate: Fate::Cancelled, .. });
    until(|| house.ledger.count(&requests) == 3, "all who left").await;
    let calls = call_event!(Ended { fate: Fate::Cancelled, .. });
    until(|| house.ledger.count(&calls) == 1, "their call").await;
}

#[tokio::test]
async fn each_has_its_own_deadline() {
    let (house, mut upstream) = shared(false).await;
    let short = ask(&house, "seawall-timeout-ms: 60\r\n");
    let asked = upstream.asked().await;
    let long = ask(&house, "");
    let answer = short.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
    asked.reply(ScriptedReply::ok("in time"));
    assert!(long.await.unwrap().ends_with("in time"));
    assert_eq!(upstream.counts().requests, 1);
}

#[tokio::test]
async fn what_may_not_be_shared_is_fetched_by_each() {
    for head in [("cache-control", "private"), ("set-cookie", "a=1"), ("cache-control", "no-store")]
    {
        let (house, mut upstream) = shared(true).await;
        let first = ask(&house, "");
        let asked = upstream.asked().await;
        let second = ask(&house, "");
        waiting(&house, 2).await;
        asked.reply(ScriptedReply::with_headers(200, &[head], "for the first"));
        assert!(first.await.unwrap().ends_with("for the first"), "{head:?}");
        upstream.asked().await.reply(ScriptedReply::with_headers(200, &[head], "for the second"));
        assert!(second.await.unwrap().ends_with("for the second"), "{head:?}");
        // It is known now: nobody waits for another one's any more.
        let (third, fourth) = (ask(&house, ""), ask(&house, ""));
        let both = (upstream.asked().await, upstream.asked().await);
        both.0.reply(ScriptedReply::with_headers(200, &[head], "x"));
        both.1.reply(ScriptedReply::with_headers(200, &[head], "x"));
        assert_eq!(body_of(&third.await.unwrap()), "x");
        assert_eq!(body_of(&fourth.await.unwrap()), "x");
    }
}

#[tokio::test]
async fn requests_that_say_who_asks_are_never_shared() {
    let (house, mut upstream) = shared(false).await;
    let (first, second) = (ask(&house, "cookie: a=1\r\n"), ask(&house, "cookie: a=1\r\n"));
    let both = (upstream.asked().await, upstream.asked().await);
    both.0.reply(ScriptedReply::ok("x"));
    both.1.reply(ScriptedReply::ok("x"));
    assert_eq!(body_of(&first.await.unwrap()), "x");
    assert_eq!(body_of(&second.await.unwrap()), "x");
}

#[tokio::test]
async fn an_answer_chosen_by_other_headers_is_not_shared() {
    let (house, mut upstream) = shared(false).await;
    let first = ask(&house, "accept-language: no\r\n");
    let asked = upstream.asked().await;
    let second = ask(&house, "accept-language: en\r\n");
    waiting(&house, 2).await;
    let lines = [("vary", "accept-language")];
    asked.reply(ScriptedReply::with_headers(200, &lines, "norsk"));
    assert_eq!(body_of(&first.await.unwrap()), "norsk");
    upstream.asked().await.reply(ScriptedReply::with_headers(200, &lines, "english"));
    assert_eq!(body_of(&second.await.unwrap()), "english");
}

#[tokio::test]
async fn one_failure_is_enough_for_all() {
    let (house, mut upstream) = shared(false).await;
    let asking: Vec<_> = (0..10).map(|_| ask(&house, "")).collect();
    waiting(&house, 10).await;
    upstream.asked().await.reply(ScriptedReply::status(503, "sorry"));
    for one in asking {
        let answer = one.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("sorry"), "{answer}");
        assert!(answer.contains("seawall-outcome: failed;"), "{answer}");
    }
    assert_eq!(upstream.counts().requests, 1);
}

#[tokio::test]
async fn a_body_that_comes_slowly_keeps_nobody_waiting() {
    let params = Params { coalesce: true, ..Params::bare() };
    let cached = Cached::with(params, |_, _| {
        ScriptedReply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .then_hang()
    });
    let cached = cached.await;
    let mut client = cached.house.client().await;
    client.send(&get("/a", "")).await;
    client.until("hello").await;
}

#[tokio::test]
async fn who_shared_an_answer_says_by_which_call_and_requests_are_found_by_theirs() {
    let (house, mut upstream) = shared(false).await;
    let asking: Vec<_> = (0..5).map(|_| ask(&house, "")).collect();
    waiting(&house, 5).await;
    upstream.asked().await.reply(Reply::ok("for all"));
    for asked in asking {
        assert!(asked.await.unwrap().ends_with("for all"));
    }
    let (mut requests, mut flights, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for event in house.ledger.all() {
        match event {
            Event::Server(ServerEvent::RequestStarted { call, .. }) => requests.push(*call),
            Event::Call(CallEvent { call, origin, kind: CallEventKind::Started, .. }) => {
                flights.push((*call, origin.parent));
            }
            Event::Call(CallEvent {
                call, kind: CallEventKind::Coalesced { flight, .. }, ..
            }) => {
                shared.push((*call, *flight));
            }
            _ => {}
        }
    }
    let [(flight, Some(first))] = flights[..] else { panic!("one call: {flights:?}") };
    assert!(!requests.contains(&flight), "it is nobody's own");
    let mut found: Vec<_> = shared.iter().map(|(call, _)| *call).chain([first]).collect();
    found.sort_unstable();
    requests.sort_unstable();
    assert_eq!(found, requests, "each request's call, and each once");
    assert!(shared.iter().all(|(_, by)| *by == flight), "{shared:?}");
}
