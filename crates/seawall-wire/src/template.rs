//! Patterns of paths (`/api/weather/{city}`) and templates of targets (`/v1/forecast?q={city}`).
//!
//! Does not know a router or a request. The invariant: whatever the values are, a filled template
//! has the segments, the literals and the query keys of the template; a value is never read as
//! more than the one segment or the one piece of query it was put into.

use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::path;

/// The path of a route: segments, some of them placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    matcher: String,
    names: Vec<Placeholder>,
}

/// The path and query to ask an upstream for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    names: Vec<Placeholder>,
    has_query: bool,
}

/// A placeholder: its name, and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// The name, without braces and star.
    pub name: String,
    /// Whether it stands for several segments: `{*rest}`.
    pub is_rest: bool,
    /// Where it stands, with its braces.
    pub at: Range<usize>,
    /// The number of its segment, from 0.
    segment: usize,
}

/// Says what is wrong with a pattern or template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct TemplateFlaw {
    /// Where in the text, in bytes.
    pub at: Range<usize>,
    /// What.
    pub why: Why,
}

/// Says what is wrong with a pattern or template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It does not begin with `/`.
    #[error("a path must begin with `/`")]
    NoSlash,
    /// `{` without `}`.
    #[error("this `{{` is never closed")]
    Unclosed,
    /// `}` without `{`.
    #[error("this `}}` was never opened")]
    Unopened,
    /// A name that is empty or has other characters than letters, digits and `_`.
    #[error("a placeholder's name is letters, digits and `_`, and does not begin with a digit")]
    BadName,
    /// A name that is there twice.
    #[error("this placeholder is there twice")]
    Duplicate,
    /// A name that no value will have.
    #[error("there is no value of this name")]
    Unknown,
    /// `{*rest}` before the end of the path, in a query, or not alone in its segment.
    #[error("a `{{*...}}` must be the whole last segment of the path")]
    RestNotLast,
    /// `{rest}` for what the route calls `{*rest}`.
    #[error("this stands for several segments: write it with a star")]
    NotRest,
    /// A placeholder of a pattern with something else in its segment.
    #[error("a placeholder must be a whole segment")]
    NotWhole,
    /// `*` or `:name`, which are placeholders elsewhere.
    #[error(
        "a placeholder is written `{{name}}`, or `{{*rest}}` for all that follows; to mean the \
         character itself, write `%2A` for `*` and `%3A` for `:`"
    )]
    Foreign,
    /// A query in a pattern.
    #[error("a route is matched by its path only, without a query")]
    Query,
    /// A path that would be refused, or changed, if a client sent it.
    #[error("{0}")]
    Path(#[from] path::PathFlaw),
    /// `//` in the path.
    #[error("an empty segment: doubled slashes are merged before a path is matched")]
    EmptySegment,
    /// A character in the query that must be percent-encoded.
    #[error("a character that must be percent-encoded")]
    BadCharacter,
}

/// Says why a template could not be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillFlaw {
    /// A placeholder without a value.
    #[error("there is no value for `{0}`")]
    Missing(String),
    /// A value that would be an empty or dot segment, or has a control character.
    #[error("the value of `{0}` cannot be a path segment")]
    NotASegment(String),
    /// A path and query longer than any server reads.
    #[error("the filled path is too long")]
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// One segment, or a part of one.
    Segment(usize),
    /// One or more segments.
    Rest(usize),
    Query(usize),
}

