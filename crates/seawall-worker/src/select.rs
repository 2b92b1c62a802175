//! Which lines are kept, and what of them: regular expressions, and members of JSON objects.
//!
//! Does not know: upstreams. Invariant: what is kept of a line is one line.

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use crate::finder::{Finder, REGEX_BYTES_MAX};
use crate::json;

/// Selects lines, and what is kept of them; with [`LineOutcome`](crate::LineOutcome) it makes a job
/// that needs no upstream:
///
/// ```
/// use seawall_worker::{Job, LineOutcome, Select, Selected};
///
/// # fn make() -> Result<(), seawall_worker::BadSelect> {
/// let fields = ["time".to_owned(), "user.name".to_owned()];
/// let select = Select::new(Some("\"level\":\"error\""), None, Some(&fields))?;
/// let call = async |job: &Job| match select.apply(&job.line) {
///     Selected::Keep(line) => LineOutcome::output(line.into_owned()),
///     Selected::Drop => LineOutcome::filtered(),
///     Selected::Bad(why) => LineOutcome::dead(why),
/// };
/// # let _ = call;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Select {
    matches: Option<Regex>,
    finder: Option<Finder>,
    matches_not: Option<Regex>,
    fields: Vec<String>,
}

/// Says what is kept of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected<'a> {
    /// This.
    Keep(Cow<'a, [u8]>),
    /// Nothing.
    Drop,
    /// It cannot be said, and why.
    Bad(String),
}

/// Says what is wrong with a selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSelect {
    /// An expression means nothing, or too much.
    #[error("`{expression}` is no regular expression: {why}")]
    Expression {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name is empty, or there are too many.
    #[error("`{name}` is no name of a member")]
    Field {
        /// The name.
        name: String,
    },
}

impl Select {
    /// Keeps lines that `matches` is found in and `matches_not` is not, and of each the members
    /// `fields` (`name`, `address.city`), in that order and under that name. A member that is not
    /// there is left out; a line that is no JSON object is bad, if members are wanted.
    ///
    /// # Errors
    ///
    /// Fails if an expression is none, or a name is empty or has an empty part.
    pub fn new(
        matches: Option<&str>,
        matches_not: Option<&str>,
        fields: Option<&[String]>,
    ) -> Result<Self, BadSelect> {
        let fields = fields.unwrap_or_default().to_vec();
        if let Some(name) = fields.iter().find(|name| name.split('.').any(str::is_empty)) {
            return Err(BadSelect::Field { name: name.clone() });
        }
        let expressions = [matches, matches_not];
        let [matches, matches_not] = expressions.map(|one| one.map(regex).transpose());
        let finder = expressions[0].and_then(Finder::of);
        Ok(Self { matches: matches?, finder, matches_not: matches_not?, fields })
    }

    /// Returns what finds lines that may be kept in many lines at once, if that can be said.
    pub(crate) const fn finder(&self) -> Option<&Finder> {
        self.finder.as_ref()
    }

    /// Says what is kept of a line.
    pub fn apply<'a>(&self, line: &'a [u8]) -> Selected<'a> {
        let is_kept = self.matches.as_ref().is_none_or(|regex| regex.is_match(line))
            && !self.matches_not.as_ref().is_some_and(|regex| regex.is_match(line));
        if !is_kept {
            return Selected::Drop;
        }
        if self.fields.is_empty() {
            return Selected::Keep(line.into());
        }
        let Some(members) = json::members(line) else {
            return Selected::Bad(
                "the line is no JSON object, and members of it are wanted".into(),
            );
        };
        let mut kept = String::from("{");
        for field in &self.fields {
            // A member whose own name has a dot comes first: it is what a projection makes.
            let exact = members.get(field.as_str()).copied();
            if let Some(raw) = exact.or_else(|| json::member_of(&members, field)) {
                if kept.len() > 1 {
                    kept.push(',');
                }
                kept += &format!("{}:{}", Value::from(field.as_str()), raw.get());
            }
        }
        kept.push('}');
        Selected::Keep(kept.into_bytes().into())
    }
}

fn regex(expression: &str) -> Result<Regex, BadSelect> {
    let built = RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|error| {
        // The library draws where in several lines; the last says what.
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        BadSelect::Expression { expression: expression.to_owned(), why }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn select(matches: Option<&str>, matches_not: Option<&str>, fields: &[&str]) -> Select {
        let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
        Select::new(matches, matches_not, Some(&fields)).unwrap()
    }

    fn kept(select: &Select, line: &str) -> Option<String> {
        match select.apply(line.as_bytes()) {
            Selected::Keep(line) => Some(String::from_utf8_lossy(&line).into_owned()),
            Selected::Drop => None,
            Selected::Bad(why) => Some(format!("bad: {why}")),
        }
    }

    #[test]
    fn lines_are_kept_by_what_is_in_them() {
        let one = select(Some("er+or"), Some("^#"), &[]);
        assert_eq!(kept(&one, "an error").as_deref(), Some("an error"));
        assert_eq!(kept(&one, "# an error"), None);
        assert_eq!(kept(&one, "fine"), None);
        assert_eq!(one.apply(b"\xff error"), Selected::Keep(b"\xff error"[..].into()));
    }

    #[test]
    fn members_are_kept_in_the_order_that_was_asked_for_digit_by_digit() {
        let two = select(None, None, &["at.lat", "name", "none"]);
        let line = r#"{"name":"A \"b\" \u00e9","at":{"lat":1.00000000000000000001},"x":[1,2]}"#;
        let expected = r#"{"at.lat":1.00000000000000000001,"name":"A \"b\" \u00e9"}"#;
        assert_eq!(kept(&two, line).as_deref(), Some(expected));
        assert_eq!(kept(&two, "{}").as_deref(), Some("{}"));
        for line in ["[1]", "no json", "{\"a\":", "{} {}"] {
            assert!(kept(&two, line).unwrap().starts_with("bad: the line is no JSON"), "{line}");
        }
    }

    #[test]
    fn what_selects_nothing_is_refused_with_its_reason() {
        let error = Select::new(Some("a(b"), None, None).unwrap_err().to_string();
        assert_eq!(error, "`a(b` is no regular expression: unclosed group");
        let error = Select::new(Some(r"\w{1000}{1000}"), None, None).unwrap_err().to_string();
        assert!(error.contains("size limit"), "{error}");
        for name in ["", "a..b", ".a"] {
            assert!(Select::new(None, None, Some(&[name.to_owned()])).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_projection_of_a_projection_is_the_same_and_one_line(
            line in r#"\{("[ab]":("\PC{0,4}"|[0-9]{1,20}|\{"a":[0-9]\}|null),?){0,4}\}?"#,
        ) {
            let select = select(None, None, &["a.a", "b", "a"]);
            if let Selected::Keep(once) = select.apply(line.as_bytes()) {
                prop_assert!(!once.contains(&b'\n'));
                prop_assert_eq!(select.apply(&once), Selected::Keep(once.clone()));
            }
        }

        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = select(Some("a"), None, &["a.b"]).apply(&line);
        }
    }
}
