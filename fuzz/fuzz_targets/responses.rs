//! Whatever an upstream sends: how it is cut into reads changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::http1::{Limits, Piece, Reader};

/// Returns how much of `bytes` is read in reads of `read_len` bytes, and whether some was refused.
fn feed(bytes: &[u8], read_len: usize, to_head: bool) -> (usize, bool) {
    let mut reader = Reader::responses(Limits::default());
    reader.expect(to_head);
    let (mut at, mut here) = (0, 0);
    while here < bytes.len() {
        here = (here + read_len).min(bytes.len());
        loop {
            match reader.read(&bytes[at..here]) {
                Ok(Piece::Partial) => break,
                Ok(piece) => {
                    assert!(piece.bytes() > 0, "it stands still");
                    at += piece.bytes();
                    assert!(at <= here);
                }
                Err(refusal) => {
                    assert_eq!(refusal.status, 502);
                    return (at, true);
                }
            }
        }
        assert!(here - at <= 32 * 1024, "too much is held back");
    }
    (at, false)
}

fuzz_target!(|bytes: &[u8]| {
    let to_head = bytes.first().is_some_and(|first| first % 2 == 1);
    let whole = feed(bytes, usize::MAX / 2, to_head);
    let cut = feed(bytes, 1 + bytes.len() % 7, to_head);
    assert_eq!(whole.0, cut.0);
    assert!(whole.1 || !cut.1);
});
