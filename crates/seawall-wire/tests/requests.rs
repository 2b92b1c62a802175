//! Row I1: the corpus of raw requests, whole and in pieces.

mod corpus;

use std::sync::LazyLock;

use corpus::{Entry, requests};
use proptest::prelude::*;
use seawall_wire::http1::{HeadLimits, Piece, Reader, Refusal, StreamPosition};
use seawall_wire::path;

static REQUESTS: LazyLock<Vec<Entry>> = LazyLock::new(requests);

/// What came of feeding a stream.
#[derive(Debug, PartialEq)]
struct Fed {
    passed: Vec<u8>,
    refused: Option<Refusal>,
    place: StreamPosition,
}

/// Feeds `bytes` as a connection would, in pieces that end at `cuts`, and keeps what is held back.
fn feed(bytes: &[u8], cuts: &[usize]) -> Fed {
    let mut reader = Reader::requests(HeadLimits::default());
    let mut fed = Fed { passed: Vec::new(), refused: None, place: StreamPosition::Idle };
    let mut held: Vec<u8> = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        held.extend(&bytes[from..cut]);
        from = cut;
        let mut read = 0;
        loop {
            match reader.read(&held[read..]) {
                Ok(Piece::Partial) => break,
                Ok(piece) => read += piece.bytes(),
                Err(refusal) => {
                    fed.refused = Some(refusal);
                    break;
                }
            }
        }
        fed.passed.extend(held.drain(..read));
        fed.place = reader.place();
        assert!(held.len() <= 32 * 1024 || fed.refused.is_some(), "too much is held back");
        if fed.refused.is_some() {
            break;
        }
    }
    fed
}

/// Counts the requests that a second reader, who trusts the first, sees in what passed.
fn count(mut bytes: &[u8]) -> u16 {
    let mut count = 0;
    while !bytes.is_empty() {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let has = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        bytes = &bytes[head..];
        if has("transfer-encoding:").is_some() {
            let end = loop {
                let line = bytes.windows(2).position(|window| window == b"\r\n").expect("a chunk");
                let digits = String::from_utf8_lossy(&bytes[..line]).into_owned();
                let size = digits.split(';').next().expect("a size");
                let size = usize::from_str_radix(size, 16).expect("a size");
                bytes = &bytes[line + 2..];
                if size == 0 {
                    let trailer = bytes.windows(4).position(|window| window == b"\r\n\r\n");
                    break if bytes.starts_with(b"\r\n") {
                        2
                    } else {
                        trailer.expect("an end") + 4
                    };
                }
                bytes = &bytes[size + 2..];
            };
            bytes = &bytes[end..];
        } else if let Some(length) = has("content-length:") {
            bytes = &bytes[length.trim().parse::<usize>().expect("a length")..];
        }
        if text.trim().is_empty() {
            continue;
        }
        count += 1;
    }
    count
}

fn check(entry: &Entry, cuts: &[usize]) {
    let Entry { verdict, status, name, bytes } = entry;
    let fed = feed(bytes, cuts);
    let place = fed.refused.map(|refusal| refusal.place);
    let answered = fed.refused.map(|refusal| refusal.status);
    match *verdict {
        "refuse" => {
            assert_eq!(
                (place, answered),
                (Some(StreamPosition::Head), Some(*status)),
                "{name}: {fed:?}"
            );
        }
        "body" => {
            assert_eq!(
                (place, answered),
                (Some(StreamPosition::Body), Some(*status)),
                "{name}: {fed:?}"
            );
        }
        "accept" | "path" => {
            assert_eq!(fed.refused, None, "{name}");
            assert_eq!((&fed.passed, fed.place), (bytes, StreamPosition::Idle), "{name}");
        }
        "either" => {}
        _ => panic!("{name}: what is {verdict}?"),
    }
}

fn every_byte(entry: &Entry) -> Vec<usize> {
    (1..entry.bytes.len()).collect()
}

#[test]
fn i1_the_corpus_is_as_large_as_promised() {
    let count = |verdict: &str| REQUESTS.iter().filter(|entry| entry.verdict == verdict).count();
    assert!(REQUESTS.len() >= 190, "{}", REQUESTS.len());
    assert!(count("refuse") + count("body") + count("path") >= 125);
    assert!(count("accept") >= 40 && count("either") >= 20);
    let mut names: Vec<_> = REQUESTS.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), REQUESTS.len(), "a name is there twice");
}

