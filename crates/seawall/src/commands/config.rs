//! `seawall config`: shows, explains and describes settings, all from the one table of keys.

use seawall_settings as settings;
use seawall_settings::keys::{self, KEYS, Row};
use serde_json::json;

use super::Console;
use crate::cli::{ConfigAction, Global};
use crate::exit::Exit;

pub(super) fn config(global: &Global, action: &ConfigAction, console: &Console) -> Exit {
    match action {
        ConfigAction::Show { origin } => return show(global, *origin, console),
        ConfigAction::Schema => console.document(&settings::schema()),
        ConfigAction::Reference => console.answer(settings::reference().trim_end()),
        ConfigAction::Explain { key: None } => list(console),
        ConfigAction::Explain { key: Some(path) } => return explain(path, console),
    }
    Exit::Done
}

fn show(global: &Global, with_origin: bool, console: &Console) -> Exit {
    let loaded = match super::load(global, console) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    if console.json {
        console.document(&loaded.shown.json(&loaded.warnings));
    } else {
        console.answer(loaded.shown.toml(&loaded.warnings, with_origin).trim_end());
    }
    Exit::Done
}

fn list(console: &Console) {
    if console.json {
        let keys: Vec<_> = KEYS.iter().map(document).collect();
        return console.document(&json!({ "schema": 1, "keys": keys }));
    }
    let width = KEYS.iter().map(|key| key.path.len()).max().unwrap_or(0);
    let line = |key: &Row| format!("{:<width$}  {}", key.path, first_sentence(key.what));
    console.answer(&KEYS.iter().map(line).collect::<Vec<_>>().join("\n"));
}

fn explain(path: &str, console: &Console) -> Exit {
    let Some(key) = find(path) else {
        let near = settings::nearest(path, KEYS.iter().map(|key| key.path));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`seawall config explain` lists them all".to_owned(),
        };
        console.error(&format!("there is no setting `{path}`"), Some(&help));
        return Exit::Usage;
    };
    if console.json {
        let mut answer = document(key);
        answer["schema"] = json!(1);
        console.document(&answer);
        return Exit::Done;
    }
    let mut lines = vec![key.path.to_owned(), format!("  {}", key.what), String::new()];
    lines.extend(facts(key).into_iter().map(|(word, fact)| format!("  {word:<10} {fact}")));
    let below: Vec<_> = keys::within(key.path).collect();
    let width = below.iter().map(|key| key.name().len()).max().unwrap_or(0);
    let line = |key: &&Row| format!("  {:<width$}  {}", key.name(), first_sentence(key.what));
    lines.extend(below.iter().map(line));
    console.answer(lines.join("\n").trim_end());
    Exit::Done
}

/// Finds a setting by its path, also by one with a name in it: `policy.patient.retry`.
fn find(path: &str) -> Option<&'static Row> {
    keys::find(path).or_else(|| {
        let (table, rest) = path.split_once('.')?;
        let (_, rest) = rest.split_once('.')?;
        keys::find(&format!("{table}.{rest}"))
    })
}

/// Lists what is to be said about a setting, word by word.
fn facts(key: &Row) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if !key.is_leaf() {
        if key.default == "\"off\"" {
            facts.push(("default", "off".to_owned()));
        }
    } else if key.is_required {
        facts.push(("default", "none: it must be set".to_owned()));
    } else if key.default.is_empty() && key.follows.is_empty() {
        facts.push(("default", "none".to_owned()));
    } else {
        let parts = [key.default, key.follows];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        facts.push(("default", parts.join("; ")));
    }
    let entries = [
        ("wants", key.kind.wants().to_owned()),
        ("range", key.kind.bounds()),
        ("example", if key.is_leaf() { example(key) } else { String::new() }),
        ("who", key.who.to_owned()),
        ("shown by", key.shows.to_owned()),
    ];
    facts.extend(entries.into_iter().filter(|(_, fact)| !fact.is_empty()));
    facts
}

fn example(key: &Row) -> String {
    let value = if key.example.is_empty() { key.default } else { key.example };
    format!("{} = {value}", key.name())
}

fn document(key: &Row) -> serde_json::Value {
    json!({
        "key": key.path,
        "what": key.what,
        "wants": key.kind.wants(),
        "range": key.kind.bounds(),
        "default": (!key.default.is_empty()).then_some(key.default),
        "follows": (!key.follows.is_empty()).then_some(key.follows),
        "required": key.is_required,
        "who": key.who,
        "shown_by": key.shows,
    })
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}
