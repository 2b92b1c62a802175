//! Everything that is wrong with one settings file, and how it is shown.
//!
//! Does not know: the rules. Problems stand in the order of the file.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use super::source::Text;

/// Everything that is wrong with one settings file.
#[derive(Clone, Debug)]
pub struct SettingsReport {
    source: Text,
    problems: Vec<SettingsProblem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// Whether it is refused or only remarked on.
    pub severity: Severity,
    /// What is wrong, with the name it concerns.
    pub title: String,
    /// The places in the file, the most important first.
    pub marks: Vec<Mark>,
    /// What else is known.
    pub notes: Vec<String>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Whether a problem is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, but something about it is probably not meant.
    Warning,
}

/// Marks one place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The bytes.
    pub span: Range<usize>,
    /// What stands beside them.
    pub label: String,
}

impl SettingsProblem {
    /// Describes an error.
    pub fn error(title: impl Into<String>) -> Self {
        Self::new(Severity::Error, title)
    }

    /// Describes a warning.
    pub fn warning(title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, title)
    }

    fn new(severity: Severity, title: impl Into<String>) -> Self {
        let title = title.into();
        Self { severity, title, marks: Vec::new(), notes: Vec::new(), help: None }
    }

    /// Marks a place; the first is the one that carries the caret.
    #[must_use]
    pub fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.marks.push(Mark { span, label: label.into() });
        self
    }

    /// Adds something that is known.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to write instead, if that is known.
    #[must_use]
    pub fn help_if(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl SettingsReport {
    /// Begins a report in which nothing is wrong.
    pub fn new(source: Text) -> Self {
        Self { source, problems: Vec::new() }
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: SettingsProblem) {
        self.problems.push(problem);
    }

    /// Takes bytes out of the text that is shown: a secret must not be seen in an error.
    pub fn hide(&mut self, span: Range<usize>) {
        let text = &self.source.text;
        if let (Some(before), Some(hidden), Some(after)) =
            (text.get(..span.start), text.get(span.clone()), text.get(span.end..))
        {
            // As many bytes as before, so that every other place stays where it is.
            self.source.text = format!("{before}{}{after}", "*".repeat(hidden.len())).into();
        }
    }

    /// Returns the text it is about.
    pub fn source(&self) -> &Text {
        &self.source
    }

    /// Returns the problems.
    pub fn problems(&self) -> &[SettingsProblem] {
        &self.problems
    }

    /// Returns whether nothing is wrong, not even a warning.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns whether the file is refused.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Returns how many problems are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Puts the problems in the order of the file.
    pub fn sort(&mut self) {
        let start =
            |p: &SettingsProblem| p.marks.first().map_or(usize::MAX, |mark| mark.span.start);
        self.problems.sort_by_key(start);
    }

    /// Returns line and column of a byte, from 1; columns count characters.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let text = &self.source.text;
        let offset = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let before = &text[..offset.unwrap_or(0)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
    }

    /// Returns every problem with its lines of the file, for people.
    pub fn human(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for problem in self.problems.iter().take(SHOWN_MAX) {
            let _ = writeln!(out, "{}\n", renderer.render(&self.groups(problem)));
        }
        if let Some(more) = self.problems.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            let _ = writeln!(out, "and {more} more like these\n");
        }
        out
    }

    /// Returns every problem in one line, for logs and status.
    pub fn brief(&self) -> String {
        let lines = self.problems.iter().take(SHOWN_MAX).map(|problem| {
            let level = problem.severity.as_str();
            match problem.marks.first() {
                Some(mark) => {
                    let (line, column) = self.place(mark.span.start);
                    format!("{level}: {}:{line}:{column}: {}", self.source.name, problem.title)
                }
                None => format!("{level}: {}", problem.title),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns every problem as a JSON document.
    pub fn json(&self) -> serde_json::Value {
        let problems = self.problems.iter().map(|problem| {
            let marks = problem.marks.iter().map(|mark| {
                let (line, column) = self.place(mark.span.start);
                let (end_line, end_column) = self.place(mark.span.end);
                json!({
                    "line": line, "column": column,
                    "end_line": end_line, "end_column": end_column,
                    "label": mark.label,
                })
            });
            json!({
                "severity": problem.severity.as_str(),
                "message": problem.title,
                "marks": marks.collect::<Vec<_>>(),
                "notes": problem.notes,
                "help": problem.help,
            })
        });
        json!({
            "schema": 1,
            "file": &*self.source.name,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": problems.collect::<Vec<_>>(),
        })
    }

    /// Returns every problem as an annotation of a GitHub workflow.
    pub fn github(&self) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            let start = problem.marks.first().map_or(0, |mark| mark.span.start);
            let (line, column) = self.place(start);
            let mut message = problem.title.clone();
            for mark in problem.marks.iter().filter(|mark| !mark.label.is_empty()) {
                let _ = write!(message, "\n{}", mark.label);
            }
            if let Some(help) = &problem.help {
                let _ = write!(message, "\nhelp: {help}");
            }
            let level = problem.severity.as_str();
            let file = escaped(&self.source.name, true);
            let message = escaped(&message, false);
            let _ = writeln!(out, "::{level} file={file},line={line},col={column}::{message}");
        }
        out
    }

    fn groups<'a>(&'a self, problem: &'a SettingsProblem) -> Vec<Group<'a>> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&*problem.title));
        if !problem.marks.is_empty() {
            let mut snippet = Snippet::source(&*self.source.text).path(&*self.source.name);
            for (place, mark) in problem.marks.iter().enumerate() {
                let kind = match place {
                    0 => AnnotationKind::Primary,
                    _ => AnnotationKind::Context,
                };
                let span = self.within(&mark.span);
                snippet = snippet.annotation(kind.span(span).label(&*mark.label));
            }
            group = group.element(snippet);
        }
        for note in &problem.notes {
            group = group.element(Level::NOTE.message(&**note));
        }
        let help = problem.help.as_deref();
        let help = help.map(|help| Group::with_title(Level::HELP.secondary_title(help)));
        [group].into_iter().chain(help).collect()
    }

    /// Returns the span cut to its first line: a caret under a whole table helps nobody.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let text = &self.source.text;
        let floor = |at: usize| {
            (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
        };
        let (start, end) = (floor(span.start), floor(span.end.max(span.start)));
        let end = text[start..end].find('\n').map_or(end, |at| start + at);
        start..end
    }
}

impl Severity {
    /// Returns the word for this severity.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// How many problems people are shown; a file with more has one mistake repeated.
const SHOWN_MAX: usize = 100;

/// Escapes a text for a GitHub workflow command.
fn escaped(text: &str, is_property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if is_property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

/// Returns where a part of a text stands in the file; the whole, if it has escapes in it.
pub(super) fn within(
    report: &SettingsReport,
    text: &str,
    span: &Range<usize>,
    part: Range<usize>,
) -> Range<usize> {
    let start = span.start + 1;
    match report.source().text.get(start..start + text.len()) {
        Some(inner) if inner == text && !part.is_empty() => start + part.start..start + part.end,
        _ => span.clone(),
    }
}
