//! Whatever a template says and whatever is put into it: the structure stays the template's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::{Pattern, Template, path};

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, one, two) = input;
    let _ = Pattern::parse(text).map(|pattern| pattern.matcher().len());
    let check = |text: &str| {
        let Ok(template) = Template::parse(text) else { return };
        let value_of = |name: &str| Some(if name.len() % 2 == 1 { one } else { two });
        let Ok(filled) = template.fill(value_of) else { return };
        let plain = template.fill(|_| Some("x")).expect("a letter fits everywhere");
        let count = |text: &str, mark: char| text.matches(mark).count();
        assert_eq!(count(&filled, '?'), count(&plain, '?'), "{filled}");
        assert_eq!(count(&filled, '&'), count(&plain, '&'), "{filled}");
        assert_eq!(count(&filled, '#'), 0, "{filled}");
        let has_rest = template.names().iter().any(|name| name.is_rest);
        assert!(has_rest || count(&filled, '/') == count(&plain, '/'), "{filled}");
        let path = filled.split('?').next().expect("a path");
        assert!(path::canonical(path).is_ok(), "{filled}");
    };
    check(text);
    check("/base/{a}/x-{bb}/{*c}?q={a}&r={bb}");
});
