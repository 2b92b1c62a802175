//! The strategies as an operator sets them, on the binary: endpoints, routes' own policies, callers
//! counted apart, breakers and faults by hand.

use std::time::Duration;

use crate::fixture::{Client, Origin, Seawall, until};

const ROUTE: &str = "[[route]]\nmatch = \"GET /api/{name}\"\nupstream = \"origin\"\n";

fn settings(origin: &Origin, more: &str) -> String {
    format!("{more}\n[upstream.origin]\nurl = \"{}\"\n{ROUTE}", origin.url())
}

#[tokio::test]
async fn a_breaker_that_is_opened_by_hand_refuses_until_it_is_released() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    assert_eq!(seawall.get("/api/x").await.status, 200);

    let (code, said) = seawall.ask(&["breaker", "open", "origin", "--for", "10m"]);
    assert_eq!((code, said.trim()), (0, "origin: not called for 600s"));
    let refused = seawall.get("/api/x").await;
    assert_eq!((refused.status, origin.seen.requests()), (503, 1));
    assert!(refused.header("seawall-outcome").unwrap().starts_with("rejected_breaker"));
    let (code, said) = seawall.ask(&["breaker", "ls"]);
    assert!(code == 0 && said.contains("isolated"), "{said}");

    assert_eq!(seawall.ask(&["breaker", "release", "origin"]).0, 0);
    assert_eq!(seawall.get("/api/x").await.status, 200);
    let (code, said) = seawall.ask(&["breaker", "open", "orign"]);
    assert!(code == 1 && said.contains("there are: origin"), "{code}: {said}");
}

#[tokio::test]
async fn faults_are_injected_only_where_the_settings_allow_it_and_until_they_are_ended() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    let (code, said) = seawall.ask(&["chaos", "origin", "--fail", "100%"]);
    assert!(code == 1 && said.contains("admin.chaos = true"), "{code}: {said}");
    assert_eq!(seawall.get("/api/x").await.status, 200);

    let off = "[policy.standard]\nretry = \"off\"\n";
    let allowed = settings(&origin, &format!("{off}[admin]\nchaos = true"));
    let seawall = Seawall::start(&allowed).await;
    assert_eq!(seawall.ask(&["chaos", "origin", "--fail", "100%", "--for", "1h"]).0, 0);
    let failed = seawall.get("/api/x").await;
    assert_eq!((failed.status, failed.header("seawall-chaos")), (503, Some("error")));
    assert!((seawall.metric("seawall_call_chaos_total", &["\"error\""]).await - 1.0).abs() < 0.5);
    assert_eq!(seawall.ask(&["chaos", "origin", "--clear"]).0, 0);
    assert_eq!(seawall.get("/api/x").await.status, 200);
}

