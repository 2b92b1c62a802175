//! The document as a tree with places: what TOML and JSON have in common.
//!
//! Does not know: which settings exist. Every value knows its bytes in the text, so that every
//! later error can point at them.

use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::report::{Problem, Report};
use super::source::Text;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Raw,
}

/// A value as the file has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Text(String),
    Integer(i128),
    Float(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Something that no setting is made of: a date, `null`.
    Other(&'static str),
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

impl Raw {
    /// Returns what people call a value of this kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads the text of a report: JSON if it begins with a brace, else TOML.
///
/// Returns the entries of the top, or nothing after adding what is wrong to the report.
pub(super) fn parse(report: &mut SettingsReport) -> Option<Vec<Entry>> {
    let text = report.source().text.clone();
    if text.trim_start().starts_with('{') {
        from_json(&text, report)
    } else {
        from_toml(&text, report)
    }
}

fn from_toml(text: &str, report: &mut SettingsReport) -> Option<Vec<Entry>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        hide_secrets(text, report);
    }
    if !errors.is_empty()
        && let Some(problem) = yaml_problem(report.source())
    {
        report.add(problem);
        return None;
    }
    let mut lines = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let (line, _) = report.place(span.start);
        // One mistake often confuses the rest of its line.
        if lines.contains(&line) || lines.len() == SYNTAX_ERRORS_MAX {
            continue;
        }
        lines.push(line);
        let text = report.source().text.clone();
        report.add(syntax_problem(&text, span, error.message()));
    }
    errors.is_empty().then(|| entries_of_toml(table.get_ref()))
}

/// Hides what may be a secret in a file whose tables are not known: what stands behind a key
/// that looks like one.
fn hide_secrets(text: &str, report: &mut SettingsReport) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(end) =
            keys::secrets().filter_map(|name| Some(line.find(name)? + name.len())).min()
        {
            report.hide(start + end..start + line.trim_end().len());
        }
        start += line.len();
    }
}

/// Says that a file is YAML, if its name says so or it begins like one.
fn yaml_problem(source: &Text) -> Option<SettingsProblem> {
    let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let first = source.text.lines().find(is_said)?;
    let is_key = |line: &str| {
        let (key, value) = line.trim_end().split_once(':').unwrap_or((line, "-"));
        is_bare(key) && (value.is_empty() || value.starts_with(' '))
    };
    let is_named = [".yaml", ".yml"].iter().any(|end| source.name.ends_with(end));
    if !is_named && first.trim_end() != "---" && !is_key(first) && !first.starts_with("- ") {
        return None;
    }
    let start = first.as_ptr() as usize - source.text.as_ptr() as usize;
    let problem = SettingsProblem::error("this looks like YAML, and settings are TOML or JSON");
    let help = "[upstream.weather-api]\nurl = \"http://10.0.0.7:7001\"\n`seawall init` writes a \
                whole file to start from";
    Some(problem.at(start..start + first.len(), "").help(help))
}

fn syntax_problem(text: &str, span: Range<usize>, message: &str) -> SettingsProblem {
    let found = text.get(span.clone()).unwrap_or_default();
    if message.starts_with("duplicate key") {
        return duplicate_problem(text, span);
    }
    if message.starts_with("string values must be quoted") {
        return SettingsProblem::error("texts stand in quotes").at(span, "").help(
            match found.contains("**") {
                true => "put quotes around it".to_owned(),
                false => format!("write \"{}\"", found.replace(['"', '\\'], "")),
            },
        );
    }
    let span = if span.is_empty() { span.start..span.start + 1 } else { span };
    let colon = line_around(text, span.start).1.split_once(':').filter(|(key, _)| is_bare(key));
    if let (true, Some((key, value))) = (message.starts_with("key with no value"), colon) {
        let (key, value) = (key.trim(), value.trim());
        let is_toml = format!("a = {value}").parse::<toml::Table>().is_ok();
        let help = match value {
            "" => format!("[{key}] for a table, {key} = … for a value"),
            _ if is_toml => format!("{key} = {value}"),
            _ => format!("{key} = \"{}\"", value.replace(['"', '\\'], "")),
        };
        return SettingsProblem::error("values stand behind `=`").at(span, "").help(help);
    }
    SettingsProblem::error(format!("this is not TOML: {message}")).at(span, "")
}

/// Says that a key or a table is there twice, where it was the first time, and what to do.
fn duplicate_problem(text: &str, span: Range<usize>) -> SettingsProblem {
    let found = text.get(span.clone()).unwrap_or_default();
    let (start, line) = line_around(text, span.start);
    let is_heading = line.trim_start().starts_with('[');
    let bare = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    // Keys count from their table's heading on.
    let is_first = |other: &str| match is_heading {
        true => bare(other) == bare(line),
        false => other.split_once('=').is_some_and(|(key, _)| key.trim() == found),
    };
    let mut first = None;
    let mut at = 0;
    for other in text[..start].split_inclusive('\n') {
        if !is_heading && other.trim_start().starts_with('[') {
            first = None;
        } else if first.is_none() && is_first(other) {
            let indent = other.len() - other.trim_start().len();
            first = Some(at + indent..at + other.trim_end().len());
        }
        at += other.len();
    }
    let help = match is_heading {
        true => format!("put what stands below it under the first {}", bare(line)),
        false => "keep one of the two lines".to_owned(),
    };
    let title = format!("`{found}` is {} twice", if is_heading { "there" } else { "set" });
    let problem = SettingsProblem::error(title).at(span, "the second time").help(help);
    match first {
        Some(first) => problem.at(first, "the first time"),
        None => problem,
    }
}