impl Pattern {
    /// Reads the path of a route.
    ///
    /// # Errors
    ///
    /// Where it is wrong and why: see [`Why`].
    pub fn parse(text: &str) -> Result<Self, TemplateFlaw> {
        let pieces = split(text)?;
        check_path(text, &pieces)?;
        if let Some(at) = text.find('?') {
            return Err(flaw(at..text.len(), Why::Query));
        }
        let mut matcher = String::new();
        let mut names: Vec<Placeholder> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Literal(at) => {
                    if let Some(at) = foreign(text, &at) {
                        return Err(flaw(at, Why::Foreign));
                    }
                    let literal = decoded(&text[at.clone()]).map_err(|why| flaw(at, why))?;
                    matcher.push_str(&literal.replace('{', "{{").replace('}', "}}"));
                }
                Piece::Name(name) => {
                    if !is_whole_segment(text, &name.at) {
                        return Err(flaw(name.at, Why::NotWhole));
                    }
                    if names.iter().any(|other| other.name == name.name) {
                        return Err(flaw(name.at, Why::Duplicate));
                    }
                    matcher.push_str(&text[name.at.clone()]);
                    names.push(name);
                }
            }
        }
        Ok(Self { matcher, names })
    }

    /// Returns the pattern over the form that [`path::canonical`] gives, in the syntax of `matchit`:
    /// literals are decoded, and a brace in one is doubled.
    pub fn matcher(&self) -> &str {
        &self.matcher
    }

    /// Returns the placeholders in their order.
    pub fn names(&self) -> &[Placeholder] {
        &self.names
    }

    /// Returns what a placeholder stands for in a path that the pattern matches, as it was sent.
    pub fn capture<'r>(&self, name: &str, raw: &'r str) -> Option<&'r str> {
        let name = self.names.iter().find(|own| own.name == name)?;
        Some(path::segment(raw, name.segment, name.is_rest))
    }
}

impl Template {
    /// Reads a path with perhaps a query.
    ///
    /// A name may be used more than once: each place gets the same value.
    ///
    /// # Errors
    ///
    /// Where it is wrong and why: see [`Why`].
    pub fn parse(text: &str) -> Result<Self, TemplateFlaw> {
        let pieces = split(text)?;
        check_path(text, &pieces)?;
        let query_at = text.find('?').unwrap_or(text.len());
        let mut parts = Vec::new();
        let mut names = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Literal(at) => {
                    check_query(text, at.start.max(query_at)..at.end)?;
                    parts.push(Part::Literal(text[at].to_owned()));
                }
                Piece::Name(name) => {
                    let index = names.len();
                    parts.push(match (name.is_rest, name.at.start < query_at) {
                        (true, _) => Part::Rest(index),
                        (false, true) => Part::Segment(index),
                        (false, false) => Part::Query(index),
                    });
                    names.push(name);
                }
            }
        }
        Ok(Self { parts, names, has_query: query_at < text.len() })
    }

    /// Returns the placeholders in their order.
    pub fn names(&self) -> &[Placeholder] {
        &self.names
    }

    /// Returns whether there is a query in it.
    pub fn has_query(&self) -> bool {
        self.has_query
    }

    /// Checks that every placeholder is one of those that `pattern` gives a value.
    ///
    /// # Errors
    ///
    /// The first that is not, or that stands for one segment here and for several there.
    pub fn check_names(&self, pattern: &Pattern) -> Result<(), TemplateFlaw> {
        for part in &self.parts {
            let (Part::Segment(index) | Part::Rest(index) | Part::Query(index)) = *part else {
                continue;
            };
            let name = &self.names[index];
            let given = pattern.names.iter().find(|given| given.name == name.name);
            let why = match given {
                None => Why::Unknown,
                Some(given) if given.is_rest && *part == Part::Segment(index) => Why::NotRest,
                Some(_) => continue,
            };
            return Err(flaw(name.at.clone(), why));
        }
        Ok(())
    }

    /// Fills in the values: text, of which every character is escaped that could be read as more
    /// than a piece of the segment, or of the query, that it stands in.
    ///
    /// # Errors
    ///
    /// A value is missing or cannot stand where it should: see [`FillFlaw`].
    pub fn fill<'v>(
        &self,
        value_of: impl FnMut(&str) -> Option<&'v str>,
    ) -> Result<String, FillFlaw> {
        self.fill_with(value_of, |filled, part, value| match part {
            Part::Segment(_) => push_segment(filled, value),
            Part::Rest(_) => push_rest(filled, value),
            _ => {
                filled.extend(utf8_percent_encode(value, QUERY_ESCAPED));
                true
            }
        })
    }

    /// Fills in pieces of a path that [`path::canonical`] has taken, as they were sent: their
    /// escapes stay what they are, and what must be escaped where it stands now is.
    ///
    /// # Errors
    ///
    /// A value is missing, or what comes out has a dot segment or is too long.
    pub fn fill_raw<'v>(
        &self,
        value_of: impl FnMut(&str) -> Option<&'v str>,
    ) -> Result<String, FillFlaw> {
        self.fill_with(value_of, |filled, part, value| {
            let escaped = if matches!(part, Part::Query(_)) { RAW_QUERY } else { RAW_PATH };
            filled.extend(utf8_percent_encode(value, escaped));
            true
        })
    }

    fn fill_with<'v>(
        &self,
        mut value_of: impl FnMut(&str) -> Option<&'v str>,
        push: impl Fn(&mut String, &Part, &str) -> bool,
    ) -> Result<String, FillFlaw> {
        let mut filled = String::new();
        for part in &self.parts {
            let index = match part {
                Part::Literal(literal) => {
                    filled.push_str(literal);
                    continue;
                }
                Part::Segment(index) | Part::Rest(index) | Part::Query(index) => *index,
            };
            let name = &self.names[index].name;
            let value = value_of(name).ok_or_else(|| FillFlaw::Missing(name.clone()))?;
            if value.len() > FILLED_BYTES_MAX {
                return Err(FillFlaw::TooLong);
            }
            if !push(&mut filled, part, value) {
                return Err(FillFlaw::NotASegment(name.clone()));
            }
            if filled.len() > FILLED_BYTES_MAX {
                return Err(FillFlaw::TooLong);
            }
        }
        self.check_dots(&filled)?;
        Ok(filled)
    }

    /// Refuses a dot segment that two parts made together: `/.{a}` and a dot.
    fn check_dots(&self, filled: &str) -> Result<(), FillFlaw> {
        let path = filled.split('?').next().unwrap_or_default();
        match self.names.first() {
            Some(name) if path::canonical(path).is_err() => {
                Err(FillFlaw::NotASegment(name.name.clone()))
            }
            _ => Ok(()),
        }
    }
}