#[tokio::test]
async fn a_retry_goes_to_another_endpoint_and_the_bad_one_is_left_out() {
    let good = Origin::saying("good");
    let bad = Origin::start(move |exchange| exchange.answer(503, "bad"));
    let upstream = format!(
        "[policy.standard.outlier]\nconsecutive = 3\n[upstream.origin]\nurl = \"{}\"\n\
         endpoints = [\"{}\"]\n{ROUTE}",
        bad.url(),
        good.url()
    );
    let seawall = Seawall::start(&upstream).await;
    for _ in 0..40 {
        assert_eq!(seawall.get("/api/x").await.text(), "good");
    }
    assert_eq!(bad.seen.requests(), 3, "three in a row, and it is out");
    assert!((seawall.metric("seawall_upstream_endpoints_out", &[]).await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn callers_with_keys_of_their_own_do_not_take_each_others_rate() {
    let origin = Origin::saying("ok");
    let rate = "[policy.standard.rate]\nlimit = \"2/h\"\nburst = 2\nkey = \"header:x-api-key\"\n";
    let seawall = Seawall::start(&settings(&origin, rate)).await;
    let mut client = Client::connect(seawall.address).await;
    let mut statuses = Vec::new();
    for key in ["a", "a", "a", "b", "b", "b", "a"] {
        client.send(format!("GET /api/x HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n")).await;
        let answer = client.receive().await.unwrap();
        assert!(answer.header("ratelimit").is_some(), "{}", answer.head);
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 200, 429, 429]);
}

#[tokio::test]
async fn a_route_with_its_own_policy_shares_the_upstreams_places() {
    let origin = Origin::silent();
    let text = format!(
        "[policy.standard]\nlimit = {{ in_flight = 1, queue = 0 }}\n\
         [policy.hasty]\ntotal_timeout = \"300ms\"\nretry = \"off\"\n\
         [upstream.origin]\nurl = \"{}\"\n{ROUTE}\
         [[route]]\nmatch = \"GET /hasty/{{name}}\"\nupstream = \"origin\"\npolicy = \"hasty\"\n",
        origin.url()
    );
    let seawall = Seawall::start(&text).await;
    assert_eq!(seawall.get("/hasty/x").await.status, 504, "its own deadline");
    let mut waiting = Client::connect(seawall.address).await;
    waiting.send("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until("the one place is taken", || origin.seen.now() == 1).await;
    let refused = seawall.get("/hasty/x").await;
    assert!(refused.header("seawall-outcome").unwrap().starts_with("rejected_bulkhead"));
}

#[tokio::test]
async fn a_slow_attempt_is_hedged_and_its_loser_is_dropped() {
    let origin = Origin::start(async |exchange| {
        // The first is never answered.
        match exchange.number {
            1 => exchange.wait_until_gone().await,
            _ => exchange.answer(200, "second").await,
        }
    });
    let hedge = "[policy.standard]\nhedge = { after = \"30ms\", at_most = \"100%\" }\n";
    let seawall = Seawall::start(&settings(&origin, hedge)).await;
    let answer = seawall.get("/api/x").await;
    assert_eq!(answer.text(), "second");
    assert!(answer.header("seawall-outcome").unwrap().starts_with("ok_hedged"), "{}", answer.head);
    until("the loser's connection is gone", || origin.seen.gone().len() == 1).await;
    let won = seawall.metric("seawall_call_hedges_total", &["\"won\""]).await;
    assert!((won - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn low_priority_leaves_places_for_the_others() {
    let origin = Origin::start(async |exchange| {
        exchange.answer_after(Duration::from_millis(400), "late").await
    });
    let text = format!(
        "[policy.standard]\nlimit = {{ in_flight = 2, queue = 0 }}\nshed = {{ low_places = \"50%\" }}\n\
         [upstream.origin]\nurl = \"{}\"\n{ROUTE}\
         [[route]]\nmatch = \"GET /low/{{name}}\"\nupstream = \"origin\"\npriority = \"low\"\n",
        origin.url()
    );
    let seawall = Seawall::start(&text).await;
    let mut first = Client::connect(seawall.address).await;
    first.send("GET /low/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until("one place of two is taken", || origin.seen.now() == 1).await;
    let shed = seawall.get("/low/x").await;
    assert!(shed.header("seawall-outcome").unwrap().starts_with("rejected_shed"), "{}", shed.head);
    assert_eq!(seawall.get("/api/x").await.status, 200);
    assert_eq!(first.receive().await.unwrap().status, 200);
}

/// An upstream that tells the caller `greedy` to ask less often, and answers all others.
fn counting_callers() -> Origin {
    Origin::start(async |mut exchange| {
        if exchange.header("x-caller") == Some("greedy") {
            exchange.answer_with(429, "retry-after: 60\r\n", b"slower").await;
            Some(exchange)
        } else {
            exchange.answer(200, "ok").await
        }
    })
}

/// Lets one caller be told to ask less often, 40 times; returns what the next caller is told.
async fn after_the_429s_of_another(seawall: &Seawall) -> u16 {
    let mut client = Client::connect(seawall.address).await;
    for number in 0..40 {
        client.send("GET /api/x HTTP/1.1\r\nhost: x\r\nx-caller: greedy\r\n\r\n").await;
        let answer = client.receive().await.unwrap();
        if answer.status != 429 {
            assert_eq!(answer.status, 503, "the breaker's word, at {number}");
            break;
        }
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
    seawall.get("/api/x").await.status
}

#[tokio::test]
async fn the_429s_of_one_caller_refuse_nobody_else() {
    let (one, other) = (counting_callers(), counting_callers());
    let strict = "[policy.standard]\nbreaker = { of_at_least = 5, consecutive = 5 }\n\
        outlier = { consecutive = 5 }\nadaptive = {}\n";
    let seawall = Seawall::start(&settings(&one, strict)).await;
    assert_eq!(after_the_429s_of_another(&seawall).await, 200);

    let several = format!(
        "{strict}[upstream.origin]\nurl = \"{}\"\nendpoints = [\"{}\"]\n{ROUTE}",
        one.url(),
        other.url()
    );
    let seawall = Seawall::start(&several).await;
    assert_eq!(after_the_429s_of_another(&seawall).await, 200);
    assert!(seawall.metric("seawall_upstream_endpoints_out", &[]).await < 0.5);
}

#[tokio::test]
async fn where_the_settings_say_that_the_upstream_means_itself_429s_open_the_breaker() {
    let origin = counting_callers();
    let counted = "[policy.standard]\ncount_429 = true\nbreaker = { of_at_least = 5 }\n";
    let seawall = Seawall::start(&settings(&origin, counted)).await;
    assert_eq!(after_the_429s_of_another(&seawall).await, 503);
}
