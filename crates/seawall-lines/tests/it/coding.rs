//! Compressed inputs.

use std::io::Write;

use seawall_lines::{Bom, Coding, Eol, LineError, LineFault, LineReader, Position};

use crate::naive::{collect, file, split};

fn text() -> Vec<u8> {
    (0..40_000).map(|number| format!("line {number} of many\r\n")).collect::<String>().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    // With a checksum, as its command line writes it: without one damage can go unseen.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_files_are_recognised_and_give_the_same_lines() {
    let text = text();
    let expected = split(&text, usize::MAX, Eol::LfOrCrLf, Bom::Strip);
    for coded in [gzip(&text), zstd(&text)] {
        let file = file(&coded);
        let opening = LineReader::open(file.path()).chunk_bytes(50_000);
        let mut reader = opening.await.unwrap();
        assert_eq!((reader.length(), reader.is_coded()), (Some(coded.len() as u64), true));
        assert!(collect(&mut reader).await.unwrap() == expected);

        let from = &expected[31_000];
        let start = Position { sequence: from.sequence, offset: from.offset };
        let mut reader = LineReader::open(file.path()).start(start).await.unwrap();
        assert!(collect(&mut reader).await.unwrap() == expected[31_000..]);
    }
}

#[tokio::test]
async fn members_and_frames_that_follow_each_other_are_all_read() {
    for two in
        [[gzip(b"oslo\nro"), gzip(b"me\n")].concat(), [zstd(b"oslo\nro"), zstd(b"me\n")].concat()]
    {
        let file = file(&two);
        let lines = collect(&mut LineReader::open(file.path()).await.unwrap()).await.unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].bytes, b"rome");
    }
}

#[tokio::test]
async fn a_compressed_file_that_is_cut_or_damaged_is_an_error_that_says_so() {
    let text = text();
    for whole in [gzip(&text), zstd(&text)] {
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        for bytes in [&whole[..whole.len() / 2], &whole[..whole.len() - 2], &damaged] {
            let file = file(bytes);
            let mut reader = LineReader::open(file.path()).await.unwrap();
            let error = collect(&mut reader).await.expect_err("it is no whole file");
            assert!(matches!(error.fault(), LineFault::Decode(_)), "{error}");
            assert!(error.fault().is_lasting() && error.to_string().contains("of the file"));
        }
    }
}

#[tokio::test]
async fn a_coding_that_is_named_is_not_looked_for() {
    let coded = gzip(b"oslo\n");
    let file = file(&coded);
    let mut reader = LineReader::open(file.path()).coding(Coding::Plain).await.unwrap();
    let lines = collect(&mut reader).await.unwrap();
    assert!(lines[0].bytes.starts_with(b"\x1f\x8b"));
    let plain = crate::naive::file(b"oslo\n");
    let mut reader = LineReader::open(plain.path()).coding(Coding::Gzip).await.unwrap();
    let error = collect(&mut reader).await.unwrap_err();
    assert!(matches!(error.fault(), LineFault::Decode(_)), "{error}");
}

/// Reads what can be read; returns the lines and the error behind them.
async fn until_error(bytes: &[u8], chunk: usize) -> (Vec<String>, Option<LineError>) {
    let file = file(bytes);
    let mut lines = Vec::new();
    let mut reader = match LineReader::open(file.path()).chunk_bytes(chunk).await {
        Ok(reader) => reader,
        Err(error) => return (lines, Some(error)),
    };
    loop {
        match reader.next().await {
            Ok(Some(batch)) => {
                lines.extend(batch.iter().map(|line| line.text_lossy().into_owned()));
            }
            Ok(None) => return (lines, None),
            Err(error) => return (lines, Some(error)),
        }
    }
}

