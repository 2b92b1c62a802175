//! Whatever path is asked for: what is sent on means what was matched, and stays in its tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::path;

fuzz_target!(|raw: &str| {
    let Ok(read) = path::canonical(raw) else { return };
    assert!(read.encoded.is_ascii() && read.encoded.starts_with('/'));
    assert!(!read.encoded.contains("//") && !read.encoded.contains(['?', '#', ' ', '\\']));
    assert!(!read.decoded.chars().any(char::is_control));
    assert!(!read.decoded.split('/').any(|segment| matches!(segment, "." | "..")));
    let again = path::canonical(&read.encoded).expect("a canonical path is a path");
    assert_eq!((&again.encoded, &again.decoded), (&read.encoded, &read.decoded));
});
