//! Whatever an upstream sends: how it is cut into reads changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::{Limits, Scanner};

/// Returns what passes of `bytes` in reads of `read_len` bytes, and whether some was refused.
fn feed(bytes: &[u8], read_len: usize, to_head: bool) -> (usize, bool) {
    let mut scanner = Scanner::responses(Limits::default());
    scanner.expect(to_head);
    let (mut passed, mut here) = (0, 0);
    while here < bytes.len() {
        here = (here + read_len).min(bytes.len());
        let scan = scanner.scan(&bytes[passed..here]);
        passed += scan.pass;
        assert!(passed <= here);
        if let Some(refusal) = scan.refused {
            assert_eq!(refusal.status, 502);
            return (passed, true);
        }
        assert!(here - passed <= 32 * 1024, "too much is held back");
    }
    (passed, false)
}

fuzz_target!(|bytes: &[u8]| {
    let to_head = bytes.first().is_some_and(|first| first % 2 == 1);
    let whole = feed(bytes, usize::MAX / 2, to_head);
    let cut = feed(bytes, 1 + bytes.len() % 7, to_head);
    assert_eq!(whole.0, cut.0);
    assert!(whole.1 || !cut.1);
});
