//! Whatever a client sends: how it is cut into reads changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::{Limits, Scanner};

/// Returns what passes of `bytes` in reads of `read_len` bytes, and whether some was refused.
fn feed(bytes: &[u8], read_len: usize) -> (usize, bool) {
    let mut scanner = Scanner::requests(Limits::default());
    let (mut passed, mut here) = (0, 0);
    while here < bytes.len() {
        here = (here + read_len).min(bytes.len());
        let scan = scanner.scan(&bytes[passed..here]);
        passed += scan.pass;
        assert!(passed <= here);
        if let Some(refusal) = scan.refused {
            assert!((400..=505).contains(&refusal.status));
            assert_eq!(scanner.scan(&bytes[passed..]).pass, 0);
            return (passed, true);
        }
        assert!(here - passed <= 32 * 1024, "too much is held back");
    }
    (passed, false)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = feed(bytes, usize::MAX / 2);
    let read_len = 1 + bytes.len() % 7;
    let cut = feed(bytes, read_len);
    assert_eq!(whole.0, cut.0, "in reads of {read_len}");
    // A bad byte in a line that has no end yet is seen at once or when the line ends.
    assert!(whole.1 || !cut.1, "in reads of {read_len}");
});
