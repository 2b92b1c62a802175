//! The reader against the naive splitter.

use proptest::prelude::*;
use seawall_lines::{Bom, Eol, LineFault, LineReader, OnLong, Position};

use crate::naive::{collect, file, split};

fn in_runtime<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O needs nothing of the system")
        .block_on(future)
}

/// Text in which everything that matters is likely: ends of all kinds, marks, NUL, no UTF-8.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        1 => Just(b"\0\xff\n".to_vec()),
        4 => prop::collection::vec(any::<u8>(), 0..9),
        1 => prop::collection::vec(Just(b'x'), 0..60),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Returns whether only carriage returns are within it, which is refused.
fn has_only_cr(bytes: &[u8]) -> bool {
    let within = &bytes[..bytes.len().saturating_sub(1)];
    !bytes.contains(&b'\n') && within.contains(&b'\r')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_what_the_naive_splitter_finds_whatever_is_read_at_once(
        bytes in text(),
        chunk in prop_oneof![Just(7_usize), 1..100_usize],
        max in prop_oneof![Just(1_000_usize), 0..20_usize],
        ahead in 1..4_usize,
        is_lf in any::<bool>(),
        keeps_bom in any::<bool>(),
    ) {
        let eol = if is_lf { Eol::Lf } else { Eol::LfOrCrLf };
        prop_assume!(is_lf || !has_only_cr(&bytes));
        let bom = if keeps_bom { Bom::Keep } else { Bom::Strip };
        let expected = split(&bytes, max, eol, bom);
        let file = file(&bytes);
        let opening = || {
            LineReader::open(file.path())
                .chunk_bytes(chunk)
                .ahead(ahead)
                .line_bytes_max(max)
                .eol(eol)
                .bom(bom)
        };
        in_runtime(async {
            let mut reader = opening().on_long(OnLong::Cut).await.expect("it opens");
            let lines = collect(&mut reader).await.expect("it reads");
            assert_eq!(lines, expected);
            assert!(reader.next().await.expect("it has read").is_none(), "the end is the end");

            // From every line on.
            for from in &expected {
                let start = Position { sequence: from.sequence, offset: from.offset };
                // A stripped mark is before the first line.
                let start = if from.sequence == 0 { Position::default() } else { start };
                let opening = opening().on_long(OnLong::Cut).start(start);
                let mut reader = opening.await.expect("it opens");
                let rest = collect(&mut reader).await.expect("it reads");
                assert_eq!(rest, &expected[from.sequence as usize..], "from {start:?}");
            }
        });
    }

    #[test]
    fn a_line_over_the_limit_ends_reading_after_all_lines_before_it(
        bytes in text(),
        chunk in prop_oneof![Just(7_usize), 1..100_usize],
        max in 0..20_usize,
    ) {
        prop_assume!(!has_only_cr(&bytes));
        let whole = split(&bytes, usize::MAX, Eol::LfOrCrLf, Bom::Strip);
        let long = whole.iter().position(|line| line.length > max as u64);
        let file = file(&bytes);
        in_runtime(async {
            let opening = LineReader::open(file.path()).chunk_bytes(chunk).line_bytes_max(max);
            let mut reader = opening.await.expect("it opens");
            let mut lines = Vec::new();
            let error = loop {
                match reader.next().await {
                    Ok(Some(batch)) => lines.extend(batch.iter().map(|line| line.to_owned_line())),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert_eq!(lines, &whole[..long.unwrap_or(whole.len())]);
            let at = error.as_ref().and_then(|error| error.position()).map(|at| at.sequence);
            assert_eq!(at, long.map(|at| at as u64));
            if let Some(error) = error {
                let is_long = matches!(error.fault(), LineFault::TooLong { .. } | LineFault::OnlyCr);
                assert!(is_long, "{error}");
                let again = reader.next().await.expect_err("an error is told again");
                assert_eq!(again.to_string(), error.to_string());
            }
        });
    }
}

#[tokio::test]
async fn a_last_line_without_a_newline_is_a_line_and_keeps_its_carriage_return() {
    let file = file(b"oslo\r\nrome\r");
    let lines = collect(&mut LineReader::open(file.path()).await.unwrap()).await.unwrap();
    let bytes: Vec<_> = lines.iter().map(|line| line.bytes.as_slice()).collect();
    assert_eq!(bytes, [b"oslo".as_slice(), b"rome\r"]);
}

#[tokio::test]
async fn an_empty_file_has_no_line_and_an_empty_line_is_one() {
    for (bytes, lines) in [(&b""[..], 0), (b"\n", 1), (b"\n\n", 2), (b"a", 1), (b"\xef\xbb\xbf", 1)]
    {
        let file = file(bytes);
        let mut reader = LineReader::open(file.path()).await.unwrap();
        assert_eq!(collect(&mut reader).await.unwrap().len(), lines, "{bytes:?}");
    }
}

#[tokio::test]
async fn big_chunks_are_split_as_small_ones_are() {
    let mut bytes = Vec::new();
    for number in 0..60_000_u64 {
        let long = if number % 9_000 == 8_999 { 300_000 } else { number as usize % 200 };
        bytes.extend_from_slice(format!("{number} {}\r\n", "y".repeat(long)).as_bytes());
    }
    let expected = split(&bytes, usize::MAX, Eol::LfOrCrLf, Bom::Strip);
    let file = file(&bytes);
    for chunk in [64 * 1024, 100_003, 1024 * 1024] {
        let mut reader = LineReader::open(file.path()).chunk_bytes(chunk).await.unwrap();
        let lines = collect(&mut reader).await.unwrap();
        assert!(lines == expected, "chunks of {chunk} bytes");
    }
}

proptest! {
    #[test]
    fn a_line_that_is_looked_for_is_found_as_if_all_were_looked_at(
        text in "(\u{feff})?([ab]{0,9}|[b]{60,200}|x[ab]{0,3})(\n([ab]{0,5}\r?|[b]{60,200}|x))*\n?",
        chunk in 7_usize..300,
        long in 3_usize..80,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("in");
            std::fs::write(&path, &text).unwrap();
            let open = || {
                LineReader::open(&path)
                    .chunk_bytes(chunk)
                    .line_bytes_max(long)
                    .on_long(OnLong::Cut)
            };
            let is_wanted = |line: &[u8]| line.contains(&b'x');
            let (mut all, mut found) = (Vec::new(), Vec::new());
            let mut reader = open().await.unwrap();
            while let Some(batch) = reader.next().await.unwrap() {
                let lines = batch.iter().map(|line| (line.is_whole(), line.to_owned_line()));
                all.extend(lines.filter(|(is_whole, line)| !is_whole || is_wanted(&line.bytes)));
            }
            let mut reader = open().await.unwrap();
            while let Some(batch) = reader.next().await.unwrap() {
                let mut lines = batch.iter();
                let find = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'x');
                while let Some(line) = lines.find_line(find) {
                    found.push((line.is_whole(), line.to_owned_line()));
                }
            }
            // Those that were found too much are looked at once more.
            found.retain(|(is_whole, line)| !is_whole || is_wanted(&line.bytes));
            prop_assert_eq!(found, all);
            Ok(())
        })?;
    }
}
