//! Rows U8 to U11: the corpus of raw answers, whole and in pieces.

mod corpus;

use std::sync::LazyLock;

use corpus::{Entry, responses};
use proptest::prelude::*;
use seawall_wire::{Limits, Place, Refusal, Scanner};

/// Read once: some answers are megabytes.
static RESPONSES: LazyLock<Vec<Entry>> = LazyLock::new(responses);

/// What came of feeding a stream.
#[derive(Debug)]
struct Fed {
    passed: usize,
    skipped: usize,
    refused: Option<Refusal>,
    place: Place,
}

fn feed(entry: &Entry, cuts: &[usize]) -> Fed {
    let bytes = &entry.bytes;
    let mut scanner = Scanner::responses(Limits::default());
    scanner.expect(entry.name.starts_with("head-"));
    let (mut passed, mut skipped, mut refused, mut place) = (0, 0, None, Place::Idle);
    'cuts: for &cut in cuts.iter().chain([&bytes.len()]) {
        loop {
            // What is held back is offered again: nothing is copied here.
            let at = passed + skipped;
            let scan = scanner.scan(&bytes[at..cut.max(at)]);
            passed += scan.pass;
            skipped += scan.skip;
            (refused, place) = (scan.refused, scanner.place());
            if refused.is_some() {
                break 'cuts;
            }
            if scan.skip == 0 {
                break;
            }
        }
    }
    Fed { passed, skipped, refused, place }
}

fn check(entry: &Entry, cuts: &[usize]) {
    let Entry { verdict, name, bytes, .. } = entry;
    let fed = feed(entry, cuts);
    if let Some(refusal) = fed.refused {
        assert_eq!(refusal.status, 502, "{name}");
    }
    let place = fed.refused.map(|refusal| refusal.place);
    match *verdict {
        "refuse" => assert_eq!(place, Some(Place::Head), "{name}: {fed:?}"),
        "body" => assert_eq!(place, Some(Place::Body), "{name}: {fed:?}"),
        "after" => assert_eq!(place, Some(Place::Idle), "{name}: {fed:?}"),
        "cut" => {
            assert_eq!(place, None, "{name}: {fed:?}");
            assert_ne!(fed.place, Place::Idle, "{name}: {fed:?}");
        }
        "skip" => {
            let end = "\r\n".len();
            let trailers = bytes.windows(3).position(|window| window == b"0\r\n").expect("an end");
            let want = (trailers + 3 + end, bytes.len() - trailers - 3 - end);
            assert_eq!((place, (fed.passed, fed.skipped)), (None, want), "{name}: {fed:?}");
            assert_eq!(fed.place, Place::Idle, "{name}: {fed:?}");
        }
        "accept" => {
            assert_eq!((place, fed.passed), (None, bytes.len()), "{name}: {fed:?}");
            let ends_with_connection = name.starts_with("until-close");
            assert_eq!(fed.place == Place::Idle, !ends_with_connection, "{name}: {fed:?}");
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
    let mut scanner = Scanner::responses(Limits::default());
    scanner.expect(false);
    assert_eq!(scanner.scan(answer).pass, answer.len());
    scanner.expect(true);
    assert_eq!(scanner.scan(answer).pass, answer.len());
    let unasked = scanner.scan(answer);
    assert_eq!(unasked.pass, 0);
    assert_eq!(unasked.refused.map(|refusal| refusal.place), Some(Place::Idle));
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
