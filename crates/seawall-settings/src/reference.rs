//! The reference page of all settings, written from the table of keys.
//!
//! Does not know: what settings do. `docs/reference/settings.md` is this text, and a test compares
//! them.

use std::fmt::Write as _;

use super::ValueKind;
use super::keys::{self, KEYS, Row};

/// Returns the reference page of all settings, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for table in KEYS.iter().filter(|key| !key.is_leaf()) {
        let _ = writeln!(page, "\n## {}\n\n{}", heading(table), table.what);
        if table.kind == ValueKind::Part {
            let name = table.name();
            let (default, other) = match (table.default, keys::stands_for_all(table)) {
                ("\"off\"", Some(all)) => ("off", all.sample()),
                ("\"off\"", None) if table.can_be_empty() => ("off", "true"),
                ("\"off\"", None) => ("off", "{ … }"),
                _ => ("on", "\"off\""),
            };
            let other_way = if default == "off" { "on" } else { "off" };
            let _ =
                writeln!(page, "Default: {default}. `{name} = {other}` switches it {other_way}.");
        }
        if !table.who.is_empty() {
            let _ = writeln!(page, "Who: {} Shown by: {}.", table.who, table.shows);
        }
        let leaves: Vec<_> = keys::within(table.path).filter(|key| key.is_leaf()).collect();
        if !leaves.is_empty() {
            page.push_str("\n| key | what | default | range | who changes it | shown by |\n");
            page.push_str("|---|---|---|---|---|---|\n");
        }
        for key in leaves {
            let cells = [
                format!("`{}`", key.name()),
                key.what.to_owned(),
                default_of(key),
                range_of(key),
                key.who.to_owned(),
                key.shows.to_owned(),
            ];
            // A bar within a cell would end it.
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(page, "| {} |", cells.join(" | "));
        }
    }
    page
}

fn heading(table: &Row) -> String {
    match table.kind {
        ValueKind::Named => format!("`[{}.NAME]`", table.path),
        ValueKind::List => format!("`[[{}]]`", table.path),
        ValueKind::Part => {
            let (outer, inner) = table.path.split_once('.').unwrap_or(("", table.path));
            format!("`[{outer}.NAME.{inner}]`, or `{inner} = {{ … }}`")
        }
        _ => format!("`[{}]`", table.path),
    }
}

fn default_of(key: &Row) -> String {
    let default = match key.default {
        "" if key.is_required => "must be set".to_owned(),
        "" if key.follows.is_empty() => "none".to_owned(),
        "" => String::new(),
        default => format!("`{default}`"),
    };
    match (default.is_empty(), key.follows.is_empty()) {
        (_, true) => default,
        (true, false) => key.follows.to_owned(),
        (false, false) => format!("{default}; {}", key.follows),
    }
}

fn range_of(key: &Row) -> String {
    match key.kind.bounds() {
        bounds if bounds.is_empty() => key.kind.wants().to_owned(),
        bounds => bounds,
    }
}

const HEAD: &str = "\
# Settings

This page is written by `seawall config reference`; `seawall config explain KEY` says the same \
about one key, `seawall config show --origin` which values hold and where each comes from.

Settings are TOML (or JSON with the same keys). Durations are texts such as `\"600ms\"`, `\"2s\"`, \
`\"1m\"`, sizes `\"64KiB\"`, `\"10MiB\"`, percentages `\"20%\"`, rates `\"500/s\"`, ranges \
`\"50ms..2s\"`. Unknown keys are errors. Three lines are enough to start:

```toml
[upstream]
weather-api.url = \"http://10.0.0.7:7001\"
[[route]]
match = \"GET /api/weather/{city}\"
upstream = \"weather-api\"
```

At the top of the file stands `version = 1`; it may be left out.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_the_one_in_docs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/settings.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let is_same = written == reference();
        assert!(is_same, "run: seawall config reference > docs/reference/settings.md");
    }
}
