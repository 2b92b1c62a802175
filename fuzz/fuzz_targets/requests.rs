//! Whatever a client sends: how it is cut into reads changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::http1::{Limits, Piece, Reader};

/// Returns how much of `bytes` is read in reads of `read_len` bytes, and whether some was refused.
fn feed(bytes: &[u8], read_len: usize) -> (usize, bool) {
    let mut reader = Reader::requests(Limits::default());
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
                    assert!((400..=505).contains(&refusal.status));
                    assert_eq!(reader.read(&bytes[at..]), Err(refusal));
                    return (at, true);
                }
            }
        }
        assert!(here - at <= 32 * 1024, "too much is held back");
    }
    (at, false)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = feed(bytes, usize::MAX / 2);
    let read_len = 1 + bytes.len() % 7;
    let cut = feed(bytes, read_len);
    assert_eq!(whole.0, cut.0, "in reads of {read_len}");
    // A bad byte in a line that has no end yet is seen at once or when the line ends.
    assert!(whole.1 || !cut.1, "in reads of {read_len}");
});
