//! The keys of one table of a scenario, read by their kinds.
//!
//! Does not know: which keys there are. Whatever is wrong goes into the report, and reading goes
//! on without it.

use std::ops::Range;
use std::time::Duration;

use crate::doc::{Entry, Node, Raw};
use crate::instead;
use crate::nearest::nearest;
use crate::refused::Refused;
use crate::report::{Problem, Report};
use crate::units;
use crate::value::{Kind, Value};

/// Reads one table.
pub(super) struct Fields<'a> {
    pub(super) report: &'a mut SettingsReport,
    entries: &'a [Entry],
    /// What errors call it; empty for the top.
    path: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(report: &'a mut SettingsReport, entries: &'a [Entry], path: &str) -> Self {
        Self { report, entries, path: path.to_owned() }
    }

    /// Reads a table within this one.
    pub(super) fn within<'b>(&'b mut self, entries: &'b [Entry], name: &str) -> Fields<'b> {
        let path = self.path_of(name);
        Fields { report: &mut *self.report, entries, path }
    }

    /// Refuses every key but these.
    pub(super) fn known(&mut self, names: &[&str]) {
        for entry in self.entries {
            if names.contains(&entry.key.as_str()) {
                continue;
            }
            let title = format!("unknown key `{}`", self.path_of(&entry.key));
            let help = match nearest(&entry.key, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", names.join(", ")),
            };
            self.report
                .add(SettingsProblem::error(title).at(entry.key_span.clone(), "").help(help));
        }
    }

    /// Returns where a key stands.
    pub(super) fn place(&self, name: &str) -> Option<Range<usize>> {
        self.entry(name).map(|entry| entry.key_span.clone())
    }

    /// Refuses the table as a whole.
    pub(super) fn refuse(&mut self, why: &str, help: &str) {
        let (first, last) = (self.entries.first(), self.entries.last());
        let span = match (first, last) {
            (Some(first), Some(last)) => first.key_span.start..last.node.span.end,
            _ => 0..0,
        };
        let problem = SettingsProblem::error(format!("`{}` {why}", self.path)).at(span, "");
        self.report.add(problem.help(help));
    }

    pub(super) fn time(
        &mut self,
        name: &str,
        min: &'static str,
        max: &'static str,
    ) -> Option<Duration> {
        match self.read(name, ValueKind::Duration { min, max }, "\"500ms\"")? {
            Value::Duration(time) => Some(time),
            _ => None,
        }
    }

    pub(super) fn whole(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        match self.read(name, ValueKind::Integer { min, max }, &min.max(1).to_string())? {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn rate(&mut self, name: &str) -> Option<f64> {
        match self.read(name, ValueKind::Rate { zero: true }, "\"500/s\"")? {
            Value::Rate(rate) => Some(rate),
            _ => None,
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.read(name, ValueKind::Flag, "true")? {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.read(name, ValueKind::Text("a text in quotes"), "\"…\"")? {
            // On one line, and short enough to stand above a table.
            Value::Text(text) => Some(text.chars().take(TEXT_MAX).collect()),
            _ => None,
        }
    }

    pub(super) fn word(
        &mut self,
        name: &str,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let read = self.read(name, ValueKind::Choice(words), &format!("\"{}\"", words[0]))?;
        match read {
            Value::Text(text) => words.iter().copied().find(|word| *word == text),
            _ => None,
        }
    }

    /// Reads a percentage; unlike most settings it may be 0%.
    pub(super) fn share(&mut self, name: &str) -> Option<f64> {
        let read = |node: &Node| match &node.value {
            Raw::Text(text) => units::percent(text).map_err(|why| format!("is {why}")),
            other => Err(format!("wants a percentage in quotes, and this is {}", other.kind())),
        };
        self.read_with(name, read, "\"5%\"")
    }

    pub(super) fn number(&mut self, name: &str, min: f64, max: f64) -> Option<f64> {
        let read = |node: &Node| {
            let number = match &node.value {
                Raw::Integer(number) => *number as f64,
                Raw::Float(number) => *number,
                other => return Err(format!("wants a number, and this is {}", other.kind())),
            };
            let is_within = (min..=max).contains(&number);
            if is_within { Ok(number) } else { Err(format!("goes from {min} to {max}")) }
        };
        self.read_with(name, read, "2.5")
    }

    /// Reads a list of whole numbers.
    pub(super) fn numbers(&mut self, name: &str, count_max: usize) -> Option<Vec<u64>> {
        let read = |node: &Node| {
            let Raw::List(items) = &node.value else {
                let kind = node.value.kind();
                return Err(format!("wants a list of whole numbers, and this is {kind}"));
            };
            if items.is_empty() || items.len() > count_max {
                return Err(format!("holds 1 to {count_max} numbers"));
            }
            let number = |item: &Node| match &item.value {
                Raw::Integer(number) => u64::try_from(*number).ok(),
                _ => None,
            };
            let numbers: Option<Vec<u64>> = items.iter().map(number).collect();
            numbers.ok_or_else(|| "holds something that is not a whole number".to_owned())
        };
        self.read_with(name, read, "[1, 2, 3]")
    }

    /// Returns the entries of a table within this one.
    pub(super) fn table(&mut self, name: &str) -> Option<&'a [Entry]> {
        let entry = self.entry(name)?;
        match &entry.node.value {
            Raw::Table(entries) => Some(entries),
            other => {
                let why = format!("wants a table, and this is {}", other.kind());
                self.wrong(entry, &why, None);
                None
            }
        }
    }

    /// Returns the entries of each of a list of tables.
    pub(super) fn tables(&mut self, name: &str, count_max: usize) -> Vec<&'a [Entry]> {
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let items = match &entry.node.value {
            Raw::List(items) if items.len() <= count_max => items,
            Raw::List(_) => {
                self.wrong(entry, &format!("is there more than {count_max} times"), None);
                return Vec::new();
            }
            _ => {
                let help = format!("[[{name}]]");
                self.wrong(entry, "is a list: there can be many", Some(&help));
                return Vec::new();
            }
        };
        let mut tables: Vec<&[Entry]> = Vec::new();
        for item in items {
            match &item.value {
                Raw::Table(entries) => tables.push(entries),
                _ => self.wrong(entry, "holds something that is not a table", None),
            }
        }
        tables
    }

    fn read(&mut self, name: &str, kind: ValueKind, sample: &str) -> Option<Value> {
        let entry = self.entry(name)?;
        match kind.read(&entry.node) {
            Ok(value) => Some(value),
            Err(Refused { why, help, .. }) => {
                let guess = instead::guessed_line(name, kind, &entry.node).or(help);
                let help = guess.unwrap_or_else(|| format!("{name} = {sample}"));
                self.wrong(entry, &why, Some(&help));
                None
            }
        }
    }

    fn read_with<T>(
        &mut self,
        name: &str,
        read: impl Fn(&Node) -> Result<T, String>,
        sample: &str,
    ) -> Option<T> {
        let entry = self.entry(name)?;
        match read(&entry.node) {
            Ok(value) => Some(value),
            Err(why) => {
                self.wrong(entry, &why, Some(&format!("{name} = {sample}")));
                None
            }
        }
    }

    fn wrong(&mut self, entry: &Entry, why: &str, help: Option<&str>) {
        let title = format!("`{}` {why}", self.path_of(&entry.key));
        let problem = SettingsProblem::error(title).at(entry.node.span.clone(), "");
        self.report.add(problem.help_if(help.map(str::to_owned)));
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

const TEXT_MAX: usize = 300;
