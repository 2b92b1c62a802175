//! I1: the corpus of raw requests over real sockets, with an origin that counts what reaches it.

use seawall_gateway::{Server, Settings};
use seawall_policy::Params;
use seawall_testkit::{Events, ScriptedReply, ScriptedUpstream, Seen};

use crate::corpus::{Entry, requests};
use crate::house::{House, route, upstream};

async fn origin() -> ScriptedUpstream {
    ScriptedUpstream::replies([ScriptedReply::ok("ok")]).await.unwrap()
}

async fn house(origin: &ScriptedUpstream) -> House {
    let ledger = std::sync::Arc::new(Events::default());
    let upstream = upstream(origin.address(), Params::standard(), &ledger);
    let routes = vec![route("* /", &upstream), route("* /{*rest}", &upstream)];
    House::serving(Settings { server: Server::default(), routes }, ledger).await
}

/// Sends an entry, and then a request that closes the connection; returns all the answers.
async fn play(house: &House, entry: &Entry) -> String {
    let mut client = house.client().await;
    // Whoever is refused may be cut off while it is still sending.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, &entry.bytes).await;
    if entry.name == "line-without-end" {
        // What comes after it would give it an end.
        return client.rest().await;
    }
    let last = b"GET /last HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, last).await;
    client.rest().await
}

fn statuses(answers: &str) -> Vec<u16> {
    let starts = answers.split("HTTP/1.").skip(1);
    starts.filter_map(|text| text.get(2..5)?.parse().ok()).filter(|status| *status >= 200).collect()
}

fn entries(verdict: &'static str) -> impl Iterator<Item = Entry> {
    requests().into_iter().filter(move |entry| entry.verdict == verdict)
}

#[tokio::test]
async fn i1_what_must_be_refused_is_refused_and_never_reaches_the_origin() {
    let origin = origin().await;
    let house = house(&origin).await;
    for entry in entries("refuse") {
        let before = origin.counts().requests;
        let answers = play(&house, &entry).await;
        let statuses = statuses(&answers);
        assert_eq!(statuses.last(), Some(&entry.status), "{}: {answers}", entry.name);
        // Whole requests before the refused one are answered, and nothing after it.
        let reached = origin.counts().requests - before;
        assert_eq!(reached as usize, statuses.len() - 1, "{}: {answers}", entry.name);
        assert!(answers.contains("connection: close\r\n"), "{}: {answers}", entry.name);
        assert!(answers.contains("application/problem+json"), "{}: {answers}", entry.name);
    }
    assert!(origin.seen().iter().all(|seen| seen.target() != "/last"));
}

#[tokio::test]
async fn i1_a_body_that_must_be_refused_is_never_answered_with_success() {
    let origin = origin().await;
    let house = house(&origin).await;
    for entry in entries("body") {
        let answers = play(&house, &entry).await;
        assert!(matches!(statuses(&answers)[..], [] | [400 | 431]), "{}: {answers}", entry.name);
    }
    assert!(origin.seen().iter().all(|seen| seen.target() != "/last"));
}

#[tokio::test]
async fn a6_a_path_that_must_be_refused_never_reaches_the_origin() {
    let origin = origin().await;
    let house = house(&origin).await;
    for entry in entries("path") {
        let before = origin.seen().len();
        let answers = play(&house, &entry).await;
        assert_eq!(statuses(&answers).first(), Some(&400), "{}: {answers}", entry.name);
        let seen = origin.seen();
        assert!(seen[before..].iter().all(|seen| seen.target() == "/last"), "{}", entry.name);
    }
}

#[tokio::test]
async fn i1_what_must_be_accepted_is_answered_and_reaches_the_origin_in_one_meaning() {
    let origin = origin().await;
    let house = house(&origin).await;
    for entry in entries("accept") {
        let before = origin.seen().len();
        let answers = play(&house, &entry).await;
        let statuses = statuses(&answers);
        // HTTP/1.0 ends after one; everything else goes on to the last request.
        let is_old = entry.bytes.windows(8).any(|window| window == b"HTTP/1.0");
        let wanted = usize::from(entry.status) + usize::from(!is_old);
        assert_eq!(statuses.len(), wanted, "{}: {answers}", entry.name);
        let is_good = |status: &u16| matches!(status, 200 | 204);
        assert!(statuses.iter().all(is_good), "{}: {answers}", entry.name);
        let asks_us = entry.bytes.starts_with(b"OPTIONS * ");
        let seen = &origin.seen()[before..];
        assert_eq!(seen.len(), wanted - usize::from(asks_us), "{}", entry.name);
        for seen in seen {
            check_forwarded(seen, entry.name);
        }
    }
}

/// Checks that a request at the origin has one framing, one host, and no header of another hop.
fn check_forwarded(seen: &Seen, name: &str) {
    let lengths = seen.header_values("content-length").len();
    let encodings = seen.header_values("transfer-encoding").len();
    assert!(lengths + encodings <= 1, "{name}: {}", seen.head);
    assert_eq!(seen.header_values("host").len(), 1, "{name}: {}", seen.head);
    for hop in ["connection", "upgrade", "te", "trailer", "expect", "http2-settings"] {
        assert_eq!(seen.header(hop), None, "{name}: {}", seen.head);
    }
    let lines = seen.head.split("\r\n");
    assert!(lines.clone().all(|line| !line.contains(['\n', '\r', '\0'])), "{name}: {}", seen.head);
    assert!(lines.clone().all(|line| !line.starts_with([' ', '\t'])), "{name}: {}", seen.head);
}
