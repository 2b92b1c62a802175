//! Whatever an upstream sends: how it is cut into reads changes nothing.
#![no_main]

mod feed;

use libfuzzer_sys::fuzz_target;
use seawall_wire::http1::{HeadLimits, Reader};

fuzz_target!(|bytes: &[u8]| {
    let feed = |read_len| {
        let mut reader = Reader::responses(HeadLimits::default());
        reader.expect(bytes.first().is_some_and(|first| first % 2 == 1));
        feed::feed(reader, bytes, read_len, 502..=502)
    };
    let whole = feed(usize::MAX / 2);
    let cut = feed(1 + bytes.len() % 7);
    assert_eq!(whole.0, cut.0);
    assert!(whole.1 || !cut.1);
});
