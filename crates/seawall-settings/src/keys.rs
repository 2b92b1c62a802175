//! The one table of settings, as it is used: it drives reading, defaults, `config explain`,
//! the reference page, the JSON schema and the file that `init` writes, so that none of them can
//! drift.
//!
//! Does not know: what a setting does. A setting that is not here does not exist.

pub(crate) use super::key::Key;
pub use super::key::Row;
pub use super::table::KEYS;
pub(crate) use super::table::*;
use super::value::ValueKind;

impl Row {
    /// Returns whether a table of this kind means something with nothing in it.
    pub fn can_be_empty(&self) -> bool {
        within(self.path).all(|key| !key.is_required)
    }
}

/// Returns the setting with this path.
pub fn find(path: &str) -> Option<&'static Row> {
    KEYS.iter().find(|key| key.path == path)
}

/// Returns the settings directly within a table.
pub fn within(table: &str) -> impl Iterator<Item = &'static Row> {
    KEYS.iter().filter(move |key| key.table() == table)
}

/// Returns the names of the settings whose values are secrets.
pub(super) fn secrets() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|key| key.kind == ValueKind::Secret).map(Row::name)
}

/// Returns the key of a part that can stand for all of it, as in `rate = "100/s"`: the only one
/// that it is nothing without.
pub fn stands_for_all(part: &Row) -> Option<&'static Row> {
    let mut required = within(part.path).filter(|key| key.is_required);
    required.next().filter(|_| required.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_once_in_the_table_and_below_its_table() {
        for (place, key) in KEYS.iter().enumerate() {
            let first = KEYS.iter().position(|other| other.path == key.path);
            assert_eq!(first, Some(place), "{} is there twice", key.path);
            let table = key.table();
            let above = KEYS[..place].iter().any(|other| other.path == table);
            assert!(table.is_empty() || above, "{} stands before its table", key.path);
        }
    }

    #[test]
    fn every_metric_that_shows_a_setting_exists() {
        for key in KEYS {
            for (at, _) in key.shows.match_indices("seawall_") {
                let text = &key.shows[at..];
                let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_');
                let (name, rest) = text.split_at(end.unwrap_or(text.len()));
                let metric = seawall_watch::names::ALL.iter().find(|metric| metric.name == name);
                let metric = metric.unwrap_or_else(|| panic!("{}: there is no {name}", key.path));
                let Some((inside, _)) = rest.strip_prefix('{').and_then(|it| it.split_once('}'))
                else {
                    continue;
                };
                for label in inside.split(',').filter_map(|label| label.split('=').next()) {
                    assert!(metric.labels.contains(&label), "{}: {name} has no {label}", key.path);
                }
            }
        }
    }

    #[test]
    fn every_key_says_what_it_is_who_changes_it_and_what_shows_it() {
        for key in KEYS {
            assert!(key.what.ends_with('.'), "{}: {}", key.path, key.what);
            if key.is_leaf() {
                assert!(key.who.ends_with('.') && !key.shows.is_empty(), "{}", key.path);
                assert!(!key.sample().is_empty(), "{} has neither default nor example", key.path);
            }
        }
    }
}