enum Piece {
    Literal(Range<usize>),
    Name(Placeholder),
}

/// Splits a text into literals and placeholders.
fn split(text: &str) -> Result<Vec<Piece>, TemplateFlaw> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find(['{', '}']).map_or(text.len(), |len| at + len);
        if end > at {
            pieces.push(Piece::Literal(at..end));
        }
        if end == text.len() {
            break;
        }
        if text[end..].starts_with('}') {
            return Err(flaw(end..end + 1, Why::Unopened));
        }
        let close = text[end + 1..].find(['{', '}', '/']).map(|len| end + 1 + len);
        let Some(close) = close.filter(|&close| text[close..].starts_with('}')) else {
            return Err(flaw(end..end + 1, Why::Unclosed));
        };
        pieces.push(Piece::Name(name(text, end..close + 1)?));
        at = close + 1;
    }
    Ok(pieces)
}

fn name(text: &str, at: Range<usize>) -> Result<Placeholder, TemplateFlaw> {
    let inside = &text[at.start + 1..at.end - 1];
    let (name, is_rest) = match inside.strip_prefix('*') {
        Some(name) => (name, true),
        None => (inside, false),
    };
    let fits = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    if name.is_empty() || !fits || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(flaw(at, Why::BadName));
    }
    let path_end = text.find('?').unwrap_or(text.len());
    if is_rest && (at.end != path_end || !text[..at.start].ends_with('/')) {
        return Err(flaw(at, Why::RestNotLast));
    }
    let segment = text[..at.start].matches('/').count().saturating_sub(1);
    Ok(Placeholder { name: name.to_owned(), is_rest, at, segment })
}

