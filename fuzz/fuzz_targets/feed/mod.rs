//! A stream that is fed to a reader in reads of one length.

use std::ops::RangeInclusive;

use seawall_wire::http1::{Piece, Reader};

/// Returns how much of `bytes` is read in reads of `read_len` bytes, and whether some was refused
/// with one of these statuses.
pub fn feed(
    mut reader: Reader,
    bytes: &[u8],
    read_len: usize,
    statuses: RangeInclusive<u16>,
) -> (usize, bool) {
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
                    assert!(statuses.contains(&refusal.status));
                    assert_eq!(reader.read(&bytes[at..]), Err(refusal));
                    return (at, true);
                }
            }
        }
        assert!(here - at <= 32 * 1024, "too much is held back");
    }
    (at, false)
}
