//! Whatever a template says and whatever is put into it: the structure stays the template's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::{Pattern, Template, path, query};

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, one, two) = input;
    let _ = Pattern::parse(text).map(|pattern| pattern.matcher().len());
    let check = |text: &str| {
        let Ok(template) = Template::parse(text) else { return };
        let value_of = |name: &str| Some(if name.len() % 2 == 1 { one } else { two });
        // What is a path is a piece of one too.
        let sent = |value: &str| path::canonical(&format!("/{value}")).is_ok();
        if sent(one) && sent(two) {
            let Ok(filled) = template.fill_raw(value_of) else { return };
            let path = filled.split('?').next().expect("a path");
            assert!(path::canonical(path).is_ok() && filled.is_ascii(), "{filled}");
            assert!(query::join(filled.clone(), "x=1").starts_with(&filled));
        }
        let Ok(filled) = template.fill(value_of) else { return };
        let plain = template.fill(|_| Some("x")).expect("a letter fits everywhere");
        let count = |text: &str, mark: char| text.matches(mark).count();
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
