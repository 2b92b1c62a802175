//! A line of the dead letter file: what could not be sent, and why.
//!
//! Does not know: files. One JSON object a line, so that any tool can read it and another run can
//! send it again.

use std::borrow::Cow;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::job::{About, Job};

/// Writes one line, its newline included.
pub(crate) fn letter(
    job: &Job,
    about: Option<&About>,
    reason: &str,
    attempts: u32,
    status: u16,
) -> Vec<u8> {
    let (seq, offset, line, key) = match about {
        None => (job.sequence, job.offset, &job.line, job.key()),
        Some(about) => (about.sequence, about.offset, &about.line, about.key.clone()),
    };
    let text = std::str::from_utf8(line).ok();
    let letter = Letter {
        seq,
        offset,
        line: text.map(Cow::from),
        line_b64: text.is_none().then(|| BASE64.encode(line)),
        reason: reason.into(),
        status,
        attempts,
        key: key.into(),
    };
    let mut bytes = serde_json::to_vec(&letter).expect("numbers and strings are JSON");
    bytes.push(b'\n');
    bytes
}

impl Job {
    /// Reads the line of another run that stands in this one's line, a dead letter of it: with the
    /// number, offset and key that it had there. Its outcome is told as
    /// [`about`](crate::LineOutcome::about) it.
    ///
    /// # Errors
    ///
    /// Says why this is no dead letter.
    pub fn of_letter(&self) -> Result<Self, String> {
        let letter = read(&self.line)?;
        Ok(Self {
            sequence: letter.seq,
            offset: letter.offset,
            line: letter.line,
            next_offset: self.next_offset,
            run: self.run,
            kept_key: Some(letter.key),
        })
    }
}

/// Is what another run has written of a line.
struct Read {
    seq: u64,
    offset: u64,
    line: Vec<u8>,
    key: String,
}

/// Reads one line; says why it is no letter.
fn read(bytes: &[u8]) -> Result<Read, String> {
    let letter: Letter<'_> = serde_json::from_slice(bytes)
        .map_err(|error| format!("the line is no dead letter: {error}"))?;
    let line = match (letter.line, letter.line_b64) {
        (Some(line), _) => line.into_owned().into_bytes(),
        (None, Some(coded)) => BASE64
            .decode(coded.as_bytes())
            .map_err(|error| format!("the line is no dead letter: {error}"))?,
        (None, None) => return Err("the line is no dead letter: it has no line".to_owned()),
    };
    let key = letter.key.into_owned();
    // It becomes a header.
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("the line is no dead letter: its key is none".to_owned());
    }
    Ok(Read { seq: letter.seq, offset: letter.offset, line, key })
}

#[derive(Serialize, Deserialize)]
struct Letter<'a> {
    seq: u64,
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line_b64: Option<String>,
    reason: Cow<'a, str>,
    status: u16,
    attempts: u32,
    key: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::RunKey;

    fn check(line: &[u8], expected: &str) {
        let run = RunKey([0; 16]);
        let job = Job {
            sequence: 3,
            offset: 40,
            line: line.to_vec(),
            next_offset: 50,
            run,
            kept_key: None,
        };
        let letter =
            String::from_utf8(letter(&job, None, "it \"failed\"\n", 2, 503)).expect("JSON is text");
        assert!(letter.starts_with(expected), "{letter}");
        assert_eq!(letter.matches('\n').count(), 1, "one letter is one line");
    }

    #[test]
    fn a_letter_is_one_line_of_json_whatever_is_in_it() {
        check(b"a \"b\"", r#"{"seq":3,"offset":40,"line":"a \"b\"","reason":"it \"failed\"\n","#);
        check(b"\xff", r#"{"seq":3,"offset":40,"line_b64":"/w==","reason":"#);
    }

    #[test]
    fn a_letter_is_read_as_the_line_that_it_is_about() {
        let run = RunKey([7; 16]);
        for line in [&b"a \"b\""[..], b"\xff\0"] {
            let job = Job {
                sequence: 3,
                offset: 40,
                line: line.into(),
                next_offset: 50,
                run,
                kept_key: None,
            };
            let letter = letter(&job, None, "no", 2, 503);
            let outer = Job {
                sequence: 0,
                offset: 0,
                line: letter.trim_ascii_end().to_vec(),
                next_offset: 99,
                run: RunKey([1; 16]),
                kept_key: None,
            };
            let inner = outer.of_letter().expect("it was just written");
            assert_eq!((inner.sequence, inner.offset, &*inner.line), (3, 40, line));
            assert_eq!(inner.key(), job.key(), "the upstream may have seen it");
        }
        let wrong = [
            "",
            "{}",
            "[]",
            r#"{"seq":1,"offset":0,"reason":"","status":0,"attempts":1,"key":"A"}"#,
            r#"{"seq":1,"offset":0,"line":"x","reason":"","status":0,"attempts":1,"key":"a b"}"#,
            r#"{"seq":1,"offset":0,"line_b64":"?","reason":"","status":0,"attempts":1,"key":"A"}"#,
        ];
        for line in wrong {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
    }
}
