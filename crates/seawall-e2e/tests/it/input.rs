//! Bytes that must never be served: the corpus of raw requests, sent as they are.

use std::time::Duration;

use crate::corpus;
use crate::fixture::{Client, Exchange, Origin, Seawall};

/// A route for every path and every method that has a name.
fn open(origin: &Origin, more: &str) -> String {
    let mut text = format!("{more}\n[upstream.origin]\nurl = \"{}\"\n", origin.url());
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
        text += &format!("[[route]]\nmatch = \"{method} /{{*rest}}\"\nupstream = \"origin\"\n");
    }
    text
}

#[tokio::test]
async fn i1_of_all_requests_that_must_be_refused_none_is_served_and_none_of_the_others_is_refused()
{
    let origin = Origin::start(async |exchange: Exchange| exchange.answer(200, "").await);
    let seawall = Seawall::start(&open(&origin, "")).await;
    let (mut accepted, mut refused, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for entry in corpus::requests() {
        let mut client = Client::connect(seawall.address).await;
        let before = origin.seen.requests();
        client.send(&entry.bytes).await;
        match entry.verdict {
            "refuse" | "path" => {
                let good = usize::from(entry.name.starts_with("second-"));
                let mut answer = client.receive().await;
                for _ in 0..good {
                    answer = client.receive().await;
                }
                let status = answer.as_ref().map(|answer| answer.status);
                let served = origin.seen.requests() - before;
                if served > good || status.is_some_and(|status| status < 300) {
                    accepted.push(entry.name);
                } else if status != Some(entry.status) {
                    wrong.push(format!("{}: {status:?} instead of {}", entry.name, entry.status));
                }
                if entry.verdict == "refuse" && !client.is_closed_within(CLOSING).await {
                    wrong.push(format!("{}: the connection goes on", entry.name));
                }
            }
            "body" => {
                let answer = client.receive().await;
                if answer.is_some_and(|answer| answer.status < 300) {
                    accepted.push(entry.name);
                }
                if !client.is_closed_within(CLOSING).await {
                    wrong.push(format!("{}: the connection goes on", entry.name));
                }
            }
            "accept" => {
                for number in 1..=entry.status {
                    let answer = client.receive().await;
                    let status = answer.map(|answer| answer.status);
                    // Not every method and target of the corpus has a route here.
                    if !matches!(status, Some(200 | 204 | 404 | 405)) {
                        refused.push(format!("{} ({number}): {status:?}", entry.name));
                        break;
                    }
                }
            }
            _ => drop(client),
        }
    }
    assert!(accepted.is_empty(), "must be refused, but were served: {accepted:?}");
    assert!(refused.is_empty(), "must be served, but were refused: {refused:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    for head in origin.seen.heads() {
        let head = head.to_ascii_lowercase();
        let (_, headers) = head.split_once("\r\n").unwrap();
        let lengths = headers.matches("\r\ncontent-length:").count();
        let codings = headers.matches("\r\ntransfer-encoding:").count();
        assert!(lengths + codings <= 1, "framed in two ways: {head}");
        assert!(!headers.contains("\r\n ") && !headers.contains("\r\n\t"), "folded: {head}");
        assert!(!headers.contains("\r\nupgrade:") && !headers.contains("\r\nte:"), "{head}");
        assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']), "{head:?}");
    }
}

/// How long a refused connection may take to close; it may read away what is still coming.
const CLOSING: Duration = Duration::from_secs(5);

#[tokio::test]
async fn i3_an_early_answer_never_lets_an_unread_body_be_taken_for_a_request() {
    let origin = Origin::saying("origin");
    let limited = "[server]\nlimits = { body = \"1KiB\" }";
    let seawall = Seawall::start(&open(&origin, limited)).await;
    let poison = "GET /poison HTTP/1.1\r\nhost: x\r\n\r\n";
    let body = poison.repeat(100);
    let length = body.len();
    let early = [
        // Too large for its limit, and no method of any route.
        format!("POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"),
        format!("BREW /x HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"),
    ];

    for head in early {
        let mut client = Client::connect(seawall.address).await;
        client.send(&head).await;
        client.send(&body).await;
        let answer = client.receive().await.expect("an early answer");
        assert!((400..500).contains(&answer.status), "{head}: {}", answer.status);
        client.send("GET /next HTTP/1.1\r\nhost: x\r\n\r\n").await;
        if let Some(next) = client.receive().await {
            assert_eq!(next.text(), "origin", "{head}");
        }
    }
    assert!(!origin.seen.heads().iter().any(|head| head.contains("/poison")));
}

#[tokio::test]
async fn a_request_that_is_refused_ends_its_connection() {
    let origin = Origin::saying("origin");
    let seawall = Seawall::start(&open(&origin, "")).await;
    let mut client = Client::connect(seawall.address).await;

    client
        .send("POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    client.send("0\r\n\r\nGET /poison HTTP/1.1\r\nhost: x\r\n\r\n").await;

    assert_eq!(client.receive().await.unwrap().status, 400);
    assert!(client.is_closed_within(Duration::from_secs(5)).await);
    assert_eq!(origin.seen.requests(), 0);
}
