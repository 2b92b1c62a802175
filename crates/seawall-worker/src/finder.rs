//! Finds lines by a regular expression in many lines at once: what has no match is never looked at
//! line by line.
//!
//! Does not know: lines. Invariant: whatever matches within a line is found where it stands; what is
//! found may match no line, because of a carriage return at its end.

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassBytesRange, ClassUnicodeRange, Hir, HirKind, Look};
use regex_syntax::hir::{ClassBytes, ClassUnicode};

/// Finds where an expression may match in some line.
#[derive(Clone, Debug)]
pub(crate) struct Finder(Regex);

impl Finder {
    /// Makes one of an expression; nothing if it matches every line, or it cannot be said.
    pub(crate) fn of(expression: &str) -> Option<Self> {
        let hir = ParserBuilder::new().utf8(false).build().parse(expression).ok()?;
        if hir.properties().minimum_len().unwrap_or(0) == 0 {
            return None;
        }
        build(&within_lines(hir)).ok().map(Self)
    }

    /// Returns where the first match begins.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.0.search(&Input::new(bytes).anchored(Anchored::No)).map(|found| found.start())
    }
}

fn build(hir: &Hir) -> Result<Regex, Box<BuildError>> {
    let config = Config::new()
        .match_kind(MatchKind::LeftmostFirst)
        .utf8_empty(false)
        .nfa_size_limit(Some(REGEX_BYTES_MAX));
    Regex::builder().configure(config).build_from_hir(hir).map_err(Box::new)
}

/// Changes an expression for one line into one for lines that stand behind each other: it begins and
/// ends where a line does, and no part of it matches an end of line.
fn within_lines(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        // One with an end of line in it matches within none; that it is found does no harm.
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(mut class)) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(Look::Start) => Hir::look(Look::StartCRLF),
        HirKind::Look(Look::End) => Hir::look(Look::EndCRLF),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(mut repetition) => {
            repetition.sub = Box::new(within_lines(*repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Capture(mut capture) => {
            capture.sub = Box::new(within_lines(*capture.sub));
            Hir::capture(capture)
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(within_lines).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(within_lines).collect())
        }
    }
}

/// How large a compiled expression may be.
pub(crate) const REGEX_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex as LineRegex;

    use super::*;

    /// Returns which lines have a match, by the finder and confirmed, and each by itself.
    fn found(expression: &str, text: &[u8]) -> Option<(Vec<usize>, Vec<usize>)> {
        let (finder, regex) = (Finder::of(expression)?, LineRegex::new(expression).ok()?);
        let lines: Vec<(usize, &[u8])> = {
            let mut at = 0;
            let each = text.split(|byte| *byte == b'\n').map(|line| {
                let begin = at;
                at += line.len() + 1;
                (begin, line.strip_suffix(b"\r").unwrap_or(line))
            });
            each.collect()
        };
        let each = lines.iter().filter(|(_, line)| regex.is_match(line)).map(|(at, _)| *at);
        let (mut at, mut by_finder) = (0, Vec::new());
        while let Some(place) = text.get(at..).and_then(|rest| finder.find(rest)) {
            let line = lines.iter().rev().find(|(begin, _)| *begin <= at + place)?;
            if regex.is_match(line.1) {
                by_finder.push(line.0);
            }
            at = text[line.0..].iter().position(|byte| *byte == b'\n')? + line.0 + 1;
        }
        Some((by_finder, each.collect()))
    }

    #[test]
    fn what_matches_every_line_is_not_looked_for() {
        for every in ["", "a*", "^", "$", "(?:b|)", "^$"] {
            assert!(Finder::of(every).is_none(), "{every}");
        }
    }

    #[test]
    fn ends_of_lines_are_where_they_are() {
        for expression in
            ["^b", "a$", "^a$", "a\\sb", "[^x]b", "(?s)a.b", "\\Ab", "a\\z", "\\bab\\b"]
        {
            let text = b"ab\r\na\nb\na b\r\nxb\n\nab c\na\r\n";
            let (by_finder, each) = found(expression, text).expect("it can be looked for");
            assert_eq!(by_finder, each, "{expression}");
        }
    }

    proptest! {
        #[test]
        fn every_line_that_matches_is_found(
            expression in r"(\^|\\b|\\B|\\A)?([ab.]|\[\^a\]|\\s|\\S|\\w|(a|b)|\(a\|b+\)|a\{1,3\}|b\?){1,5}(\$|\\b|\\z)?",
            text in proptest::collection::vec(prop_oneof![
                4 => Just(b'a'), 4 => Just(b'b'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(b' '),
                1 => any::<u8>(),
            ], 0..60),
        ) {
            let text = [text, b"\n".to_vec()].concat();
            if let Some((by_finder, each)) = found(&expression, &text) {
                prop_assert_eq!(by_finder, each, "{}", expression);
            }
        }
    }
}