#[tokio::test]
async fn every_line_before_a_damage_is_handed_over_and_the_place_is_named() {
    let text: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
    let halves = text.split_at(text.len() / 2);
    for chunk in [1000, 1 << 20] {
        for coded in [
            [gzip(halves.0.as_bytes()), b"garbage".to_vec()].concat(),
            [zstd(halves.0.as_bytes()), b"garbage".to_vec()].concat(),
        ] {
            let (lines, error) = until_error(&coded, chunk).await;
            let error = error.expect("there is garbage");
            let whole = halves.0.lines().count() - usize::from(!halves.0.ends_with('\n'));
            assert_eq!(lines.len(), whole, "{error}");
            assert_eq!(error.position().unwrap().sequence, whole as u64);
            assert!(matches!(error.fault(), LineFault::Decode(_)), "{error}");
        }
        // Damage in the middle: all that comes before it can be read.
        for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
            let mut damaged = whole;
            let at = damaged.len() * 3 / 4;
            for byte in &mut damaged[at..at + 64] {
                *byte ^= 0xff;
            }
            let (lines, error) = until_error(&damaged, chunk).await;
            let error = error.expect("it is damaged");
            assert_eq!(error.position().unwrap().sequence, lines.len() as u64, "{error}");
            let expected: Vec<_> = text.lines().take(lines.len().min(1000)).collect();
            assert_eq!(lines[..expected.len()], expected);
        }
    }
}

#[tokio::test]
async fn zeros_behind_gzip_are_padding_and_frames_to_be_skipped_are_skipped() {
    let padded = [gzip(b"oslo\nrome\n"), vec![0; 5000]].concat();
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let begun = [&skipped[..], &zstd(b"oslo\n"), &skipped[..], &zstd(b"rome\n")].concat();
    for bytes in [padded, begun] {
        let (lines, error) = until_error(&bytes, 1 << 20).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(lines, ["oslo", "rome"]);
    }
}

#[tokio::test]
async fn utf_16_is_read_as_utf_8_also_if_it_is_compressed() {
    let text = "oslo\r\ntromsø 🌊\r\nrome";
    let units = || text.encode_utf16();
    let little: Vec<u8> = [vec![0xff, 0xfe], units().flat_map(u16::to_le_bytes).collect()].concat();
    let big: Vec<u8> = [vec![0xfe, 0xff], units().flat_map(u16::to_be_bytes).collect()].concat();
    for bytes in [little.clone(), big, gzip(&little), zstd(&little)] {
        for chunk in [1, 7, 1 << 20] {
            let (lines, error) = until_error(&bytes, chunk).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(lines, ["oslo", "tromsø 🌊", "rome"]);
        }
    }
    let (lines, error) = until_error(&little[..little.len() - 1], 1 << 20).await;
    assert_eq!(lines, ["oslo", "tromsø 🌊"]);
    assert!(error.expect("it was cut").to_string().contains("UTF-16"));
}

#[tokio::test]
async fn what_is_not_read_is_refused_at_once_and_named() {
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(28).unwrap();
    wide.write_all(&vec![b'\n'; 1000]).unwrap();
    for (bytes, said) in [
        (b"\xff\xfe\0\0a\0\0\0".to_vec(), "UTF-32"),
        (b"\xfd7zXZ\0rest".to_vec(), "xz"),
        (b"BZh91AY&SY".to_vec(), "bzip2"),
        (b"PK\x03\x04rest".to_vec(), "zip archive"),
        (b"oslo\rrome\rparis\r".to_vec(), "carriage returns alone"),
        (b"oslo\rrome".to_vec(), "carriage returns alone"),
        (wide.finish().unwrap(), "a window of 256 MiB, and 128 MiB are the most"),
    ] {
        let (lines, error) = until_error(&bytes, 1 << 20).await;
        let error = error.expect(said);
        assert!(error.to_string().contains(said), "{error}");
        assert!(lines.is_empty() && error.fault().is_lasting());
    }
    for fine in ["oslo\rrome\n", "oslo\r", "oslo\r\nrome\r"] {
        let (_, error) = until_error(fine.as_bytes(), 1 << 20).await;
        assert!(error.is_none(), "{fine:?}: {error:?}");
    }
}
