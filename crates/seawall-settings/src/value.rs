//! What a setting can hold: its kinds, reading one from the file, and writing one out.
//!
//! Does not know: which settings exist, what they are for. What is written out is read back.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use seawall_core::{Code, Priority, Secret, Words, words};
use seawall_policy::hedge::After;
use seawall_policy::retry::On;

use super::doc::{Node, Raw};
use super::nearest::nearest;
use super::refused::Refused;
use super::{listen, units};

/// The kind of value that a setting holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueKind {
    /// A table that is always there.
    Table,
    /// A table that can be switched off with `"off"`.
    Part,
    /// Tables with names of their own: `[policy.NAME]`.
    Named,
    /// A list of tables: `[[route]]`.
    List,
    /// A whole number.
    Integer {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// `true` or `false`.
    Flag,
    /// A duration, `"600ms"`.
    Duration {
        /// The shortest.
        min: &'static str,
        /// The longest.
        max: &'static str,
    },
    /// A size, `"64KiB"`.
    Size {
        /// The smallest.
        min: &'static str,
        /// The largest.
        max: &'static str,
    },
    /// A percentage above 0%, `"50%"`.
    Percent,
    /// A percentage, or `"off"`.
    PercentOrOff,
    /// A rate, `"500/s"`.
    Rate {
        /// Whether it may be zero.
        zero: bool,
    },
    /// A speed, `"240B/s"`.
    Speed,
    /// A range of durations, `"50ms..1s"`.
    Range,
    /// An address to listen on, `"127.0.0.1:8080"`.
    Listen,
    /// A list of addresses and networks, `["10.0.0.0/8"]`.
    Networks,
    /// A list of what is worth another attempt, `["connect", "503"]`.
    Conditions,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// When a hedged attempt is sent: `"p95"`, `"50ms"`, `"at-once"`.
    After,
    /// What tells callers apart: `"upstream"`, `"client"`, `"header:NAME"`.
    Key,
    /// How much requests matter: a word, or `"header:NAME"`.
    Priority,
    /// A list of addresses of upstreams.
    Urls,
    /// A list of names.
    Names,
    /// A text with a form of its own, checked where it is used.
    Text(&'static str),
    /// `{ env = "NAME" }`: never in the file, never shown.
    Secret,
}

/// What is worth another attempt, beside statuses.
#[derive(Clone, Copy)]
pub(super) enum Condition {
    Connect,
    Reset,
    Timeout,
}

words!(Condition { Connect => "connect", Reset => "reset", Timeout => "timeout" });

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(u64),
    Flag(bool),
    Duration(Duration),
    Size(u64),
    Share(Option<f64>),
    Rate(f64),
    Speed(u64),
    Range(Duration, Duration),
    Address(SocketAddr),
    Networks(Vec<IpNet>),
    Conditions(On),
    After(After),
    Texts(Vec<String>),
    Text(String),
    Secret {
        env: String,
        default: Option<Secret>,
    },
    /// A part that is on, or off.
    Part(bool),
}

