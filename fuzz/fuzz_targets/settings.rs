//! Whatever stands in a settings file: it is taken or refused, with its errors in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_settings::{self as settings, Source};

fuzz_target!(|text: &str| {
    let source = Source::Text { name: "seawall.toml".into(), text: text.into() };
    if let Err(report) = settings::load(&source) {
        assert!(report.has_errors());
        assert!(!report.human(false).is_empty() && report.json().is_object());
    }
});
