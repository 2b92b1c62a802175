//! Whatever a client sends: how it is cut into reads changes nothing.
#![no_main]

mod feed;

use libfuzzer_sys::fuzz_target;
use seawall_wire::http1::{HeadLimits, Reader};

fuzz_target!(|bytes: &[u8]| {
    let feed =
        |read_len| feed::feed(Reader::requests(HeadLimits::default()), bytes, read_len, 400..=505);
    let whole = feed(usize::MAX / 2);
    let read_len = 1 + bytes.len() % 7;
    let cut = feed(read_len);
    assert_eq!(whole.0, cut.0, "in reads of {read_len}");
    // A bad byte in a line that has no end yet is seen at once or when the line ends.
    assert!(whole.1 || !cut.1, "in reads of {read_len}");
});
