//! Charts as SVG: lines over time, and shares over time laid on one another.
//!
//! Does not know: what is charted. Invariants: nothing is told by colour alone (lines differ in
//! their dashes and carry their names, areas in their patterns); every text is escaped.

use std::fmt::{self, Write as _};

/// One line.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// The first is the most important; a line of reference has the last.
    pub(super) style: usize,
    /// Times in seconds, and values; a gap where there is none.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// One layer of a stack.
pub(super) struct Layer<'a> {
    pub(super) name: &'a str,
    pub(super) pattern: usize,
    pub(super) values: Vec<f64>,
}

/// The time that a chart shows, and what it is divided into.
pub(super) struct Time<'a> {
    pub(super) end: f64,
    pub(super) phases: Vec<(&'a str, f64, f64)>,
}

/// Draws lines over time.
pub(super) fn lines(title: &str, unit: &str, time: &Time<'_>, lines: &[Line<'_>]) -> String {
    let most = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, value)| *value)
        .fold(0.0, f64::max);
    let frame = Frame::new(time, most);
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = frame.begin(&mut out, title, unit, time);
    let mut labels: Vec<(f64, &str, usize)> = Vec::new();
    for line in lines {
        let _ = frame.path(&mut out, line);
        let last = line.points.iter().rev().find_map(|(_, value)| *value);
        labels.extend(last.map(|value| (frame.y(value), line.name, line.style)));
    }
    // Names stand at the ends of their lines, one above the other where ends meet.
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = BOTTOM - LETTER / 2.0;
    for label in labels.iter_mut().rev() {
        label.0 = label.0.min(free);
        free = label.0 - LETTER;
    }
    for (y, name, style) in labels {
        let _ = write!(
            out,
            "<line class=\"l{style}\" x1=\"{x}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{text}\" y=\"{base:.1}\">{name}</text>",
            x = RIGHT + 4.0,
            to = RIGHT + 28.0,
            text = RIGHT + 32.0,
            base = y + 4.0,
            name = escaped(name),
        );
    }
    out += "</svg>";
    out
}

/// Draws layers that are laid on one another, the first at the bottom.
pub(super) fn stack(
    title: &str,
    unit: &str,
    time: &Time<'_>,
    at: &[f64],
    layers: &[Layer<'_>],
) -> String {
    let sum = |place: usize| layers.iter().map(|layer| layer.values[place]).sum::<f64>();
    let most = (0..at.len()).map(sum).fold(0.0, f64::max);
    let frame = Frame::new(time, most);
    let mut out = String::new();
    let _ = frame.begin(&mut out, title, unit, time);
    let mut below = vec![0.0; at.len()];
    for layer in layers {
        let above: Vec<f64> = below.iter().zip(&layer.values).map(|(a, b)| a + b).collect();
        let _ = write!(out, "<path class=\"area\" fill=\"url(#p{})\" d=\"M", layer.pattern);
        for (x, y) in at.iter().zip(&above) {
            let _ = write!(out, "{:.1} {:.1} ", frame.x(*x), frame.y(*y));
        }
        for (x, y) in at.iter().zip(&below).rev() {
            let _ = write!(out, "{:.1} {:.1} ", frame.x(*x), frame.y(*y));
        }
        let _ = write!(out, "Z\"><title>{}</title></path>", escaped(layer.name));
        below = above;
    }
    // The topmost layer's name is the topmost name.
    for (place, layer) in layers.iter().rev().enumerate() {
        let y = TOP + place as f64 * (LETTER + 4.0);
        let _ = write!(
            out,
            "<rect class=\"area\" x=\"{x}\" y=\"{y:.1}\" width=\"24\" height=\"12\" \
             fill=\"url(#p{pattern})\"/><text x=\"{text}\" y=\"{base:.1}\">{name}</text>",
            x = RIGHT + 4.0,
            pattern = layer.pattern,
            text = RIGHT + 32.0,
            base = y + 10.0,
            name = escaped(layer.name),
        );
    }
    out += "</svg>";
    out
}

/// Maps times and values to places.
struct Frame {
    end: f64,
    most: f64,
}

impl Frame {
    fn new(time: &Time<'_>, most: f64) -> Self {
        Self { end: time.end.max(1e-9), most: rounded_up(most) }
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + (at / self.end).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (value / self.most).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn begin(&self, out: &mut String, title: &str, unit: &str, time: &Time<'_>) -> fmt::Result {
        write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\
             <text class=\"title\" x=\"{LEFT}\" y=\"14\">{0}</text>",
            escaped(title)
        )?;
        for (place, (name, from, to)) in time.phases.iter().enumerate() {
            let (from, to) = (self.x(*from), self.x(*to));
            let class = if place % 2 == 1 { "band" } else { "plain" };
            let width = to - from;
            write!(
                out,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{:.1}\"/>",
                BOTTOM - TOP
            )?;
            // As many letters as fit.
            let letters = (width / 6.5) as usize;
            if letters >= 3 {
                let name: String = name.chars().take(letters).collect();
                let y = TOP - 5.0;
                write!(
                    out,
                    "<text class=\"phase\" x=\"{from:.1}\" y=\"{y}\">{}</text>",
                    escaped(&name)
                )?;
            }
        }
        for part in 0..=4 {
            let value = self.most * f64::from(part) / 4.0;
            let y = self.y(value);
            write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number(value),
                if part == 4 { unit } else { "" },
            )?;
        }
        for part in 0..=6 {
            let at = self.end * f64::from(part) / 6.0;
            write!(
                out,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{}\">{}s</text>",
                self.x(at),
                BOTTOM + 16.0,
                number(at),
            )?;
        }
        Ok(())
    }

    fn path(&self, out: &mut String, line: &Line<'_>) -> fmt::Result {
        write!(out, "<path class=\"l{}\" d=\"", line.style)?;
        let mut is_drawing = false;
        for (at, value) in &line.points {
            if let Some(value) = value {
                let word = if is_drawing { 'L' } else { 'M' };
                write!(out, "{word}{:.1} {:.1}", self.x(*at), self.y(*value))?;
            }
            is_drawing = value.is_some();
        }
        write!(out, "\"><title>{}</title></path>", escaped(line.name))
    }
}

/// Escapes a text for HTML.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// Returns the next round number: 1, 2, 4 or 8 times a power of ten.
fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(value)
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 1000.0 && value % 1000.0 == 0.0 => format!("{}k", value / 1000.0),
        _ if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 680.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 204.0;
const LETTER: f64 = 14.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (0.7, 0.8), (1.0, 1.0), (950.0, 1000.0), (2206.0, 4000.0)]
        {
            assert!((rounded_up(value) - top).abs() < 1e-9, "{value}: {}", rounded_up(value));
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let time = Time { end: 1.0, phases: vec![("<b>&", 0.0, 1.0)] };
        let line = Line { name: "<script>", style: 0, points: vec![(0.0, Some(1.0))] };
        let svg = lines("a \"title\"", "/s", &time, &[line]);
        assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("aria-label=\"a &quot;title&quot;\""), "{svg}");
    }
}
