//! Rows U8 to U11: the corpus of raw answers, whole and in pieces.

mod corpus;

use std::sync::LazyLock;

use corpus::{Entry, responses};
use proptest::prelude::*;
use seawall_wire::http1::{HeadLimits, Piece, Reader, Refusal, StreamPosition};

/// Read once: some answers are megabytes.
static RESPONSES: LazyLock<Vec<Entry>> = LazyLock::new(responses);

/// What came of feeding a stream.
#[derive(Debug)]
struct Fed {
    passed: usize,
    has_trailers: bool,
    refused: Option<Refusal>,
    place: StreamPosition,
}

fn feed(entry: &Entry, cuts: &[usize]) -> Fed {
    let bytes = &entry.bytes;
    let mut reader = Reader::responses(HeadLimits::default());
    reader.expect(entry.name.starts_with("head-"));
    let mut fed =
        Fed { passed: 0, has_trailers: false, refused: None, place: StreamPosition::Idle };
    for &cut in cuts.iter().chain([&bytes.len()]) {
        loop {
            // What is held back is offered again: nothing is copied here.
            match reader.read(&bytes[fed.passed..cut.max(fed.passed)]) {
                Ok(Piece::Partial) => break,
                Ok(piece) => {
                    fed.passed += piece.bytes();
                    fed.has_trailers |= matches!(piece, Piece::Trailers(_));
                }
                Err(refusal) => {
                    return Fed { refused: Some(refusal), place: reader.place(), ..fed };
                }
            }
        }
    }
    Fed { place: reader.place(), ..fed }
}

fn check(entry: &Entry, cuts: &[usize]) {
    let Entry { verdict, name, bytes, .. } = entry;
    let fed = feed(entry, cuts);
    if let Some(refusal) = fed.refused {
        assert_eq!(refusal.status, 502, "{name}");
    }
    let place = fed.refused.map(|refusal| refusal.place);
    match *verdict {
        "refuse" => assert_eq!(place, Some(StreamPosition::Head), "{name}: {fed:?}"),
        "body" => assert_eq!(place, Some(StreamPosition::Body), "{name}: {fed:?}"),
        "after" => assert_eq!(place, Some(StreamPosition::Idle), "{name}: {fed:?}"),
        "cut" => {
            assert_eq!(place, None, "{name}: {fed:?}");
            assert_ne!(fed.place, StreamPosition::Idle, "{name}: {fed:?}");
        }
        "skip" => {
            assert_eq!((place, fed.passed), (None, bytes.len()), "{name}: {fed:?}");
            assert_eq!(
                (fed.place, fed.has_trailers),
                (StreamPosition::Idle, false),
                "{name}: {fed:?}"
            );
        }
        "accept" => {
            assert_eq!((place, fed.passed), (None, bytes.len()), "{name}: {fed:?}");
            let ends_with_connection = name.starts_with("until-close");
            assert_eq!(fed.place == StreamPosition::Idle, !ends_with_connection, "{name}: {fed:?}");
        }
        _ => panic!("{name}: what is {verdict}?"),
    }
}

#[test]
fn u8_every_answer_is_judged_as_the_corpus_says() {
    let bad = RESPONSES.iter().filter(|entry| entry.verdict != "accept").count();
    assert!(bad >= 56, "{bad}");
    for entry in RESPONSES.iter() {
        check(entry, &[]);
    }
}

#[test]
fn u8_an_answer_that_comes_byte_by_byte_is_judged_the_same() {
    for entry in RESPONSES.iter() {
        // Of ten megabytes the first forty kilobytes are enough.
        let cuts: Vec<usize> = (1..entry.bytes.len().min(40_000)).collect();
        check(entry, &cuts);
    }
}

#[test]
fn u10_no_interim_answer_past_the_tenth_passes() {
    for entry in RESPONSES.iter().filter(|entry| entry.name.starts_with("interim-")) {
        let fed = feed(entry, &[]);
        let text = String::from_utf8_lossy(&entry.bytes[..fed.passed]).into_owned();
        assert!(text.matches("HTTP/1.1 10").count() <= 10, "{}", entry.name);
    }
}

#[test]
fn u8_an_answer_that_nobody_asked_for_is_refused() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut reader = Reader::responses(HeadLimits::default());
    reader.expect(false);
    assert_eq!(reader.read(answer), Ok(Piece::Head(answer.len())));
    reader.expect(true);
    assert_eq!(reader.read(answer), Ok(Piece::Head(answer.len())));
    assert_eq!(reader.read(answer).map_err(|refusal| refusal.place), Err(StreamPosition::Idle));
}

proptest! {
    #[test]
    fn u8_any_split_is_judged_the_same(
        seed: u64,
        cuts in prop::collection::vec(0.0..1.0_f64, 1..6),
    ) {
        let entry = &RESPONSES[(seed % RESPONSES.len() as u64) as usize];
        let at = |cut: &f64| (cut * entry.bytes.len() as f64) as usize;
        let mut cuts: Vec<usize> = cuts.iter().map(at).collect();
        cuts.sort_unstable();
        check(entry, &cuts);
    }
}
