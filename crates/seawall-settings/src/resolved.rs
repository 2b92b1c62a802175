//! One table with every value that holds, and where each comes from: the file, another policy,
//! another setting, or the default.
//!
//! Does not know: what the values are for. A value that is asked for is always there, because the
//! table of keys has it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;
use seawall_policy::hedge::After;
use seawall_policy::retry::On;

use super::doc;
use super::keys::{KEYS, Key};
use super::raw::Section;
use super::report::Report;
use super::source::Text;
use super::value::{Kind, Value};

/// Holds every value of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

/// Says where a value comes from.
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
    /// Settles the table `prefix`: the first of `links` that says something wins.
    ///
    /// A part that a link switches off is cut there: what further links say about it is gone.
    pub(super) fn new(prefix: &str, links: &[&Section]) -> Self {
        let mut values = BTreeMap::new();
        for key in KEYS.iter().filter(|key| is_below(key.path, prefix)) {
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

    /// Returns a value and where it comes from.
    pub(super) fn get(&self, path: &str) -> Option<&(Value, Origin)> {
        self.values.get(path)
    }

    /// Returns where the file says so, if it does.
    pub(super) fn span(&self, path: &str) -> Option<Range<usize>> {
        match self.get(path)? {
            (_, Origin::Written { span, .. }) => Some(span.clone()),
            _ => None,
        }
    }

    /// Returns whether the file says so.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.span(path).is_some()
    }

    /// Sets a value that follows from others, unless the file says something.
    pub(super) fn follow(&mut self, path: &'static str, value: Value) {
        if !self.is_written(path) && self.get(path).map(|(value, _)| value) != Some(&value) {
            self.values.insert(path, (value, Origin::Follows));
        }
    }

    /// Takes a setting out that means nothing here.
    pub(super) fn remove(&mut self, path: &str) {
        self.values.remove(path);
    }

    /// Returns whether a part is on.
    pub(super) fn is_on(&self, part: &str) -> bool {
        matches!(self.get(part), Some((Value::Part(true), _)))
    }

    pub(super) fn integer(&self, path: &str) -> u64 {
        match self.get(path) {
            Some((Value::Integer(number), _)) => *number,
            _ => 0,
        }
    }

    pub(super) fn flag(&self, path: &str) -> bool {
        matches!(self.get(path), Some((Value::Flag(true), _)))
    }

    pub(super) fn duration(&self, path: &str) -> Duration {
        match self.get(path) {
            Some((Value::Duration(value), _)) => *value,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn bytes(&self, path: &str) -> u64 {
        match self.get(path) {
            Some((Value::Size(bytes) | Value::Speed(bytes), _)) => *bytes,
            _ => 0,
        }
    }

    pub(super) fn share(&self, path: &str) -> Option<f64> {
        match self.get(path) {
            Some((Value::Share(share), _)) => *share,
            _ => None,
        }
    }

    pub(super) fn rate(&self, path: &str) -> f64 {
        match self.get(path) {
            Some((Value::Rate(rate), _)) => *rate,
            _ => 0.0,
        }
    }

    pub(super) fn range(&self, path: &str) -> (Duration, Duration) {
        match self.get(path) {
            Some((Value::Range(from, to), _)) => (*from, *to),
            _ => (Duration::ZERO, Duration::ZERO),
        }
    }

    pub(super) fn conditions(&self, path: &str) -> On {
        match self.get(path) {
            Some((Value::Conditions(on), _)) => on.clone(),
            _ => On::default(),
        }
    }

    pub(super) fn networks(&self, path: &str) -> Vec<IpNet> {
        match self.get(path) {
            Some((Value::Networks(list), _)) => list.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn after(&self, path: &str) -> After {
        match self.get(path) {
            Some((Value::After(after), _)) => *after,
            _ => After::AtOnce,
        }
    }

    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        match self.get(path) {
            Some((Value::Texts(list), _)) => list.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match self.get(path) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn address(&self, path: &str) -> SocketAddr {
        match self.get(path) {
            Some((Value::Address(address), _)) => *address,
            _ => SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// The defaults of the table of keys, read as if they stood in a file.
static DEFAULTS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    let defaults = KEYS.iter().filter(|key| !key.default.is_empty());
    defaults.filter_map(|key| Some((key.path, default_of(key)?))).collect()
});

fn default_of(key: &Key) -> Option<Value> {
    if key.kind == Kind::Part {
        return Some(Value::Part(key.default != "\"off\""));
    }
    read_alone(key.kind, key.default)
}

/// Reads a value of a kind as it would stand in the file behind a key's name.
pub(super) fn read_alone(kind: Kind, toml: &str) -> Option<Value> {
    let text = format!("value = {toml}").into();
    let mut report = Report::new(Text { name: "".into(), text });
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
    fn what_a_value_writes_is_read_back() {
        for key in KEYS.iter().filter(|key| key.is_leaf() && key.kind != Kind::Secret) {
            let value = read_alone(key.kind, key.sample()).unwrap();
            assert_eq!(read_alone(key.kind, &value.to_string()), Some(value), "{}", key.path);
        }
    }
}
