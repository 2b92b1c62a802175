//! A value as it may stand in a line of a log, whoever has chosen it.
//!
//! Invariant: nothing of it starts a new line or steers a terminal.

use std::fmt::Write as _;

/// Escapes a value as a JSON string's inside, cut at so many bytes: no control character is left
/// that could start a new line or steer a terminal.
pub(crate) fn escaped(value: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(value.len().min(bytes_max) + 3);
    for character in value.chars() {
        if out.len() + 12 > bytes_max {
            out.push('…');
            break;
        }
        let code = u32::from(character);
        let _ = match character {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            // C1 controls and the characters that reorder a line steer terminals as well.
            _ if character.is_control() || is_reordering(character) => write!(out, "\\u{code:04x}"),
            plain => out.write_char(plain),
        };
    }
    out
}

/// Returns whether a character changes how others on its line are shown.
pub(crate) const fn is_reordering(character: char) -> bool {
    matches!(character, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How long a value in a line is at most.
pub(crate) const VALUE_BYTES_MAX: usize = 1024;