impl ValueKind {
    /// Returns what it wants, to be read after "wants".
    pub fn wants(self) -> &'static str {
        match self {
            Self::Table | Self::Named => "a table",
            Self::Part => "a table, true, or \"off\"",
            Self::List => "a list of tables",
            Self::Integer { .. } => "a whole number",
            Self::Flag => "true or false",
            Self::Duration { .. } => "a duration in quotes",
            Self::Size { .. } => "a size in quotes",
            Self::Percent => "a percentage in quotes",
            Self::PercentOrOff => "a percentage in quotes, or \"off\"",
            Self::Rate { .. } => "a rate in quotes",
            Self::Speed => "a speed in quotes",
            Self::Range => "a range of durations in quotes",
            Self::Listen => "host:port in quotes",
            Self::Networks => "a list of addresses and networks",
            Self::Conditions => "a list of what is worth another attempt",
            Self::Choice(_) => "a word in quotes",
            Self::After => "\"p95\", a duration, or \"at-once\"",
            Self::Key => "\"upstream\", \"client\", \"header:NAME\" or \"claim:NAME\"",
            Self::Priority => "a priority, \"header:NAME\" or \"claim:NAME\"",
            Self::Urls => "a list of addresses",
            Self::Names => "a list of names",
            Self::Text(form) => form,
            Self::Secret => "{ env = \"NAME\" }",
        }
    }

    /// Returns what is allowed, for the reference page; empty where `wants` says it all.
    pub fn bounds(self) -> String {
        match self {
            Self::Integer { min, max } => format!("{min} to {max}"),
            Self::Duration { min, max } | Self::Size { min, max } => format!("{min} to {max}"),
            Self::Percent => "above 0% to 100%".to_owned(),
            Self::PercentOrOff => "0% to 100%, or \"off\"".to_owned(),
            Self::Rate { zero: true } => "0/s and above; /s, /m, /h".to_owned(),
            Self::Rate { zero: false } => "above 0/s; /s, /m, /h".to_owned(),
            Self::Choice(words) => words.join(", "),
            Self::Priority => format!("{}, header:NAME, claim:NAME", Priority::WORDS.join(", ")),
            Self::Conditions => {
                format!("{}, and statuses from 400 to 599", Condition::WORDS.join(", "))
            }
            _ => String::new(),
        }
    }

    /// Reads a value of this kind.
    pub(super) fn read(self, node: &Node) -> Result<Value, Refused> {
        match (self, &node.value) {
            (Self::Integer { min, max }, Raw::Integer(number)) => {
                let taken = u64::try_from(*number).ok().filter(|n| (min..=max).contains(n));
                let out = || format!("is {number}: it goes from {min} to {max}").into();
                taken.map(Value::Integer).ok_or_else(out)
            }
            (Self::Flag, Raw::Flag(flag)) => Ok(Value::Flag(*flag)),
            (Self::Networks, Raw::List(items)) => networks(items),
            (Self::Conditions, Raw::List(items)) => conditions(items),
            (Self::Urls | Self::Names, Raw::List(items)) => texts(items),
            (Self::Secret, Raw::Table(_) | Raw::Text(_)) => secret(node),
            (Self::Part, Raw::Flag(is_on)) => Ok(Value::Part(*is_on)),
            (Self::Part, Raw::Text(text)) if text == "off" => Ok(Value::Part(false)),
            (Self::Part, Raw::Text(text)) if text == "on" => Ok(Value::Part(true)),
            (Self::Listen, Raw::Integer(port)) => {
                listen::address(&port.to_string()).map(Value::Address)
            }
            (_, Raw::Text(text)) => self.read_text(text),
            (_, other) => Err(self.wants_not(other)),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, Refused> {
        let is = |why: String| Refused::from(format!("is {why}"));
        match self {
            Self::Duration { min, max } => {
                let value = units::duration(text).map_err(is)?;
                within(value, min, max, units::duration)?;
                Ok(Value::Duration(value))
            }
            Self::Size { min, max } => {
                let value = units::size(text).map_err(is)?;
                within(value, min, max, units::size)?;
                Ok(Value::Size(value))
            }
            Self::PercentOrOff if text == "off" => Ok(Value::Share(None)),
            Self::Percent | Self::PercentOrOff => match units::percent(text).map_err(is)? {
                0.0 if self == Self::Percent => Err("is 0%: it must be above".to_owned().into()),
                share => Ok(Value::Share(Some(share))),
            },
            Self::Rate { zero } => match units::rate(text).map_err(is)? {
                0.0 if !zero => Err("is zero: nothing would ever start".to_owned().into()),
                rate => Ok(Value::Rate(rate)),
            },
            Self::Speed => units::speed(text).map(Value::Speed).map_err(is),
            Self::Range => units::range(text).map(|(a, b)| Value::Range(a, b)).map_err(is),
            Self::Listen => listen::address(text).map(Value::Address),
            Self::Choice(words) => one_of(text, words, &[]),
            Self::After => after(text).map(Value::After),
            Self::Key => match text.split_once(':') {
                Some((source, name)) => named(source, name, text),
                None => one_of(text, &["upstream", "client"], &["header:NAME", "claim:NAME"]),
            },
            Self::Priority => match text.split_once(':') {
                Some((source, name)) => named(source, name, text),
                None => one_of(text, Priority::WORDS, &["header:NAME", "claim:NAME"]),
            },
            Self::Text(_) => Ok(Value::Text(text.to_owned())),
            _ => Err(self.wants_not(&Raw::Text(String::new()))),
        }
    }

    fn wants_not(self, found: &Raw) -> Refused {
        format!("wants {}, and this is {}", self.wants(), found.kind()).into()
    }
}

impl fmt::Display for Value {
    /// Writes the value as it would stand in the file; of a secret only where it comes from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Duration(value) => write!(f, "\"{}\"", units::write_duration(*value)),
            Self::Size(bytes) => write!(f, "\"{}\"", units::write_size(*bytes)),
            Self::Share(None) | Self::Part(false) => f.write_str("\"off\""),
            Self::Share(Some(share)) => write!(f, "\"{}\"", units::write_percent(*share)),
            Self::Rate(rate) => write!(f, "\"{}\"", units::write_rate(*rate)),
            Self::Speed(bytes) => write!(f, "\"{}/s\"", units::write_size(*bytes)),
            Self::Range(from, to) => {
                let (from, to) = (units::write_duration(*from), units::write_duration(*to));
                write!(f, "\"{from}..{to}\"")
            }
            Self::Address(address) => write!(f, "\"{address}\""),
            Self::Networks(list) => write_list(f, list.iter().map(ToString::to_string)),
            Self::Conditions(on) => write_list(f, condition_words(on)),
            Self::After(After::AtOnce) => f.write_str("\"at-once\""),
            Self::After(After::Fixed(after)) => write!(f, "\"{}\"", units::write_duration(*after)),
            Self::After(After::Quantile(share)) => {
                // 0.999 * 100 is not 99.9.
                write!(f, "\"p{}\"", (share * 100_000.0).round() / 1000.0)
            }
            Self::Texts(list) => write_list(f, list.iter().cloned()),
            Self::Text(text) => write!(f, "{}", toml::Value::from(text.as_str())),
            Self::Secret { .. } => f.write_str("***"),
            Self::Part(true) => f.write_str("on"),
        }
    }
}

