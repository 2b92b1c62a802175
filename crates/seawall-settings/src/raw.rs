//! The settings as they are written: every key known, every value of its kind, nothing compared.
//!
//! Does not know: what settings mean together. The table of keys drives it, and it goes on after
//! an error so that all of them are told at once.

use std::collections::BTreeMap;
use std::ops::Range;

use super::doc::{Entry, Node, Raw};
use super::foreign;
use super::instead;
use super::keys::{self, KEYS, Key, Row};
use super::nearest::nearest;
use super::refused::Refused;
use super::report::{Problem, Report};
use super::typed::IsText;
use super::value::{Kind, Value};

/// Everything that one file says.
#[derive(Debug, Default)]
pub(super) struct RawSettings {
    /// The settings outside of named tables.
    pub(super) top: Section,
    /// The tables with names of their own, routes and listeners, in the order of the file.
    pub(super) policies: Vec<Section>,
    pub(super) upstreams: Vec<Section>,
    pub(super) routes: Vec<Section>,
    pub(super) listeners: Vec<Section>,
    pub(super) jobs: Vec<Section>,
}

/// What one table says, and the tables within it.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// What errors call it: `policy.patient`, `route`; empty for the top.
    pub(super) path: String,
    /// Its own name: `patient`; empty for routes and the top.
    pub(super) name: String,
    /// Where its name stands.
    pub(super) span: Range<usize>,
    /// What is set, by the path in the table of keys.
    pub(super) settings: BTreeMap<&'static str, Setting>,
    /// Whether something in it was refused: what it means together is then not looked at.
    pub(super) is_flawed: bool,
}

/// One setting.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

impl Section {
    /// Returns a text and its place.
    pub(super) fn text<T: IsText>(&self, key: Key<T>) -> Option<(&str, Range<usize>)> {
        let setting = self.settings.get(key.path())?;
        match &setting.value {
            Value::Text(text) => Some((text, setting.span.clone())),
            _ => None,
        }
    }
}

/// Reads the entries of the top.
pub(super) fn read(entries: &[Entry], report: &mut SettingsReport) -> RawSettings {
    let mut reader = Reader { written: RawSettings::default(), report };
    let mut top = Section::default();
    reader.table(entries, "", "", &mut top);
    reader.written.top = top;
    reader.written
}

struct Reader<'a> {
    written: RawSettings,
    report: &'a mut SettingsReport,
}

