//! What was probably meant by a value that a setting does not take, in the form that it does.
//!
//! Does not know: what is wrong with it. A guess is only handed on if the setting takes it.

use std::time::Duration;

use super::doc::{Node, Raw};
use super::keys::{self, Row};
use super::resolved::read_alone;
use super::units;
use super::value::ValueKind;

/// Returns the line to write instead, if it can be guessed what was meant.
pub(super) fn guessed(key: &Row, found: &Node) -> Option<String> {
    if let Raw::List(urls) = &found.value
        && key.path == keys::UPSTREAM_URL.path()
    {
        return several_urls(urls);
    }
    match key.kind {
        ValueKind::Part => Some(format!("{} = {}", key.name(), part(key, found)?)),
        kind => guessed_line(key.name(), kind, found),
    }
}

/// Returns the line to write instead for a name and what stands behind it.
pub(super) fn guessed_line(name: &str, kind: ValueKind, found: &Node) -> Option<String> {
    let guesses = guesses(kind, found);
    // Of two values, the name stands before the first.
    (!guesses.is_empty()).then(|| format!("{name} = {}", guesses.join(", or ")))
}

/// Returns a value as an example, as it would stand in the file.
pub(super) fn sample(key: &Row) -> String {
    match (key.kind, keys::stands_for_all(key)) {
        (ValueKind::Part, Some(all)) => sample(all),
        (ValueKind::Part, None) => part_with(key, None),
        // An empty list shows nobody what stands in it.
        _ if key.default == "[]" && !key.example.is_empty() => key.example.to_owned(),
        _ => key.sample().to_owned(),
    }
}

/// Returns what was probably meant, the likeliest first.
fn guesses(kind: ValueKind, found: &Node) -> Vec<String> {
    let mut guesses = match (kind, &found.value) {
        (
            ValueKind::Networks | ValueKind::Urls | ValueKind::Names | ValueKind::Conditions,
            value,
        ) => list(value),
        (ValueKind::Range, Raw::List(ends)) => match &ends[..] {
            [from, to] => ranges(&format!("{}..{}", word(&from.value), word(&to.value))),
            _ => Vec::new(),
        },
        (_, Raw::List(items)) => match &items[..] {
            [only] => kind
                .read(only)
                .map_or_else(|_| guesses(kind, only), |value| vec![value.to_string()]),
            _ => Vec::new(),
        },
        (kind, value) => of_word(kind, word(value).trim(), value),
    };
    guesses.retain(|guess| read_alone(kind, guess).is_some());
    guesses.dedup();
    guesses.truncate(2);
    guesses
}

/// Returns the part with the value in the place of the setting that it was probably meant for.
fn part(key: &Row, found: &Node) -> Option<String> {
    if ["none", "no", "false", "disabled"].contains(&&*word(&found.value).to_lowercase()) {
        return Some("\"off\"".to_owned());
    }
    if let Some(all) = keys::stands_for_all(key) {
        return guesses(all.kind, found).into_iter().next();
    }
    let taken = |inner: &Row| inner.kind.read(found).ok().map(|value| value.to_string());
    let first = keys::within(key.path).find(|inner| inner.is_leaf())?;
    let guess = taken(first).or_else(|| guesses(first.kind, found).into_iter().next());
    if let Some(value) = guess {
        return Some(part_with(key, Some((first, value))));
    }
    let mut others = keys::within(key.path).filter(|inner| inner.is_leaf());
    others.find_map(|inner| Some(part_with(key, Some((inner, taken(inner)?)))))
}

/// Returns a part with this setting, or its first, and those that it is nothing without.
fn part_with(part: &Row, set: Option<(&Row, String)>) -> String {
    let mut fields = Vec::new();
    for key in keys::within(part.path) {
        match &set {
            Some((set, value)) if set.path == key.path => {
                fields.push(format!("{} = {value}", key.name()));
            }
            _ if key.is_required => fields.push(format!("{} = {}", key.name(), key.sample())),
            _ => {}
        }
    }
    let first = keys::within(part.path).find(|key| key.is_leaf());
    if let (true, Some(first)) = (fields.is_empty(), first) {
        fields.push(format!("{} = {}", first.name(), sample(first)));
    }
    format!("{{ {} }}", fields.join(", "))
}

/// Returns the lines for an upstream of which several addresses are known.
fn several_urls(urls: &[Node]) -> Option<String> {
    let urls: Vec<_> = urls.iter().map(|url| format!("\"{}\"", word(&url.value))).collect();
    let (first, others) = urls.split_first()?;
    let others = match others {
        [] => String::new(),
        others => format!("\nendpoints = [{}]", others.join(", ")),
    };
    Some(format!("url = {first}{others}"))
}

