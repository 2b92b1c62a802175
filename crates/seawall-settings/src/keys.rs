//! What the one table of settings says about each: it drives reading, defaults, `config explain`, the reference page,
//! the JSON schema and the file that `init` writes, so that none of them can drift.
//!
//! Does not know: what a setting does. A setting that is not here does not exist.

pub use super::table::KEYS;
use super::value::Kind;

/// Describes one setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path without the names of its tables: `policy.retry.attempts`.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its default as TOML; empty for none.
    pub default: &'static str,
    /// From what else the default follows, if it does.
    pub follows: &'static str,
    /// A value as TOML, for settings without a default.
    pub example: &'static str,
    /// Whether its table is nothing without it.
    pub is_required: bool,
    /// What it is.
    pub what: &'static str,
    /// Who changes it, and when.
    pub who: &'static str,
    /// What shows that it works.
    pub shows: &'static str,
}

impl Key {
    /// Returns the last part of the path: what stands left of `=`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Returns the path of its table; empty at the top.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Returns whether it holds a value, or is a table of others.
    pub fn is_leaf(&self) -> bool {
        !matches!(self.kind, Kind::Table | Kind::Part | Kind::Named | Kind::List)
    }

    /// Returns a value as it would stand in the file.
    pub fn sample(&self) -> &'static str {
        if self.default.is_empty() { self.example } else { self.default }
    }

    /// Returns whether a table of this kind means something with nothing in it.
    pub fn can_be_empty(&self) -> bool {
        within(self.path).all(|key| !key.is_required)
    }

    pub(super) const fn follows(mut self, rule: &'static str) -> Self {
        self.follows = rule;
        self
    }

    pub(super) const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    pub(super) const fn required(mut self, example: &'static str) -> Self {
        self.is_required = true;
        self.example = example;
        self
    }
}

/// Returns the setting with this path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Returns the settings directly within a table.
pub fn within(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table() == table)
}

/// Returns the key of a part that can stand for all of it, as in `rate = "100/s"`: the only one
/// that it is nothing without.
pub fn stands_for_all(part: &Key) -> Option<&'static Key> {
    let mut required = within(part.path).filter(|key| key.is_required);
    required.next().filter(|_| required.next().is_none())
}

pub(super) const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    texts: [&'static str; 3],
) -> Key {
    let [what, who, shows] = texts;
    Key { path, kind, default, follows: "", example: "", is_required: false, what, who, shows }
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