#[test]
fn i1_every_request_that_must_be_refused_is_and_no_other() {
    for entry in REQUESTS.iter() {
        check(entry, &[]);
    }
}

#[test]
fn i1_a_request_that_comes_byte_by_byte_is_judged_the_same() {
    for entry in REQUESTS.iter() {
        check(entry, &every_byte(entry));
    }
}

#[test]
fn i1_nothing_of_a_refused_head_passes() {
    for entry in REQUESTS.iter().filter(|entry| entry.verdict == "refuse") {
        let fed = feed(&entry.bytes, &every_byte(entry));
        let whole = if entry.name.starts_with("second-") { 1 } else { 0 };
        assert_eq!(count(&fed.passed), whole, "{}", entry.name);
    }
}

#[test]
fn i1_a_second_reader_sees_the_same_requests() {
    for entry in REQUESTS.iter().filter(|entry| entry.verdict == "accept") {
        let passed = feed(&entry.bytes, &[]).passed;
        // A blank line before a request is no request.
        let blank = passed.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let passed = &passed[blank..];
        if entry.name != "crlf-between-requests" {
            assert_eq!(count(passed), entry.status, "{}", entry.name);
        }
    }
}

#[test]
fn a6_every_path_that_must_be_refused_is_and_no_other() {
    for entry in REQUESTS.iter() {
        let text = String::from_utf8_lossy(&entry.bytes);
        let target = text.trim_start().split(' ').nth(1).unwrap_or_default();
        if !target.starts_with('/') {
            continue;
        }
        let path = path::canonical(target.split('?').next().unwrap_or_default());
        match entry.verdict {
            "path" => assert!(path.is_err(), "{}", entry.name),
            "accept" => assert!(path.is_ok(), "{}: {path:?}", entry.name),
            _ => {}
        }
    }
}

#[test]
fn what_follows_a_refusal_does_not_pass() {
    let mut reader = Reader::requests(HeadLimits::default());
    let first = reader.read(b"GET /a HTTP/1.1\r\n\r\n");
    let again = reader.read(b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(first.is_err());
    assert_eq!(again, first);
}

#[test]
fn the_place_is_told_between_reads() {
    let mut reader = Reader::requests(HeadLimits::default());
    assert_eq!(reader.place(), StreamPosition::Idle);
    let head = b"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(reader.read(&head[..20]), Ok(Piece::Partial));
    assert_eq!(reader.place(), StreamPosition::Head);
    assert_eq!(reader.read(head), Ok(Piece::Head(head.len())));
    assert_eq!(reader.place(), StreamPosition::Body);
    assert_eq!(reader.read(b"hell"), Ok(Piece::Body(4)));
    assert_eq!(reader.place(), StreamPosition::Body);
    assert_eq!(reader.read(b"o"), Ok(Piece::Body(1)));
    assert_eq!(reader.place(), StreamPosition::Idle);
}

proptest! {
    #[test]
    fn i1_any_split_is_judged_the_same(seed: u64, cuts in prop::collection::vec(0.0..1.0_f64, 1..6)) {
        let entry = &REQUESTS[(seed % REQUESTS.len() as u64) as usize];
        let at = |cut: &f64| (cut * entry.bytes.len() as f64) as usize;
        let mut cuts: Vec<usize> = cuts.iter().map(at).collect();
        cuts.sort_unstable();
        check(entry, &cuts);
        let (whole, split) = (feed(&entry.bytes, &[]), feed(&entry.bytes, &cuts));
        prop_assert_eq!(whole.refused.is_some(), split.refused.is_some(), "{}", entry.name);
    }

    #[test]
    fn i1_what_passes_is_a_prefix_and_splits_do_not_matter(
        bytes in "(GET|POST|\\*|/|a| |HTTP/1\\.1|\r\n|\n|\r|Host: a\r\n|Content-Length: 3\r\n|Transfer-Encoding: chunked\r\n|0|3|;|:|[\\x00-\\xff]){0,24}",
        cuts in prop::collection::vec(0..64_usize, 0..4),
    ) {
        let bytes = bytes.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&bytes.len())).collect();
        cuts.sort_unstable();
        let whole = feed(bytes, &[]);
        let split = feed(bytes, &cuts);
        prop_assert!(bytes.starts_with(&whole.passed));
        prop_assert_eq!(whole.passed, split.passed);
    }
}
