//! What is sent for a line: a text with places in it that the line fills.
//!
//! Does not know: HTTP, who sends it. Invariant: a place that the line has no value for is an error
//! that names the place, never an empty text.

use std::cell::OnceCell;

use serde_json::value::RawValue;

use crate::job::Job;
use crate::json::{self, Members};

/// The body of a request, with places in it: `{"city":"{line}"}`.
///
/// A place is `{line}`, `{seq}` (its number in the input, from 0), `{offset}` (of its first byte)
/// or, if the line is a JSON object, the name of a member, `{name}` or `{address.city}`: a string
/// without its quotes, all else as it stands. With `:json` behind the name it is a JSON value,
/// `{line:json}`, and cannot break out of the document around it. Whatever has not this form stands
/// for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place { name: String, is_json: bool },
}

impl Body {
    pub(crate) fn parse(text: &str) -> Self {
        let (mut pieces, mut rest, mut kept) = (Vec::new(), text, String::new());
        while let Some(at) = rest.find('{') {
            let (before, place) = rest.split_at(at);
            kept.push_str(before);
            match read_place(place) {
                Some((name, is_json, length)) => {
                    if !kept.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut kept)));
                    }
                    pieces.push(Piece::Place { name: name.to_owned(), is_json });
                    rest = &place[length..];
                }
                None => {
                    kept.push('{');
                    rest = &place[1..];
                }
            }
        }
        kept.push_str(rest);
        if !kept.is_empty() {
            pieces.push(Piece::Text(kept));
        }
        Self { pieces }
    }

    /// Returns the names of the places.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Place { name, .. } => Some(name.as_str()),
        })
    }

    /// Fills the places in; says which has no value.
    pub(crate) fn fill(&self, values: &Values<'_>) -> Result<Vec<u8>, String> {
        let mut filled = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
                // As it is, even if it is no text.
                Piece::Place { name, is_json: false } if name == "line" => {
                    filled.extend_from_slice(values.line);
                }
                Piece::Place { name, is_json: false } => {
                    filled.extend_from_slice(values.text(name)?.as_bytes());
                }
                Piece::Place { name, is_json: true } => {
                    filled.extend_from_slice(values.json(name)?.as_bytes());
                }
            }
            if filled.len() > FILLED_BYTES_MAX {
                return Err(format!("the body has more than {FILLED_BYTES_MAX} bytes"));
            }
        }
        Ok(filled)
    }
}

/// Reads `{name}` or `{name:json}` at the beginning of a text, and says how long it is.
fn read_place(text: &str) -> Option<(&str, bool, usize)> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let (name, is_json) = match inside.strip_suffix(":json") {
        Some(name) => (name, true),
        None => (inside, false),
    };
    let is_word = |word: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        word.chars().all(fits) && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    };
    name.split('.').all(is_word).then_some((name, is_json, inside.len() + 2))
}

/// The values that a line has for places.
pub(crate) struct Values<'a> {
    job: &'a Job,
    line: &'a [u8],
    /// Read when the first of them is asked for.
    members: OnceCell<Option<Members<'a>>>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(job: &'a Job, line: &'a [u8]) -> Self {
        Self { job, line, members: OnceCell::new() }
    }

    /// Returns a value as text; says why there is none.
    pub(crate) fn text(&self, name: &str) -> Result<String, String> {
        match name {
            "line" => Ok(self.line_text()?.to_owned()),
            "seq" => Ok(self.job.sequence.to_string()),
            "offset" => Ok(self.job.offset.to_string()),
            member => {
                let raw = self.member(member)?;
                match raw.starts_with('"') {
                    true => serde_json::from_str(raw)
                        .map_err(|error| format!("member `{member}` cannot be read: {error}")),
                    false => Ok(raw.to_owned()),
                }
            }
        }
    }

    /// Returns a value as JSON; says why there is none.
    fn json(&self, name: &str) -> Result<String, String> {
        match name {
            "line" => Ok(serde_json::Value::from(self.line_text()?).to_string()),
            "seq" | "offset" => self.text(name),
            member => Ok(self.member(member)?.to_owned()),
        }
    }

    fn line_text(&self) -> Result<&str, String> {
        std::str::from_utf8(self.line)
            .map_err(|_| "the line is no UTF-8, and a text is wanted where it goes".to_owned())
    }

    fn member(&self, path: &str) -> Result<&'a str, String> {
        let members = self.members.get_or_init(|| json::members(self.line));
        let members = members
            .as_ref()
            .ok_or_else(|| format!("there is no value for `{path}`: the line is no JSON object"))?;
        let found = json::member_of(members, path).map(RawValue::get);
        found.ok_or_else(|| format!("there is no value for `{path}`"))
    }
}

/// More than any service takes for one line.
const FILLED_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::RunKey;

    fn fill(template: &str, line: &[u8]) -> Result<String, String> {
        let run = RunKey([0; 16]);
        let job = Job {
            sequence: 7,
            offset: 90,
            line: line.to_vec(),
            next_offset: 99,
            run,
            kept_key: None,
        };
        let filled = Body::parse(template).fill(&Values::new(&job, line))?;
        Ok(String::from_utf8_lossy(&filled).into_owned())
    }

    #[test]
    fn places_are_filled_and_all_else_stands_for_itself() {
        let check = |template: &str, line: &str, expected: &str| {
            assert_eq!(fill(template, line.as_bytes()).as_deref(), Ok(expected), "{template}");
        };
        check("{line}", "oslo", "oslo");
        check(r#"{"city":"{line}","n":{seq}}"#, "oslo", r#"{"city":"oslo","n":7}"#);
        check(r#"{"q":{line:json}}"#, "a\"b", r#"{"q":"a\"b"}"#);
        check("{offset} {not a place} {} {{line}} }{", "x", "90 {not a place} {} {x} }{");
        let object = r#"{"name":"Tromsø \"A\"","at":{"lat":69.649200000000000001},"tags":[1, 2]}"#;
        check("{name}|{at.lat}|{tags}", object, "Tromsø \"A\"|69.649200000000000001|[1, 2]");
        check("{name:json}", object, r#""Tromsø \"A\"""#);
        check(
            r#"{"was":{was:json},"as text":"{was}"}"#,
            r#"{"was":null}"#,
            r#"{"was":null,"as text":"null"}"#,
        );
    }

    #[test]
    fn a_place_without_a_value_is_named() {
        let check = |template: &str, line: &[u8], expected: &str| {
            let error = fill(template, line).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("{city}", b"oslo", "no value for `city`: the line is no JSON object");
        check("{city}", br#"{"town":null}"#, "no value for `city`");
        check("{a.b.c}", br#"{"a":{"b":1}}"#, "no value for `a.b.c`");
        check("{line:json}", b"\xff", "no UTF-8");
    }

    #[test]
    fn bytes_that_are_no_text_go_through_as_they_are() {
        let run = RunKey([0; 16]);
        let job = Job {
            sequence: 0,
            offset: 0,
            line: vec![0xff, 0],
            next_offset: 3,
            run,
            kept_key: None,
        };
        assert_eq!(
            Body::parse("<{line}>").fill(&Values::new(&job, &job.line)),
            Ok(b"<\xff\0>".to_vec())
        );
    }
}