/// Checks the path of a text, with a letter in the place of every placeholder.
fn check_path(text: &str, pieces: &[Piece]) -> Result<(), TemplateFlaw> {
    let path_end = text.find('?').unwrap_or(text.len());
    if !text.starts_with('/') {
        return Err(flaw(0..text.chars().next().map_or(0, char::len_utf8), Why::NoSlash));
    }
    if let Some(at) = text[..path_end].find("//") {
        return Err(flaw(at..at + 2, Why::EmptySegment));
    }
    let mut path = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(at) if at.start < path_end => {
                path.push_str(&text[at.start..at.end.min(path_end)]);
            }
            Piece::Name(name) if name.at.start < path_end => path.push('x'),
            _ => {}
        }
    }
    path::canonical(&path).map_err(|why| flaw(0..path_end, why.into()))?;
    // What a client may send unescaped we may not write: it would be sent on as it stands.
    if path.bytes().any(|byte| byte != b'%' && !path::is_raw(byte)) {
        return Err(flaw(0..path_end, Why::BadCharacter));
    }
    Ok(())
}

fn check_query(text: &str, at: Range<usize>) -> Result<(), TemplateFlaw> {
    let Some(query) = text.get(at.clone()) else { return Ok(()) };
    let is_raw = |char: char| {
        u8::try_from(char).is_ok_and(|byte| path::is_raw(byte) || matches!(byte, b'?' | b'%'))
    };
    match query.char_indices().find(|(_, char)| !is_raw(*char)) {
        Some((index, char)) => {
            let start = at.start + index;
            Err(flaw(start..start + char.len_utf8(), Why::BadCharacter))
        }
        None => Ok(()),
    }
}

/// Decodes a literal of a pattern, which is a piece of a path that has been checked.
fn decoded(literal: &str) -> Result<String, Why> {
    let mut pieces = literal.split("%2F").flat_map(|piece| piece.split("%2f"));
    let mut decoded = String::with_capacity(literal.len());
    for (index, piece) in pieces.by_ref().enumerate() {
        if index > 0 {
            decoded.push(path::ESCAPED_SLASH);
        }
        let piece = percent_encoding::percent_decode_str(piece).decode_utf8();
        decoded.push_str(&piece.map_err(|_| path::PathFlaw::NotUtf8)?);
    }
    Ok(decoded)
}

/// Finds the segment of a literal that is a placeholder in other routers: `*`, `*rest` or `:name`.
fn foreign(text: &str, literal: &Range<usize>) -> Option<Range<usize>> {
    let mut start = literal.start;
    text[literal.clone()].split('/').find_map(|segment| {
        let at = start..start + segment.len();
        start = at.end + 1;
        (segment.starts_with(':') || segment.contains('*')).then_some(at)
    })
}

fn is_whole_segment(text: &str, at: &Range<usize>) -> bool {
    let rest = &text[at.end..];
    text[..at.start].ends_with('/') && (rest.is_empty() || rest.starts_with('/'))
}

fn push_segment(filled: &mut String, value: &str) -> bool {
    filled.extend(utf8_percent_encode(value, SEGMENT_ESCAPED));
    // An escaped slash is one segment to us, and two to many an upstream.
    let is_odd = |char: char| char.is_control() || matches!(char, '/' | '\\');
    !value.is_empty() && !path::is_dot_segment(value) && !value.contains(is_odd)
}

fn push_rest(filled: &mut String, value: &str) -> bool {
    // A slash at the end stays: to many upstreams `/a` is a file and `/a/` a folder.
    let (segments, end) = match value.strip_suffix('/') {
        Some(segments) => (segments, "/"),
        None => (value, ""),
    };
    for (index, segment) in segments.split('/').enumerate() {
        if index > 0 {
            filled.push('/');
        }
        if !push_segment(filled, segment) {
            return false;
        }
    }
    filled.push_str(end);
    true
}

const fn flaw(at: Range<usize>, why: Why) -> TemplateFlaw {
    TemplateFlaw { at, why }
}

/// Everything but `unreserved` of RFC 3986, 2.3.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Everything but `pchar` of RFC 3986, 3.3.
const SEGMENT_ESCAPED: &AsciiSet = &SHARED.remove(b'&').remove(b'+').remove(b';').remove(b'=');