/// Returns the words of a list of conditions.
pub(super) fn condition_words(on: &On) -> impl Iterator<Item = String> + '_ {
    let causes = [
        (Condition::Connect, on.connect),
        (Condition::Reset, on.reset),
        (Condition::Timeout, on.timeout),
    ];
    let causes = causes.into_iter().filter(|(_, is_on)| *is_on);
    let causes = causes.map(|(condition, _)| condition.word().to_owned());
    causes.chain(on.codes.iter().map(Code::to_string))
}

fn write_list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = String>) -> fmt::Result {
    let quoted: Vec<_> = items.map(|item| format!("\"{item}\"")).collect();
    write!(f, "[{}]", quoted.join(", "))
}

/// Refuses a value that is outside of its bounds.
fn within<T: PartialOrd>(
    value: T,
    min: &str,
    max: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<(), Refused> {
    match (read(min), read(max)) {
        (Ok(least), _) if value < least => Err(format!("is too small: it begins at {min}").into()),
        (_, Ok(most)) if value > most => Err(format!("is too large: it ends at {max}").into()),
        _ => Ok(()),
    }
}

/// Takes one of a few words; `forms` are what else may stand there.
fn one_of(text: &str, words: &[&str], forms: &[&str]) -> Result<Value, Refused> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let near = nearest(text, words.iter().copied());
    let known = || format!("one of {}", [words, forms].concat().join(", "));
    let help = near.map_or_else(known, |near| format!("did you mean `{near}`?"));
    Err(Refused { why: format!("does not know `{text}`"), span: None, help: Some(help) })
}

/// Takes the name of a header or a claim, with what stands before it.
fn named(source: &str, name: &str, text: &str) -> Result<Value, Refused> {
    match source {
        "header" if http::HeaderName::try_from(name).is_err() => {
            Err(format!("is not the name of a header: `{name}`").into())
        }
        "claim" if name.is_empty() || name.len() > 128 => {
            Err("is not the name of a claim".to_owned().into())
        }
        "header" | "claim" => Ok(Value::Text(text.to_owned())),
        other => Err(Refused {
            why: format!("does not know `{other}:`"),
            span: None,
            help: Some("header:NAME, or claim:NAME".to_owned()),
        }),
    }
}

