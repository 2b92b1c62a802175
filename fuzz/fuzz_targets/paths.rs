//! Whatever path is asked for: the form it is matched by stays in its tree, and means what is sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::path;

fuzz_target!(|raw: &str| {
    let Ok(matched) = path::canonical(raw) else { return };
    assert!(raw.is_ascii() && matched.starts_with('/') && !matched.contains("//"));
    let is_odd = |char: char| char.is_control() && char != path::ESCAPED_SLASH || char == '\\';
    assert!(!matched.contains(is_odd), "{matched:?}");
    let segments = || matched.split(['/', path::ESCAPED_SLASH]);
    assert!(!segments().any(|segment| matches!(segment, "." | "..")), "{matched:?}");
});