/// Everything but what a query may hold (RFC 3986, 3.4); `&`, `+`, `;` and `=` mean something there.
const QUERY_ESCAPED: &AsciiSet = &SHARED.remove(b'/').remove(b'?');

/// What may stand as it is in a segment and in a query.
const SHARED: AsciiSet = RESERVED
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',');

/// The same for what has its escapes already.
const RAW_PATH: &AsciiSet = &SEGMENT_ESCAPED.remove(b'%').remove(b'/');
const RAW_QUERY: &AsciiSet = &QUERY_ESCAPED.remove(b'%');

/// Twice what we read ourselves; upstreams read less.
const FILLED_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str, values: &[(&str, &str)]) -> Result<String, FillFlaw> {
        let template = Template::parse(template).expect(template);
        template.fill(|name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| *value))
    }

    fn fill_raw(template: &str, value: &str) -> Result<String, FillFlaw> {
        Template::parse(template).expect(template).fill_raw(|_| Some(value))
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let check = |template: &str, value: &str, want: &str| {
            assert_eq!(fill(template, &[("a", value)]).as_deref(), Ok(want), "{template} {value}");
            // What needs no escape is the same thing as text and as it was sent.
            assert_eq!(fill_raw(template, value).as_deref(), Ok(want), "{template} {value}");
        };
        check("/v1/{a}", "-._~:@!$&'()*+,;=", "/v1/-._~:@!$&'()*+,;=");
        check("/v1/{a}", "urn:isbn:1;v=2@x", "/v1/urn:isbn:1;v=2@x");
        check("/v1/{a}", "\"<>^`{|}", "/v1/%22%3C%3E%5E%60%7B%7C%7D");
        check("/v1?q={a}", "-._~:@!$'()*,/?", "/v1?q=-._~:@!$'()*,/?");
        check("/v1?q={a}", "&+;=#\"<>", "/v1?q=%26%2B%3B%3D%23%22%3C%3E");
    }

    #[test]
    fn what_was_sent_keeps_its_escapes() {
        let check = |template: &str, value: &str, want: &str| {
            assert_eq!(fill_raw(template, value).as_deref(), Ok(want), "{template} {value}");
        };
        check("/x/{a}/y", "%41%3a%7E", "/x/%41%3a%7E/y");
        check("/x/{a}/y", "a%2Fb%2fc", "/x/a%2Fb%2fc/y");
        check("/x/{a}", "%252F", "/x/%252F");
        check("/x/{*a}", "b//c%2Fd/", "/x/b//c%2Fd/");
        check("/x/{*a}", "", "/x/");
        check("/x?q={a}", "a%26b%2Fc+d", "/x?q=a%26b%2Fc%2Bd");
        let refused = Err(FillFlaw::NotASegment("a".to_owned()));
        assert_eq!(fill_raw("/.{a}", "%2e"), refused);
        assert_eq!(fill_raw("/x%2F.{a}", "."), refused);
    }

    #[test]
    fn a_capture_is_the_piece_of_the_path_as_it_was_sent() {
        let pattern = Pattern::parse("/v/{one}/x/{*rest}").expect("a pattern");
        let raw = "//v/%41%2Fb//x/c//d%20";
        assert_eq!(pattern.capture("one", raw), Some("%41%2Fb"));
        assert_eq!(pattern.capture("rest", raw), Some("c//d%20"));
        assert_eq!(pattern.capture("rest", "/v/a/x/"), Some(""));
        assert_eq!(pattern.capture("two", raw), None);
    }

    #[test]
    fn the_placeholders_of_other_routers_are_refused() {
        let check = |text: &str, at: Range<usize>| {
            assert_eq!(Pattern::parse(text), Err(flaw(at, Why::Foreign)), "{text}");
        };
        check("/api/*", 5..6);
        check("/*", 1..2);
        check("/api/**", 5..7);
        check("/files/*path", 7..12);
        check("/*.php", 1..6);
        check("/users/:id", 7..10);
        check("/users/:id/posts", 7..10);
        check("/{a}/:b", 5..7);
        let taken = ["/a:b", "/v1/books:batch", "/%3Aid", "/%2A"];
        assert!(taken.iter().all(|text| Pattern::parse(text).is_ok()));
        // An upstream's own path may have them.
        assert!(Template::parse("/logs-*/_search").is_ok());
    }

    #[test]
    fn values_are_filled_in_escaped() {
        let check = |template: &str, value: &str, want: &str| {
            assert_eq!(fill(template, &[("a", value)]).as_deref(), Ok(want), "{template} {value}");
        };
        check("/v1/forecast?q={a}&units=metric", "oslo", "/v1/forecast?q=oslo&units=metric");
        check("/{a}", "\u{e9} b+c", "/%C3%A9%20b+c");
        check("/x/{a}/y", "?#&=;%2f", "/x/%3F%23&=;%252f/y");
        check("/x?q={a}", "&admin=1#", "/x?q=%26admin%3D1%23");
        check("/x?q={a}", "../\r\n", "/x?q=../%0D%0A");
        check("/x?q={a}", "", "/x?q=");
        check("/at-{a}.json", "oslo", "/at-oslo.json");
        check("/{a}/{a}", "x", "/x/x");
        check("/f/{*a}", "b c/d", "/f/b%20c/d");
        check("/f/{*a}?x=1", "b/", "/f/b/?x=1");
        check("/", "unused", "/");
        check("/a?b=%7B/?", "unused", "/a?b=%7B/?");
    }

    #[test]
    fn a6_a_value_never_leaves_its_segment() {
        let dots = ["", ".", "..", "..;", "..;x=1", "a/b", "a\\b", "/", "../..", "a\0", "a\r\n"];
        for value in dots {
            let refused = Err(FillFlaw::NotASegment("a".to_owned()));
            assert_eq!(fill("/x/{a}", &[("a", value)]), refused, "{value:?}");
        }
        for value in ["", "/", "a//b", "/a", "../b", "a/..", "a/./b", "a/..;/b", "a//"] {
            let refused = Err(FillFlaw::NotASegment("a".to_owned()));
            assert_eq!(fill("/x/{*a}", &[("a", value)]), refused, "{value:?}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_named() {
        let refused = Err(FillFlaw::NotASegment("b".to_owned()));
        assert_eq!(fill("/{a}/{b}", &[("a", "x"), ("b", "..")]), refused);
    }

    #[test]
    fn two_parts_do_not_make_a_dot_segment() {
        let refused = Err(FillFlaw::NotASegment("a".to_owned()));
        assert_eq!(fill("/x/{a}{b}", &[("a", "..;"), ("b", "y")]), refused);
        assert_eq!(fill("/.{a}", &[("a", ";x")]), refused);
        assert_eq!(fill("/x/.y{a}", &[("a", ".z")]).as_deref(), Ok("/x/.y.z"));
    }

    #[test]
    fn a_value_that_is_missing_or_too_long_is_named() {
        assert_eq!(fill("/{a}", &[]), Err(FillFlaw::Missing("a".to_owned())));
        let long = "a".repeat(FILLED_BYTES_MAX);
        assert_eq!(fill("/{a}", &[("a", &long)]), Err(FillFlaw::TooLong));
    }

    #[test]
    fn flaws_are_found_where_they_are() {
        let check = |text: &str, at: Range<usize>, why: Why| {
            assert_eq!(Template::parse(text), Err(flaw(at, why)), "{text}");
        };
        check("", 0..0, Why::NoSlash);
        check("{a}", 0..1, Why::NoSlash);
        check("http://evil", 0..1, Why::NoSlash);
        check("/a/{b", 3..4, Why::Unclosed);
        check("/a/{b/c}", 3..4, Why::Unclosed);
        check("/a/{{b}}", 3..4, Why::Unclosed);
        check("/a}", 2..3, Why::Unopened);
        check("/{}", 1..3, Why::BadName);
        check("/{*}", 1..4, Why::BadName);
        check("/{1a}", 1..5, Why::BadName);
        check("/{a b}", 1..6, Why::BadName);
        check("/{*a}/b", 1..5, Why::RestNotLast);
        check("/b{*a}", 2..6, Why::RestNotLast);
        check("/b?q={*a}", 5..9, Why::RestNotLast);
        check("//b", 0..2, Why::EmptySegment);
        check("/a/../b", 0..7, Why::Path(path::PathFlaw::DotSegment));
        check("/a%5c{b}", 0..8, Why::Path(path::PathFlaw::Backslash));
        check("/a b", 0..4, Why::Path(path::PathFlaw::Unescaped));
        // A flaw covers whole characters: whoever shows it cuts the text there.
        check("/a?q=é", 5..7, Why::BadCharacter);
        check("éa", 0..2, Why::NoSlash);
        check("/a|b", 0..4, Why::BadCharacter);
        check("/a?b=c d", 6..7, Why::BadCharacter);
        check("/a?b#{c}", 4..5, Why::BadCharacter);
    }

    #[test]
    fn a_pattern_is_matched_as_its_decoded_form() {
        let pattern = Pattern::parse("/caf%C3%A9/%7Bx%7D%2f/{id}/{*rest}").expect("a pattern");
        assert_eq!(pattern.matcher(), "/caf\u{e9}/{{x}}\u{1}/{id}/{*rest}");
        let names: Vec<_> =
            pattern.names().iter().map(|name| (&*name.name, name.is_rest)).collect();
        assert_eq!(names, [("id", false), ("rest", true)]);
    }

    #[test]
    fn a_pattern_has_whole_segments_once() {
        let check = |text: &str, at: Range<usize>, why: Why| {
            assert_eq!(Pattern::parse(text), Err(flaw(at, why)), "{text}");
        };
        check("/{a}/{a}", 5..8, Why::Duplicate);
        check("/{a}.json", 1..4, Why::NotWhole);
        check("/x-{a}", 3..6, Why::NotWhole);
        check("/{a}?q=1", 4..8, Why::Query);
    }

    #[test]
    fn a_template_asks_only_for_what_its_pattern_has() {
        let check = |template: &str, want: Result<(), TemplateFlaw>| {
            let pattern = Pattern::parse("/{id}/{*rest}").expect("a pattern");
            let template = Template::parse(template).expect("a template");
            assert_eq!(template.check_names(&pattern), want);
        };
        check("/{id}?r={rest}", Ok(()));
        check("/{*id}", Ok(()));
        check("/x/{city}", Err(flaw(3..9, Why::Unknown)));
        check("/x/{rest}", Err(flaw(3..9, Why::NotRest)));
    }

    proptest! {
        #[test]
        fn a6_whatever_the_values_the_structure_is_the_templates(
            one in "(\\PC|[./\\\\%;?#&= \\x00-\\x1f]){0,12}",
            two in "(\\PC|[./\\\\%;?#&= \\x00-\\x1f]){0,12}",
            rest in "(\\PC|[./\\\\%;?#&= \\x00-\\x1f]){0,12}",
        ) {
            let values = [("one", &*one), ("two", &*two), ("rest", &*rest)];
            let filled = fill("/base/{one}/x-{two}/{*rest}?q={one}&fixed=1&r={rest}", &values);
            let Ok(filled) = filled else { return Ok(()) };
            prop_assert!(filled.is_ascii());
            prop_assert!(filled.parse::<http::Uri>().is_ok_and(|uri| uri.authority().is_none()));
            let (path, query) = filled.split_once('?').expect("a query");
            let read = path::canonical(path).expect("a path");
            let segments: Vec<&str> = read.splitn(5, '/').collect();
            let two = format!("x-{two}");
            prop_assert_eq!(segments, vec!["", "base", &one, &two, &rest]);
            let pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=')).collect();
            let keys: Vec<_> = pairs.iter().flatten().map(|(key, _)| *key).collect();
            prop_assert_eq!(keys, ["q", "fixed", "r"]);
        }
    }
}