/// Returns where the line around a byte begins, and the line.
fn line_around(text: &str, at: usize) -> (usize, &str) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    (start, &text[start..end])
}

fn is_bare(key: &str) -> bool {
    let key = key.trim();
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn entries_of_toml(table: &DeTable<'_>) -> Vec<Entry> {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        key_span: key.span(),
        node: node_of_toml(value),
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn node_of_toml(value: &Spanned<DeValue<'_>>) -> Node {
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            // Longer than 128 bits: no setting is that large, so the largest stands for it.
            let digits = number.as_str();
            let huge = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
            Raw::Integer(i128::from_str_radix(digits, number.radix()).unwrap_or(huge))
        }
        DeValue::Float(number) => Raw::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => Raw::List(items.iter().map(node_of_toml).collect()),
        DeValue::Table(table) => Raw::Table(entries_of_toml(table)),
    };
    Node { span: value.span(), value: raw }
}

fn from_json(text: &str, report: &mut SettingsReport) -> Option<Vec<Entry>> {
    match serde_json::from_str::<&RawValue>(text).map(|raw| node_of_json(text, raw)) {
        Ok(Ok(Node { value: Raw::Table(entries), .. })) => Some(entries),
        Ok(Ok(_)) => {
            report.add(SettingsProblem::error("settings are a JSON object"));
            None
        }
        Ok(Err(error)) | Err(error) => {
            hide_secrets(text, report);
            let line = error.line().saturating_sub(1);
            let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
            let at = (line_start + error.column().saturating_sub(1)).min(text.len());
            let message = error.to_string();
            // Line and column stand beside it already.
            let message = message.split(" at line ").next().unwrap_or(&message);
            report.add(
                SettingsProblem::error(format!("this is not JSON: {message}")).at(at..at + 1, ""),
            );
            None
        }
    }
}

/// Reads one level at a time: a raw value borrows from the text, which gives its place.
fn node_of_json(text: &str, raw: &RawValue) -> Result<Node, serde_json::Error> {
    let json = raw.get();
    let span = place_in(text, json).unwrap_or(0..0);
    let value = match json.as_bytes().first() {
        Some(b'{') => {
            let mut entries = Vec::new();
            for (key, raw) in serde_json::Deserializer::from_str(json).deserialize_map(Pairs)? {
                let node = node_of_json(text, raw)?;
                let before = text.get(..node.span.start).unwrap_or_default();
                let key_span = key_before(before).unwrap_or_else(|| node.span.clone());
                entries.push(Entry { key, key_span, node });
            }
            Raw::Table(entries)
        }
        Some(b'[') => {
            let items = serde_json::Deserializer::from_str(json).deserialize_seq(Items)?;
            let items: Result<_, _> =
                items.into_iter().map(|raw| node_of_json(text, raw)).collect();
            Raw::List(items?)
        }
        Some(b'"') => Raw::Text(serde_json::from_str(json)?),
        Some(b't') => Raw::Flag(true),
        Some(b'f') => Raw::Flag(false),
        Some(b'n') => Raw::Other("null"),
        _ => match json.parse::<i128>() {
            Ok(number) => Raw::Integer(number),
            Err(_) => Raw::Float(json.parse().unwrap_or(f64::NAN)),
        },
    };
    Ok(Node { span, value })
}

/// Returns where a part of the text stands in it.
fn place_in(text: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= text.len()).then_some(start..end)
}

/// Returns the place of the key that a text ends with: `… "key" :`.
fn key_before(text: &str) -> Option<Range<usize>> {
    let end = text.trim_end().strip_suffix(':')?.trim_end().len();
    let inner = text.get(..end.checked_sub(1)?)?;
    let is_quote =
        |at: &usize| inner[..*at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 0;
    let start = inner.rmatch_indices('"').map(|(at, _)| at).find(is_quote)?;
    Some(start..end)
}

/// Collects a JSON object's pairs, refusing a key that is there twice.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen = std::collections::HashSet::new();
        let mut pairs = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if !seen.insert(key.clone()) {
                return Err(serde::de::Error::custom(format!("`{key}` is set twice")));
            }
            pairs.push((key, value));
        }
        Ok(pairs)
    }
}

/// Collects a JSON array's items.
struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// How many syntax errors are shown; the later ones are mostly echoes.
const SYNTAX_ERRORS_MAX: usize = 5;
