//! Compressed inputs.

use std::io::Write;

use seawall_lines::{Bom, Coding, Eol, LineFault, LineReader, Position};

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
            // The library of zstd has no kind for damage.
            let is_damage = matches!(error.fault(), LineFault::Decode(_) | LineFault::Io(_));
            assert!(is_damage, "{error}");
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
