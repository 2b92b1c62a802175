//! Whatever bytes come, from whatever offset: the marks are where memchr finds newlines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_lines::newlines;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[bytes.len().min(bytes.first().map_or(0, |&byte| byte as usize % 64))..];
    let mut marks = Vec::new();
    newlines::mark(bytes, &mut marks);
    assert_eq!(marks.len(), bytes.len().div_ceil(64));
    let mut left = marks.clone();
    for at in memchr::memchr_iter(b'\n', bytes) {
        assert!(left[at / 64] & 1 << (at % 64) != 0, "no mark at {at}");
        left[at / 64] &= !(1 << (at % 64));
    }
    assert!(left.iter().all(|&word| word == 0), "a mark where no newline is");
});
