//! One table with every value that holds, and where each comes from: the file, another policy,
//! another setting, or the default.
//!
//! Does not know: what the values are for. What is asked for is there and of its type, since
//! whoever asks has a key of the table.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::doc;
use super::keys::{KEYS, Key, Row};
use super::raw::Section;
use super::report::SettingsReport;
use super::source::Text;
use super::typed::{Table, Type};
use super::value::{Value, ValueKind};

/// Every value of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody said anything.
    Default,
    /// It follows from other settings.
    Follows,
    /// The file says so.
    Written {
        /// The table: `policy.patient`.
        section: String,
        /// The value's bytes.
        span: Range<usize>,
    },
}

impl Resolved {
    /// Settles a table: the first of `links` that says something wins.
    ///
    /// A part that a link switches off is cut there: what further links say about it is gone.
    pub(super) fn new(table: Key<Table>, links: &[&Section]) -> Self {
        let mut values = BTreeMap::new();
        for key in KEYS.iter().filter(|key| is_below(key.path, table.path())) {
            let found = links.iter().find_map(|link| {
                let is_cut = |at: &str| matches!(value_at(link, at), Some(Value::Part(false)));
                match link.settings.get(key.path) {
                    Some(setting) => Some(Some((link, setting))),
                    None if is_cut(key.table()) => Some(None),
                    None => None,
                }
            });
            let resolved = match found.flatten() {
                Some((link, setting)) => {
                    let (section, span) = (link.path.clone(), setting.span.clone());
                    (setting.value.clone(), Origin::Written { section, span })
                }
                None => match DEFAULTS.get(key.path) {
                    Some(value) => (value.clone(), Origin::Default),
                    None => continue,
                },
            };
            values.insert(key.path, resolved);
        }
        Self { values }
    }

    /// Returns what a setting is set to, or its default.
    pub(super) fn get<T: Type>(&self, key: Key<T>) -> T::Read<'_> {
        let own = T::read(self.value(key.path()));
        // Nothing says otherwise, or it was taken out as meaningless.
        own.or_else(|| T::read(DEFAULTS.get(key.path())))
            .expect("a key without a default is optional, and every default is read as its type")
    }

    /// Returns where the file says so, if it does.
    pub(super) fn span<T>(&self, key: Key<T>) -> Option<Range<usize>> {
        self.span_of(key.path())
    }

    /// Returns whether the file says so.
    pub(super) fn is_written<T>(&self, key: Key<T>) -> bool {
        self.span(key).is_some()
    }

    /// Sets a value that follows from others, unless the file says something.
    pub(super) fn follow<T: Type>(&mut self, key: Key<T>, value: T::Read<'_>) {
        let Some(value) = T::write(value) else { return };
        if !self.is_written(key) && self.value(key.path()) != Some(&value) {
            self.values.insert(key.path(), (value, Origin::Follows));
        }
    }

    /// Takes a value over from another key, with where it comes from.
    pub(super) fn take_over<T: Type, U>(
        &mut self,
        key: Key<U>,
        value: T::Read<'_>,
        from: (&Self, Key<T>),
    ) {
        let (other, from) = from;
        let origin = other.at(from.path()).map_or(Origin::Default, |(_, origin)| origin.clone());
        if let Some(value) = T::write(value) {
            self.values.insert(key.path(), (value, origin));
        }
    }

    /// Takes a setting out that means nothing here.
    pub(super) fn remove<T>(&mut self, key: Key<T>) {
        self.values.remove(key.path());
    }

    /// Returns a value by its path, and where it comes from: for who goes through the whole table.
    pub(super) fn at(&self, path: &str) -> Option<&(Value, Origin)> {
        self.values.get(path)
    }

    /// Returns where the file sets what has this path, if it does.
    pub(super) fn span_of(&self, path: &str) -> Option<Range<usize>> {
        match self.at(path)? {
            (_, Origin::Written { span, .. }) => Some(span.clone()),
            _ => None,
        }
    }

    fn value(&self, path: &str) -> Option<&Value> {
        self.at(path).map(|(value, _)| value)
    }
}

/// The defaults of the table of keys, read as if they stood in a file.
static DEFAULTS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    let defaults = KEYS.iter().filter(|key| !key.default.is_empty());
    defaults.filter_map(|key| Some((key.path, default_of(key)?))).collect()
});

fn default_of(key: &Row) -> Option<Value> {
    if key.kind == ValueKind::Part {
        return Some(Value::Part(key.default != "\"off\""));
    }
    read_alone(key.kind, key.default)
}

/// Reads a value of a kind as it would stand in the file behind a key's name.
pub(super) fn read_alone(kind: ValueKind, toml: &str) -> Option<Value> {
    let text = format!("value = {toml}").into();
    let mut report = SettingsReport::new(Text { name: "".into(), text });
    let entries = doc::parse(&mut report)?;
    kind.read(&entries.first()?.node).ok()
}

fn value_at<'a>(section: &'a Section, path: &str) -> Option<&'a Value> {
    section.settings.get(path).map(|setting| &setting.value)
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_and_example_can_be_read() {
        for key in KEYS.iter().filter(|key| key.is_leaf()) {
            for toml in [key.default, key.example].into_iter().filter(|toml| !toml.is_empty()) {
                assert!(read_alone(key.kind, toml).is_some(), "{} = {toml}", key.path);
            }
        }
    }

    #[test]
    fn every_default_and_example_is_read_as_the_type_of_its_key() {
        for row in KEYS {
            for toml in [row.default, row.example].into_iter().filter(|toml| !toml.is_empty()) {
                let value = match row.kind {
                    ValueKind::Part => Value::Part(toml != "\"off\""),
                    kind => read_alone(kind, toml).unwrap(),
                };
                assert!((row.is_read)(&value), "{} = {toml}", row.path);
            }
        }
    }

    #[test]
    fn what_a_value_writes_is_read_back() {
        for key in KEYS.iter().filter(|key| key.is_leaf() && key.kind != ValueKind::Secret) {
            let value = read_alone(key.kind, key.sample()).unwrap();
            assert_eq!(read_alone(key.kind, &value.to_string()), Some(value), "{}", key.path);
        }
    }
}