fn of_word(kind: ValueKind, word: &str, found: &Raw) -> Vec<String> {
    let lower = word.to_lowercase();
    let is_share = matches!(found, Raw::Float(_)) || word.contains('.');
    match kind {
        ValueKind::Integer { .. } => {
            number(&lower).map(|(n, _)| n.to_string()).into_iter().collect()
        }
        ValueKind::Flag => match &*lower {
            "true" | "yes" | "on" | "1" | "enabled" => vec!["true".to_owned()],
            "false" | "no" | "off" | "0" | "disabled" => vec!["false".to_owned()],
            _ => Vec::new(),
        },
        ValueKind::Duration { .. } => durations(&lower).into_iter().map(quoted_time).collect(),
        ValueKind::Size { .. } => {
            size(&lower).map(|size| format!("\"{size}\"")).into_iter().collect()
        }
        ValueKind::Speed => {
            let size = size(lower.trim_end_matches("/s").trim_end_matches("ps"));
            size.map(|size| format!("\"{size}/s\"")).into_iter().collect()
        }
        ValueKind::Percent | ValueKind::PercentOrOff => match &*lower {
            "false" | "none" | "unlimited" => vec!["\"off\"".to_owned()],
            _ => percent(&lower, is_share).into_iter().collect(),
        },
        ValueKind::Rate { .. } => rate(&lower).into_iter().collect(),
        ValueKind::Range => ranges(&lower),
        ValueKind::After => match number(lower.trim_start_matches(['p', 'q'])) {
            Some((share, "")) if is_share && share < 1.0 => vec![format!("\"p{}\"", share * 100.0)],
            Some((quantile, "" | "%")) => vec![format!("\"p{quantile}\"")],
            _ => durations(&lower).into_iter().map(quoted_time).collect(),
        },
        ValueKind::Key => match &*lower {
            "ip" | "address" | "addr" | "client_ip" | "client-ip" | "remote_addr" => {
                vec!["\"client\"".to_owned()]
            }
            "global" | "none" | "all" | "off" => vec!["\"upstream\"".to_owned()],
            _ => header(&lower).into_iter().collect(),
        },
        ValueKind::Priority => match &*lower {
            "medium" | "default" => vec!["\"normal\"".to_owned()],
            "highest" | "max" => vec!["\"critical\"".to_owned()],
            "lowest" | "min" | "batch" => vec!["\"low\"".to_owned()],
            _ => header(&lower).into_iter().collect(),
        },
        ValueKind::Choice(words) => words
            .iter()
            .filter(|known| known.replace(['-', '_'], "") == lower.replace(['-', '_'], ""))
            .map(|known| format!("\"{known}\""))
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns a list of what stands alone, or between commas.
fn list(found: &Raw) -> Vec<String> {
    let quoted = |word: &str| format!("\"{}\"", word.trim());
    match found {
        Raw::Text(_) | Raw::Integer(_) => {
            let words = word(found);
            let words: Vec<_> = words.split(',').map(quoted).collect();
            vec![format!("[{}]", words.join(", "))]
        }
        _ => Vec::new(),
    }
}

/// Returns the word of a header that stands without `header:`; only those have a dash.
fn header(word: &str) -> Option<String> {
    let name = word.strip_prefix("header").unwrap_or(word).trim_matches([':', ' ', '=']);
    name.contains('-').then(|| format!("\"header:{name}\""))
}

fn durations(word: &str) -> Vec<Duration> {
    let mut rest = word.trim_start_matches("pt");
    let mut sum = 0.0;
    while let Some((count, unit)) = number(rest) {
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, further) = unit.split_at(end);
        sum += count
            * match unit.trim() {
                "us" | "µs" | "usec" | "micros" => 1e-6,
                "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 1e-3,
                "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
                "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
                "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
                "d" | "day" | "days" => 86_400.0,
                "w" | "week" | "weeks" => 604_800.0,
                // Nobody knows which of the two was meant.
                "" if further.is_empty() => return both(count),
                _ => return Vec::new(),
            };
        rest = further.trim();
    }
    if rest.is_empty() { time(sum).into_iter().collect() } else { Vec::new() }
}

/// Returns so many seconds, and so many milliseconds.
fn both(count: f64) -> Vec<Duration> {
    [time(count), time(count / 1000.0)].into_iter().flatten().collect()
}

fn time(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time < Duration::from_secs(1 << 26))
}

fn quoted_time(time: Duration) -> String {
    format!("\"{}\"", units::write_duration(time))
}

