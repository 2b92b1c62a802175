//! The JSON schema of settings files, written from the table of keys: for editors.

use seawall_core::Words;
use serde_json::{Map, Value as Json, json};

use super::ValueKind;
use super::keys::{self, Row};
use super::value::Condition;

/// Returns the JSON schema of settings files, for editors.
pub fn schema() -> Json {
    let mut schema = table("");
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("seawall.toml");
    schema["description"] = json!("Settings of Seawall, version 1.");
    // Editors of TOML read this key as the reference to this very file.
    schema["properties"]["$schema"] = json!({ "type": "string" });
    schema
}

/// Describes a table and everything below it.
fn table(path: &str) -> Json {
    let keys: Vec<_> = keys::within(path).collect();
    let properties: Map<String, Json> =
        keys.iter().map(|key| (key.name().to_owned(), property(key))).collect();
    let required: Vec<_> = keys.iter().filter(|k| k.is_required).map(|key| key.name()).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    })
}

fn property(key: &Row) -> Json {
    let mut property = match key.kind {
        ValueKind::Table => table(key.path),
        ValueKind::Part => part(key),
        ValueKind::Named => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,64}$" },
            "additionalProperties": table(key.path),
        }),
        ValueKind::List => json!({ "type": "array", "items": table(key.path) }),
        kind => leaf(kind),
    };
    property["description"] = json!(key.what);
    if key.is_leaf()
        && let Ok(default) = format!("value = {}", key.default).parse::<toml::Table>()
    {
        property["default"] = json!(default.get("value"));
    }
    property
}

/// Describes a table that can be switched: off, and on unless it is nothing without a setting; if
/// that is one alone, it may stand for the table.
fn part(key: &Row) -> Json {
    let mut forms = vec![table(key.path), json!({ "enum": ["off", false] })];
    if key.can_be_empty() {
        forms.push(json!({ "enum": ["on", true] }));
    }
    forms.extend(keys::stands_for_all(key).map(|key| leaf(key.kind)));
    json!({ "anyOf": forms })
}

fn leaf(kind: ValueKind) -> Json {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        ValueKind::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        ValueKind::Flag => json!({ "type": "boolean" }),
        ValueKind::Duration { .. } => text(DURATION),
        ValueKind::Size { .. } => text(r"^[0-9._]+ ?(B|KiB|MiB|GiB|kB|MB|GB)$"),
        ValueKind::Percent => text(r"^[0-9._]+ ?%$"),
        ValueKind::PercentOrOff => text(r"^([0-9._]+ ?%|off)$"),
        ValueKind::Rate { .. } => text(r"^[0-9._]+ ?/[smh]$"),
        ValueKind::Speed => text(r"^[0-9._]+ ?(B|KiB|MiB|GiB|kB|MB|GB)/s$"),
        ValueKind::Range => text(r"^[0-9._]+ ?(us|µs|ms|s|m|h)\.\.[0-9._]+ ?(us|µs|ms|s|m|h)$"),
        ValueKind::Listen => text(r":[0-9]{1,5}$"),
        ValueKind::Networks => json!({ "type": "array", "items": { "type": "string" } }),
        ValueKind::Conditions => json!({
            "type": "array",
            "items": { "anyOf": [
                { "enum": Condition::WORDS },
                text("^[45][0-9][0-9]$"),
                { "type": "integer", "minimum": 400, "maximum": 599 },
            ] },
        }),
        ValueKind::Secret => json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "env": { "type": "string" }, "default": { "type": "string" } },
            "required": ["env"],
        }),
        ValueKind::Urls | ValueKind::Names => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        _ => json!({ "type": "string" }),
    }
}

const DURATION: &str = r"^[0-9._]+ ?(us|µs|ms|s|m|h)$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_key_where_the_file_has_it() {
        let schema = schema();
        for key in keys::KEYS {
            let mut at = &schema;
            for name in key.path.split('.') {
                at = [&at["additionalProperties"], &at["items"], &at["anyOf"][0], at]
                    .into_iter()
                    .map(|at| &at["properties"][name])
                    .find(|at| !at.is_null())
                    .unwrap_or_else(|| panic!("{} is not in the schema", key.path));
            }
            assert_eq!(at["description"], key.what, "{}", key.path);
        }
    }
}
