//! A line of the dead letter file: what could not be sent, and why.
//!
//! Does not know: files. One JSON object a line, so that any tool can read it and another run can
//! send it again.

use data_encoding::BASE64;
use serde::Serialize;

use crate::job::Job;

/// Writes one line, its newline included.
pub(crate) fn letter(job: &Job, reason: &str, attempts: u32, status: u16) -> Vec<u8> {
    let text = std::str::from_utf8(&job.line).ok();
    let letter = Letter {
        seq: job.sequence,
        offset: job.offset,
        line: text,
        line_b64: text.is_none().then(|| BASE64.encode(&job.line)),
        reason,
        status,
        attempts,
        key: job.key(),
    };
    let mut bytes = serde_json::to_vec(&letter).expect("numbers and strings are JSON");
    bytes.push(b'\n');
    bytes
}

#[derive(Serialize)]
struct Letter<'a> {
    seq: u64,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_b64: Option<String>,
    reason: &'a str,
    status: u16,
    attempts: u32,
    key: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::RunKey;

    fn check(line: &[u8], expected: &str) {
        let run = RunKey([0; 16]);
        let job = Job { sequence: 3, offset: 40, line: line.to_vec(), next_offset: 50, run };
        let letter =
            String::from_utf8(letter(&job, "it \"failed\"\n", 2, 503)).expect("JSON is text");
        assert!(letter.starts_with(expected), "{letter}");
        assert_eq!(letter.matches('\n').count(), 1, "one letter is one line");
    }

    #[test]
    fn a_letter_is_one_line_of_json_whatever_is_in_it() {
        check(b"a \"b\"", r#"{"seq":3,"offset":40,"line":"a \"b\"","reason":"it \"failed\"\n","#);
        check(b"\xff", r#"{"seq":3,"offset":40,"line_b64":"/w==","reason":"#);
    }
}