impl Reader<'_> {
    /// Reads a table whose keys stand in the table of keys below `prefix`; errors call it `shown`.
    fn table(&mut self, entries: &[Entry], prefix: &str, shown: &str, into: &mut Section) {
        for entry in entries {
            let path = joined(prefix, &entry.key);
            let shown = joined(shown, &entry.key);
            match keys::find(&path) {
                Some(key) => self.setting(key, entry, &shown, into),
                None => {
                    into.is_flawed = true;
                    self.unknown(entry, prefix, &shown);
                }
            }
        }
        self.missing(prefix, entries, into);
    }

    fn setting(&mut self, key: &'static Row, entry: &Entry, shown: &str, into: &mut Section) {
        match (key.kind, &entry.node.value) {
            (ValueKind::Table, Raw::Table(inner)) => self.table(inner, key.path, shown, into),
            (ValueKind::Part, _) => self.part(key, entry, shown, into),
            (ValueKind::Named, Raw::Table(inner)) => {
                inner.iter().for_each(|it| self.named(key, it))
            }
            (ValueKind::List, Raw::List(items)) => {
                items.iter().for_each(|item| self.item(key, item))
            }
            (ValueKind::Named, Raw::List(_)) => {
                let name = key.path;
                let title = format!("`{name}` is not a list: each has its own name");
                let label = "two pairs of brackets, or a list";
                let problem = SettingsProblem::error(title).at(entry.key_span.clone(), label);
                self.report.add(problem.help(heading(name)));
            }
            (ValueKind::List, Raw::Table(_)) => {
                let name = key.path;
                let title = format!("`{name}` is a list: there can be many");
                let label = "one pair of brackets";
                let problem = SettingsProblem::error(title).at(entry.key_span.clone(), label);
                self.report.add(problem.help(format!("[[{name}]]")));
            }
            _ => self.leaf(key, entry, shown, into),
        }
    }

    /// Reads a part: a table, a switch, or the one setting that it is nothing without.
    fn part(&mut self, key: &'static Row, entry: &Entry, shown: &str, into: &mut Section) {
        let on = Setting { value: Value::Part(true), span: entry.key_span.clone() };
        let inner: Option<&[Entry]> = match &entry.node.value {
            Raw::Table(inner) => Some(inner),
            Raw::Flag(true) => Some(&[]),
            Raw::Text(text) if text == "on" => Some(&[]),
            _ => None,
        };
        if let Some(inner) = inner {
            into.settings.insert(key.path, on);
            return self.table(inner, key.path, shown, into);
        }
        let alone = keys::stands_for_all(key)
            .and_then(|all| Some((all.path, all.kind.read(&entry.node).ok()?)));
        match alone {
            Some((path, value)) => {
                let span = entry.node.span.clone();
                into.settings.extend([(key.path, on), (path, Setting { value, span })]);
            }
            None => self.leaf(key, entry, shown, into),
        }
    }

    fn leaf(&mut self, key: &'static Row, entry: &Entry, shown: &str, into: &mut Section) {
        if key.kind == ValueKind::Secret {
            self.hide_secret(&entry.node);
        }
        let span = entry.node.span.clone();
        match key.kind.read(&entry.node) {
            Ok(value) => {
                into.settings.insert(key.path, Setting { value, span });
            }
            Err(Refused { why, span: part, help }) => {
                into.is_flawed = true;
                let guess = instead::guessed(key, &entry.node).or(help);
                let help = guess.unwrap_or_else(|| match key.kind {
                    ValueKind::Table | ValueKind::Named | ValueKind::List => heading(key.path),
                    _ => sample_of(key),
                });
                let problem = SettingsProblem::error(format!("`{shown}` {why}"));
                self.report.add(problem.at(part.unwrap_or(span), "").help(help));
            }
        }
    }

    /// Takes what a secret may be out of the text that errors show.
    fn hide_secret(&mut self, node: &Node) {
        match &node.value {
            Raw::Table(entries) => {
                for entry in entries.iter().filter(|entry| entry.key != "env") {
                    self.report.hide(entry.node.span.clone());
                }
            }
            _ => self.report.hide(node.span.clone()),
        }
    }

    fn named(&mut self, key: &'static Row, entry: &Entry) {
        let path = joined(key.path, &entry.key);
        let Raw::Table(inner) = &entry.node.value else {
            let title = format!("`{path}` wants a table, and this is {}", entry.node.value.kind());
            let problem = match keys::find(&joined(key.path, &entry.key)) {
                Some(leaf) => {
                    SettingsProblem::error(format!("`{path}` stands in a table without a name"))
                        .help(format!("[{}.NAME]\n{} = …", key.path, leaf.name()))
                }
                None => SettingsProblem::error(title).help(format!("[{path}]")),
            };
            return self.report.add(problem.at(entry.key_span.clone(), ""));
        };
        let mut section = Section {
            path: path.clone(),
            name: entry.key.clone(),
            span: entry.key_span.clone(),
            ..Section::default()
        };
        if !is_name(&entry.key) {
            section.is_flawed = true;
            let title = format!("`{}` cannot be a name in `[{}.…]`", entry.key, key.path);
            let label = "1 to 64 letters, digits, `-` or `_`";
            self.report.add(SettingsProblem::error(title).at(entry.key_span.clone(), label));
        }
        self.table(inner, key.path, &path, &mut section);
        match key.path {
            "policy" => self.written.policies.push(section),
            "job" => self.written.jobs.push(section),
            _ => self.written.upstreams.push(section),
        }
    }

    fn item(&mut self, key: &'static Row, item: &Node) {
        let Raw::Table(inner) = &item.value else {
            let title = format!("`{}` wants tables, and this is {}", key.path, item.value.kind());
            let problem = SettingsProblem::error(title).at(item.span.clone(), "");
            return self.report.add(problem.help(format!("[[{}]]", key.path)));
        };
        let span = item.span.clone();
        let mut section = Section { path: key.path.to_owned(), span, ..Section::default() };
        self.table(inner, key.path, key.path, &mut section);
        match key.path {
            "listener" => self.written.listeners.push(section),
            _ => self.written.routes.push(section),
        }
    }

    /// Says that a key does not exist: another's word, misspelt, in the wrong table, or nothing.
    fn unknown(&mut self, entry: &Entry, prefix: &str, shown: &str) {
        let names = || keys::within(prefix).map(Row::name);
        let near = nearest(&entry.key, names());
        let known = near.and_then(|near| keys::find(&joined(prefix, near)));
        if known.is_some_and(|key| key.kind == ValueKind::Secret) {
            self.report.hide(entry.node.span.clone());
        }
        let problem = SettingsProblem::error(format!("unknown key `{shown}`"));
        let elsewhere = KEYS.iter().filter(|key| key.name() == entry.key);
        let elsewhere: Vec<_> = elsewhere.map(|key| heading(key.table())).take(3).collect();
        let (label, help) = match (foreign::instead(prefix, &entry.key), near) {
            (Some(help), _) => ("", help.to_owned()),
            (None, Some(near)) => ("", format!("did you mean `{near}`?")),
            (None, None) if !elsewhere.is_empty() => {
                ("not here", format!("it belongs into {}", elsewhere.join(", or ")))
            }
            (None, None) => ("", format!("known here: {}", names().collect::<Vec<_>>().join(", "))),
        };
        self.report.add(problem.at(entry.key_span.clone(), label).help(help));
    }

    /// Says which keys a table is nothing without.
    fn missing(&mut self, prefix: &str, entries: &[Entry], into: &mut Section) {
        for key in keys::within(prefix).filter(|key| key.is_required) {
            let is_misspelt = |entry: &Entry| {
                let names = keys::within(prefix).map(Row::name);
                nearest(&entry.key, names) == Some(key.name())
            };
            if entries.iter().any(is_misspelt) {
                continue;
            }
            into.is_flawed = true;
            let span = match into.settings.get(prefix) {
                Some(part) => part.span.clone(),
                None => into.span.clone(),
            };
            let of =
                if into.name.is_empty() { into.path.clone() } else { joined_part(prefix, into) };
            let problem = SettingsProblem::error(format!("`{of}` has no `{}`", key.name()));
            self.report.add(problem.at(span, "").help(sample_of(key)));
        }
    }
}

fn joined(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Returns what errors call a part of a named section: `policy.patient.rate`.
fn joined_part(prefix: &str, section: &Section) -> String {
    match prefix.split_once('.') {
        Some((_, part)) => joined(&section.path, part),
        None => section.path.clone(),
    }
}

/// Returns the line that would stand in the file.
fn sample_of(key: &Row) -> String {
    format!("{} = {}", key.name(), instead::sample(key))
}

/// Returns the heading of a table: `[server]`, `[policy.NAME]`, `[[route]]`, `retry = { … }`.
fn heading(table: &str) -> String {
    match keys::find(table).map(|key| key.kind) {
        None => "the top of the file".to_owned(),
        Some(ValueKind::Named) => format!("[{table}.NAME]"),
        Some(ValueKind::List) => format!("[[{table}]]"),
        Some(ValueKind::Part) => {
            let (outer, inner) = table.rsplit_once('.').unwrap_or(("", table));
            format!("{inner} = {{ … }} of {}", heading(outer))
        }
        Some(_) => format!("[{table}]"),
    }
}

/// Returns whether a text can name a policy or an upstream: it stands in metrics and headers.
fn is_name(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&text.len()) && text.chars().all(is_fine)
}
