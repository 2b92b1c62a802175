//! Settings in force, with where each comes from: what `config show` prints.
//!
//! Does not know: what settings mean. Secrets are shown as `***`.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::{Map, Value as Json, json};

use super::keys::{self, KEYS, Key, Row};
use super::report::SettingsReport;
use super::resolved::{Origin, Resolved};
use super::typed;
use super::value::Value;

/// Every setting in force, table by table.
#[derive(Clone, Debug, Default)]
pub struct Shown(Vec<Table>);

#[derive(Clone, Debug)]
struct Table {
    /// `server`, `policy.patient`, `route`.
    path: String,
    /// Its place in the table of keys: `policy`.
    prefix: &'static str,
    resolved: Resolved,
}

impl Shown {
    pub(super) fn add(&mut self, path: &str, table: Key<typed::Table>, resolved: Resolved) {
        self.0.push(Table { path: path.to_owned(), prefix: table.path(), resolved });
    }

    /// Returns where the file says the address of an upstream, if it does.
    pub fn place_of_url(&self, upstream: &str) -> Option<Range<usize>> {
        self.place(&format!("upstream.{upstream}"), keys::UPSTREAM_URL)
    }

    /// Returns where a table of the file sets a key, if it does.
    pub(super) fn place<T>(&self, table: &str, key: Key<T>) -> Option<Range<usize>> {
        self.0.iter().find(|shown| shown.path == table)?.resolved.span(key)
    }

    /// Returns all settings as a TOML file; with their origins as comments, if asked for.
    pub fn toml(&self, report: &SettingsReport, with_origin: bool) -> String {
        let mut out = "version = 1\n".to_owned();
        for table in &self.0 {
            let heading = match table.prefix {
                list @ ("route" | "listener") => format!("[[{list}]]"),
                _ => format!("[{}]", table.path),
            };
            let _ = writeln!(out, "\n{heading}");
            let mut lines = Vec::new();
            table.lines(table.prefix, report, &mut lines);
            let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
            for (line, origin) in lines {
                let _ = match with_origin && !origin.is_empty() {
                    true => writeln!(out, "{line:<width$}  # {origin}"),
                    false => writeln!(out, "{line}"),
                };
            }
        }
        out
    }

    /// Returns all settings as a list with their origins.
    pub fn json(&self, report: &SettingsReport) -> Json {
        let mut settings = Vec::new();
        for table in &self.0 {
            for key in KEYS.iter().filter(|key| table.has(key)) {
                let Some((value, origin)) = table.resolved.at(key.path) else { continue };
                let inner = key.path.strip_prefix(table.prefix).unwrap_or_default();
                let path = format!("{}{inner}", table.path);
                let mut entry = Map::new();
                entry.insert("key".to_owned(), json!(path));
                entry.insert("value".to_owned(), json_of(value));
                entry.insert("origin".to_owned(), json!(origin_of(key, origin, table, report)));
                settings.push(Json::Object(entry));
            }
        }
        json!({ "schema": 1, "file": &*report.source().name, "settings": settings })
    }
}

impl Table {
    /// Collects `key = value` with its origin; parts become tables of their own.
    fn lines(
        &self,
        prefix: &'static str,
        report: &SettingsReport,
        lines: &mut Vec<(String, String)>,
    ) {
        let below = keys::within(prefix);
        let (leaves, tables): (Vec<_>, Vec<_>) = below.partition(|key| key.is_leaf());
        let off = tables.iter().filter(|key| self.is_off(key));
        for key in leaves.iter().chain(off) {
            if let Some((value, origin)) = self.resolved.at(key.path) {
                let origin = origin_of(key, origin, self, report);
                lines.push((format!("{} = {value}", key.name()), origin));
            }
        }
        for key in tables.iter().filter(|key| !self.is_off(key)) {
            let inner = key.path.strip_prefix(self.prefix).unwrap_or_default();
            lines.push((format!("[{}{inner}]", self.path), String::new()));
            self.lines(key.path, report, lines);
        }
    }

    fn is_off(&self, key: &Row) -> bool {
        matches!(self.resolved.at(key.path), Some((Value::Part(false), _)))
    }

    /// Returns whether a key is in this table, and in no part that is off.
    fn has(&self, key: &Row) -> bool {
        let is_below = key.path.strip_prefix(self.prefix).is_some_and(|r| r.starts_with('.'));
        let is_cut = keys::find(key.table()).is_some_and(|table| self.is_off(table));
        is_below && !is_cut
    }
}

/// Says where a value comes from: `default`, `seawall.toml:12`, `policy.patient, seawall.toml:7`.
fn origin_of(key: &Row, origin: &Origin, table: &Table, report: &SettingsReport) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::Follows => format!("follows: {}", key.follows),
        Origin::Written { section, span } => {
            let (line, _) = report.place(span.start);
            let place = format!("{}:{line}", report.source().name);
            match *section == table.path || section.is_empty() {
                true => place,
                false => format!("{section}, {place}"),
            }
        }
    }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Integer(number) => json!(number),
        Value::Flag(flag) => json!(flag),
        Value::Text(text) => json!(text),
        Value::Networks(list) => json!(list.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Value::Conditions(on) => json!(super::value::condition_words(on).collect::<Vec<_>>()),
        other => json!(other.to_string().trim_matches('"')),
    }
}
