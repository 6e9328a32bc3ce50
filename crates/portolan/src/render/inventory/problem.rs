//! What is wrong with an inventory: `file:line:column`, the line with a caret, and the way out.
//!
//! The files are foreign text, so their lines are sanitized, and of a long one only the part around
//! the mistake is shown.

use std::io::{self, Write};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use portolan_core::inventory::{Location, Place, Problem, Refused, SourceFile};
use serde::Serialize;

use crate::cli::args::Color;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Prints everything that is wrong on standard error; the first hundred with their lines.
///
/// Whoever reads it is gone when standard error is, so that failing to write is no error.
pub(crate) fn print(refused: &Refused, color: Color) {
    let _ = write(&mut io::stderr().lock(), refused, Style::for_stderr(color));
}

fn write(out: &mut impl Write, refused: &Refused, style: Style) -> io::Result<()> {
    for (i, problem) in refused.problems.iter().take(SHOWN).enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", text(refused, problem, style))?;
        if !problem.hint.is_empty() {
            let hint = sanitize(&problem.hint);
            writeln!(out, "{} {hint}", style.paint(Role::Hint, "hint:"))?;
        }
    }
    let all = refused.problems.len() + refused.omitted;
    if all > 1 {
        let sum = refused.to_string();
        writeln!(out, "\n{} {}", style.paint(Role::Bad, "error:"), sanitize(&sum))?;
    }
    if all > SHOWN {
        let hint = style.paint(Role::Hint, "hint:");
        writeln!(out, "{hint} mend these first: {} more are not shown", all - SHOWN)?;
    }
    Ok(())
}

/// More than anyone mends before looking again.
const SHOWN: usize = 100;

/// One problem with its line and a caret.
fn text(refused: &Refused, problem: &Problem, style: Style) -> String {
    let renderer = if style.is_colored() { Renderer::styled() } else { Renderer::plain() };
    let own = Shown { at: &problem.at, what: &problem.message, is_repeated: problem.is_repeated };
    let others = problem.related.iter();
    let others = others.map(|(at, what)| Shown { at, what, is_repeated: false });
    let mut report = vec![with_line(Level::ERROR, refused, &own)];
    report.extend(others.map(|other| with_line(Level::NOTE, refused, &other)));
    renderer.render(&report)
}

/// A place, what is to be said of it, and whether what stands there may be shown in any file.
struct Shown<'a> {
    at: &'a Location,
    what: &'a str,
    is_repeated: bool,
}

/// `file:line:column: what`, and below it the line; of a file whose lines may not be shown only what may be.
///
/// The place stands in the title because the renderer would count it in the excerpt.
fn with_line<'a>(level: Level<'a>, refused: &Refused, shown: &Shown<'_>) -> Group<'a> {
    let Shown { at, what, is_repeated } = shown;
    let Place { file, line, column } = refused.line_of(at);
    let title = format!("{}:{line}:{column}: {}", sanitize(file), sanitize(what));
    let source = refused.files.get(at.file);
    let excerpt = source.and_then(|source| match (source.is_quotable(), is_repeated) {
        (true, _) => Some(Excerpt::around(source, line, at)),
        (false, true) => Some(Excerpt::of(source, at)),
        (false, false) => None,
    });
    let snippet = excerpt.map(|excerpt| {
        let mark = AnnotationKind::Primary.span(excerpt.mark);
        Snippet::source(excerpt.text).line_start(line).annotation(mark)
    });
    level.primary_title(title).elements(snippet)
}

/// The part of a line that is shown, sanitized, and where in it the mistake is.
#[derive(Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    mark: Range<usize>,
}

impl Excerpt {
    /// What stands at the place, and nothing around it.
    fn of(source: &SourceFile, at: &Location) -> Self {
        let text = source.text.get(at.span.clone()).unwrap_or_default();
        let text = sanitize(text).to_string();
        Self { mark: 0..text.len(), text }
    }

    fn around(source: &SourceFile, number: usize, at: &Location) -> Self {
        let line = source.line(number);
        let line_start = source.line_start(number);
        let start = floor(line, at.span.start.saturating_sub(line_start));
        let beyond = line.len().saturating_sub(WIDTH);
        let first = floor(line, start.saturating_sub(BEFORE).min(beyond));
        let last = floor(line, first + WIDTH).max(start);
        let end = floor(line, at.span.end.saturating_sub(line_start)).clamp(start, last);
        let mut text = String::new();
        if first > 0 {
            text.push('…');
        }
        text.push_str(&sanitize(line[first..start].trim_start_matches('\u{feff}')));
        let mark_start = text.len();
        text.push_str(&sanitize(&line[start..end]));
        let mark = mark_start..text.len();
        text.push_str(&sanitize(&line[end..last]));
        if last < line.len() {
            text.push('…');
        }
        Self { text, mark }
    }
}

/// Bytes of a line that are shown, and how many of them before a mistake far into it.
const WIDTH: usize = 72;
const BEFORE: usize = 24;

/// The nearest place at or before `index` where a character begins.
fn floor(line: &str, index: usize) -> usize {
    (0..=index.min(line.len())).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0)
}

/// A problem in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemJson<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
    hint: &'a str,
    related: Vec<RelatedJson<'a>>,
}

/// Another place a problem has to do with.
#[derive(Debug, Serialize)]
struct RelatedJson<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
}

/// All problems in JSON.
pub(crate) fn json(refused: &Refused) -> Vec<ProblemJson<'_>> {
    refused.problems.iter().map(|p| problem_json(refused, p)).collect()
}

fn problem_json<'a>(refused: &'a Refused, problem: &'a Problem) -> ProblemJson<'a> {
    let Place { file, line, column } = refused.line_of(&problem.at);
    let related = |(at, message): &'a (Location, String)| {
        let Place { file, line, column } = refused.line_of(at);
        RelatedJson { file, line, column, message }
    };
    ProblemJson {
        file,
        line,
        column,
        message: &problem.message,
        hint: &problem.hint,
        related: problem.related.iter().map(related).collect(),
    }
}