/// Reads when a hedged attempt is sent.
fn after(text: &str) -> Result<After, Refused> {
    if text == "at-once" {
        return Ok(After::AtOnce);
    }
    let Some(number) = text.strip_prefix('p') else {
        let after = units::duration(text).map_err(|why| Refused::from(format!("is {why}")))?;
        return Ok(After::Fixed(after));
    };
    match number.parse::<f64>() {
        // Rounded: 99.9 / 100 is not 0.999.
        Ok(percent) if (1.0..100.0).contains(&percent) => {
            Ok(After::Quantile((percent * 1000.0).round() / 100_000.0))
        }
        _ => Err(Refused {
            why: "is not a quantile".to_owned(),
            span: None,
            help: Some("from \"p1\" to \"p99.9\"; \"p95\" is usual".to_owned()),
        }),
    }
}

fn texts(items: &[Node]) -> Result<Value, Refused> {
    let read = |item: &Node| match &item.value {
        Raw::Text(text) => Ok(text.clone()),
        other => Err(Refused {
            why: format!("holds {}", other.kind()),
            span: Some(item.span.clone()),
            help: None,
        }),
    };
    items.iter().map(read).collect::<Result<_, _>>().map(Value::Texts)
}

fn networks(items: &[Node]) -> Result<Value, Refused> {
    let read = |item: &Node| {
        let network = match &item.value {
            Raw::Text(text) => match text.parse::<IpAddr>() {
                Ok(address) => Some(IpNet::from(address)),
                Err(_) => text.parse::<IpNet>().ok(),
            },
            _ => None,
        };
        network.ok_or_else(|| Refused {
            why: "holds something that is neither an address nor a network".to_owned(),
            span: Some(item.span.clone()),
            help: Some("write \"10.0.0.7\" or \"10.0.0.0/8\"".to_owned()),
        })
    };
    items.iter().map(read).collect::<Result<_, _>>().map(Value::Networks)
}

fn conditions(items: &[Node]) -> Result<Value, Refused> {
    let mut on = On { connect: false, reset: false, timeout: false, codes: Vec::new() };
    for item in items {
        let word = match &item.value {
            Raw::Text(word) => word.clone(),
            Raw::Integer(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        match Condition::of_word(&word) {
            Some(Condition::Connect) => on.connect = true,
            Some(Condition::Reset) => on.reset = true,
            Some(Condition::Timeout) => on.timeout = true,
            None => match word.parse::<u16>() {
                Ok(status) if (400..=599).contains(&status) => on.codes.push(status.into()),
                _ => {
                    let near = nearest(&word, Condition::WORDS.iter().copied());
                    let known = format!(
                        "{}, or statuses from 400 to 599, each by its number: \"502\", \"503\", \
                         \"504\"",
                        Condition::WORDS.join(", ")
                    );
                    return Err(Refused {
                        why: format!("does not know `{word}`"),
                        span: Some(item.span.clone()),
                        help: Some(near.map_or(known, |n| format!("did you mean `{n}`?"))),
                    });
                }
            },
        }
    }
    on.codes.sort_unstable();
    on.codes.dedup();
    Ok(Value::Conditions(on))
}

fn secret(node: &Node) -> Result<Value, Refused> {
    let Raw::Table(entries) = &node.value else {
        return Err("is a secret, and secrets do not stand in the file".to_owned().into());
    };
    let (mut env, mut default) = (None, None);
    for entry in entries {
        match (entry.key.as_str(), &entry.node.value) {
            ("env", Raw::Text(name)) if !name.is_empty() => env = Some(name.clone()),
            ("default", Raw::Text(text)) => default = Some(Secret::new(text.as_str())),
            ("env" | "default", _) => {
                return Err(Refused {
                    why: format!("wants a text for `{}`", entry.key),
                    span: Some(entry.node.span.clone()),
                    help: None,
                });
            }
            (key, _) => {
                return Err(Refused {
                    why: format!("has an unknown key `{key}`: it knows env and default"),
                    span: Some(entry.key_span.clone()),
                    help: None,
                });
            }
        }
    }
    let env =
        env.ok_or_else(|| Refused::from("does not say which environment variable".to_owned()))?;
    Ok(Value::Secret { env, default })
}