fn size(word: &str) -> Option<String> {
    let (count, unit) = number(word)?;
    let unit = match unit {
        "" | "b" | "byte" | "bytes" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(units::write_size((count * unit) as u64))
}

fn percent(word: &str, is_share: bool) -> Option<String> {
    match number(word)? {
        (share, "") if is_share && share <= 1.0 => {
            Some(format!("\"{}\"", units::write_percent(share)))
        }
        (percent, "" | "percent" | "pct" | "p") => Some(format!("\"{percent}%\"")),
        _ => None,
    }
}

fn rate(word: &str) -> Option<String> {
    let (count, unit) = number(word)?;
    let unit = ["requests", "request", "reqs", "req", "calls"]
        .iter()
        .find_map(|what| unit.strip_prefix(what))
        .unwrap_or(unit);
    match unit.trim_start_matches([' ', '/']).trim_start_matches("per").trim() {
        "" | "s" | "sec" | "second" | "ps" | "rps" | "qps" | "r/s" | "1s" => {
            Some(format!("\"{count}/s\""))
        }
        "m" | "min" | "minute" | "rpm" | "r/m" | "1m" => Some(format!("\"{count}/m\"")),
        "h" | "hr" | "hour" | "rph" | "r/h" | "1h" => Some(format!("\"{count}/h\"")),
        "d" | "day" | "24h" => Some(format!("\"{}/h\"", count / 24.0)),
        _ => None,
    }
}

fn ranges(word: &str) -> Vec<String> {
    let between = ["..=", "...", "..", " - ", " to ", "-", ","];
    let ends = between.iter().find_map(|between| word.split_once(between));
    let (from, to) = match ends {
        Some((from, to)) => (durations(from.trim()), durations(to.trim())),
        // One wait is a range that does not grow.
        None => (durations(word), durations(word)),
    };
    let ranges = from.iter().zip(&to).map(|(from, to)| {
        let (from, to) = (from.min(to), from.max(to));
        format!("\"{}..{}\"", units::write_duration(*from), units::write_duration(*to))
    });
    ranges.collect()
}

/// Splits a number from the unit behind it.
fn number(word: &str) -> Option<(f64, &str)> {
    let word = word.trim();
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
    let (number, unit) = word.split_at(end.unwrap_or(word.len()));
    Some((number.replace('_', "").parse().ok()?, unit.trim()))
}

/// Returns a value as a word; empty for what is none.
fn word(found: &Raw) -> String {
    match found {
        Raw::Text(text) => text.clone(),
        Raw::Integer(number) => number.to_string(),
        Raw::Float(number) => number.to_string(),
        Raw::Flag(flag) => flag.to_string(),
        Raw::List(_) | Raw::Table(_) | Raw::Other(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;
    use crate::keys::KEYS;
    use crate::report::SettingsReport;
    use crate::source::Text;

    /// Returns what is told to somebody who has written this; nothing if it is taken.
    fn told(path: &str, toml: &str) -> Option<String> {
        let key = keys::find(path).unwrap_or_else(|| panic!("no key {path}"));
        let text = format!("value = {toml}").into();
        let mut report = SettingsReport::new(Text { name: "".into(), text });
        let node = &doc::parse(&mut report).unwrap_or_else(|| panic!("{toml}"))[0].node;
        let sample = || format!("{} = {}", key.name(), sample(key));
        key.kind.read(node).is_err().then(|| guessed(key, node).unwrap_or_else(sample))
    }

    #[test]
    fn what_others_write_is_told_as_it_is_written_here() {
        for (path, toml, line) in [
            ("policy.rate", "100", "rate = \"100/s\""),
            ("policy.rate", "\"100rps\"", "rate = \"100/s\""),
            ("policy.hedge", "\"95%\"", "hedge = { after = \"p95\" }"),
            ("policy.hedge", "0.95", "hedge = { after = \"p95\" }"),
            ("policy.hedge", "\"50ms\"", "hedge = { after = \"50ms\" }"),
            ("policy.cache", "\"30s\"", "cache = { fresh_for = \"30s\" }"),
            ("policy.cache", "60", "cache = { fresh_for = \"1m\" }"),
            ("policy.retry", "3", "retry = { attempts = 3 }"),
            ("policy.limit", "\"64\"", "limit = { in_flight = 64 }"),
            ("policy.breaker", "\"50%\"", "breaker = { failures = \"50%\" }"),
            ("policy.adaptive", "20", "adaptive = { initial = 20 }"),
            ("route.fallback", "\"sorry\"", "fallback = { body = \"sorry\" }"),
            ("policy.total_timeout", "5", "total_timeout = \"5s\", or \"5ms\""),
            ("policy.total_timeout", "\"5 sec\"", "total_timeout = \"5s\""),
            ("policy.total_timeout", "\"1m30s\"", "total_timeout = \"90s\""),
            ("policy.breaker.window", "\"1d\"", "window = \"24h\""),
            ("policy.retry.budget", "0.2", "budget = \"20%\""),
            ("policy.retry.budget", "20", "budget = \"20%\""),
            ("policy.retry.budget", "false", "budget = \"off\""),
            ("policy.retry.backoff", "[\"50ms\", \"1s\"]", "backoff = \"50ms..1s\""),
            ("policy.retry.backoff", "\"50ms-1s\"", "backoff = \"50ms..1s\""),
            ("policy.retry.backoff", "\"1s..50ms\"", "backoff = \"50ms..1s\""),
            ("policy.retry.on", "503", "on = [\"503\"]"),
            ("policy.retry.on", "\"502, 503\"", "on = [\"502\", \"503\"]"),
            ("policy.retry.any_method", "\"yes\"", "any_method = true"),
            ("policy.rate.limit", "100", "limit = \"100/s\""),
            ("policy.rate.limit", "\"100r/m\"", "limit = \"100/m\""),
            ("policy.rate.limit", "\"240 per day\"", "limit = \"10/h\""),
            ("policy.rate.key", "\"ip\"", "key = \"client\""),
            ("policy.rate.key", "\"X-Api-Key\"", "key = \"header:x-api-key\""),
            ("policy.rate.kind", "\"Token_Bucket\"", "kind = \"token-bucket\""),
            ("server.limits.body", "1048576", "body = \"1MiB\""),
            ("server.limits.body", "\"10mb\"", "body = \"10MiB\""),
            ("server.limits.body_rate", "240", "body_rate = \"240B/s\""),
            ("server.limits.connections", "\"100\"", "connections = 100"),
            ("server.trusted_proxies", "\"10.0.0.0/8\"", "trusted_proxies = [\"10.0.0.0/8\"]"),
            ("upstream.endpoints", "\"http://b\"", "endpoints = [\"http://b\"]"),
            ("upstream.url", "[\"http://a\"]", "url = \"http://a\""),
            ("policy.rate", "3.5", "rate = \"3.5/s\""),
            ("policy.retry", "\"none\"", "retry = \"off\""),
            ("route.priority", "\"medium\"", "priority = \"normal\""),
            ("job.keep.fields", "\"a, b\"", "fields = [\"a\", \"b\"]"),
        ] {
            assert_eq!(told(path, toml).as_deref(), Some(line), "{path} = {toml}");
        }
    }

    #[test]
    fn whatever_is_told_for_a_value_of_the_wrong_form_is_taken() {
        let forms = [
            "0",
            "1",
            "5",
            "80",
            "1000000",
            "-3",
            "0.2",
            "1.5",
            "99.9",
            "true",
            "false",
            "\"\"",
            "\"on\"",
            "\"off\"",
            "\"true\"",
            "\"yes\"",
            "\"none\"",
            "\"5\"",
            "\"0.2\"",
            "\"95%\"",
            "\"p95\"",
            "\"100/s\"",
            "\"100rps\"",
            "\"5s\"",
            "\"5 seconds\"",
            "\"1h30m\"",
            "\"64K\"",
            "\"10mb\"",
            "\"1s-2s\"",
            "\"503\"",
            "\"5xx\"",
            "\"10.0.0.1\"",
            "\":80\"",
            "\"localhost\"",
            "\"a,b\"",
            "[]",
            "[1]",
            "[\"a\", \"b\"]",
            "[\"1s\", \"2s\"]",
            "{}",
            "{ a = 1 }",
            "1979-05-27",
            "nan",
            "inf",
            "\"ü\\\"\\\\\"",
        ];
        for key in KEYS.iter().filter(|key| key.is_leaf() || key.kind == ValueKind::Part) {
            for form in forms {
                let Some(told) = told(key.path, form) else { continue };
                let values = told.strip_prefix(&format!("{} = ", key.name())).unwrap();
                for value in
                    values.split(", or ").flat_map(|value| value.split("\nendpoints = ").take(1))
                {
                    assert!(is_taken(key, value), "{} = {form}: {told}", key.path);
                    let says_off = ["false", "\"none\""].contains(&form);
                    assert!(says_off || value != "\"off\"", "{} = {form}", key.path);
                }
            }
        }
    }

    fn is_taken(key: &Row, value: &str) -> bool {
        let Some(fields) = value.strip_prefix("{ ").filter(|_| key.kind == ValueKind::Part) else {
            let all = keys::stands_for_all(key).filter(|_| key.kind == ValueKind::Part);
            let kinds = [key.kind, all.unwrap_or(key).kind];
            return kinds.iter().any(|kind| read_alone(*kind, value).is_some());
        };
        let table: toml::Table = format!("value = {{ {fields}").parse().unwrap();
        table["value"].as_table().unwrap().iter().all(|(name, value)| {
            let inner = keys::find(&format!("{}.{name}", key.path)).unwrap();
            read_alone(inner.kind, &value.to_string()).is_some()
        })
    }
}
