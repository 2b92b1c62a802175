//! The ways in which origins go wrong, as one table: every one was seen, or is one edit away from
//! one that was.
//!
//! Does not know: who is tested with it. What counts is in [`ExpectedEnd`]: a client may never take a
//! broken answer for a whole one, and what came after an answer may never reach the next request.

use std::time::Duration;

use crate::ScriptedReply;

/// Holds one way in which an origin goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct OriginFault {
    /// Its name, as it stands in the output of a test.
    pub name: &'static str,
    /// How a request to it has to end.
    pub ends: ExpectedEnd,
    reply: fn() -> ScriptedReply,
}

/// The end that a request must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedEnd {
    /// There is no answer: a gateway says 502.
    Refused,
    /// The head may be passed on, but the body does not end well; 502 is right too.
    Cut,
    /// The answer is a whole 200 or the status it has; the connection is not used again.
    Whole,
    /// It never ends by itself: a time limit ends it (504, or a cut body).
    Never,
}

impl OriginFault {
    /// Returns what the origin does.
    pub fn reply(&self) -> ScriptedReply {
        (self.reply)()
    }
}

/// The word that stands in every body of the table; nothing else may arrive.
pub const GOOD: &str = "hello";
/// The word that stands in what follows an answer; it may never arrive.
pub const POISON: &str = "poison";

const fn fault(name: &'static str, ends: ExpectedEnd, reply: fn() -> ScriptedReply) -> OriginFault {
    OriginFault { name, ends, reply }
}

/// Answers `hello` under these header lines.
fn hello(headers: &str) -> ScriptedReply {
    ScriptedReply::raw(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{GOOD}"))
}

/// Answers with these chunk bytes.
fn chunks(body: &str) -> ScriptedReply {
    ScriptedReply::raw(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"))
}

/// Writes a whole answer, and what nobody asked for after it.
fn followed(answer: &str, by: &str) -> ScriptedReply {
    ScriptedReply::raw(format!("HTTP/1.1 {answer}{by}"))
}

/// What an attacker wants the next request to be answered with.
fn poison() -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{POISON}", POISON.len())
}

const CHUNKED: &str = "5\r\nhello\r\n";

/// The 56 origin faults.
pub const ALL: [OriginFault; 56] = [
    // Two readers could disagree on where the body ends.
    fault("length_and_chunked", ExpectedEnd::Refused, || {
        hello("content-length: 5\r\ntransfer-encoding: chunked")
    }),
    fault("two_lengths", ExpectedEnd::Refused, || hello("content-length: 5\r\ncontent-length: 6")),
    fault("length_list", ExpectedEnd::Refused, || hello("content-length: 5, 6")),
    fault("length_negative", ExpectedEnd::Refused, || hello("content-length: -5")),
    fault("length_plus", ExpectedEnd::Refused, || hello("content-length: +5")),
    fault("length_hex", ExpectedEnd::Refused, || hello("content-length: 0x5")),
    fault("length_empty", ExpectedEnd::Refused, || hello("content-length:")),
    fault("length_word", ExpectedEnd::Refused, || hello("content-length: five")),
    fault("length_overflow", ExpectedEnd::Refused, || {
        hello("content-length: 99999999999999999999")
    }),
    fault("coding_unknown", ExpectedEnd::Refused, || hello("transfer-encoding: gzip")),
    fault("coding_almost_chunked", ExpectedEnd::Refused, || hello("transfer-encoding: xchunked")),
    fault("coding_identity_chunked", ExpectedEnd::Refused, || {
        hello("transfer-encoding: identity, chunked")
    }),
    fault("coding_chunked_not_last", ExpectedEnd::Refused, || {
        hello("transfer-encoding: chunked, gzip")
    }),
    fault("coding_twice", ExpectedEnd::Refused, || {
        hello("transfer-encoding: chunked\r\ntransfer-encoding: chunked")
    }),
    fault("coding_in_http_10", ExpectedEnd::Refused, || {
        ScriptedReply::raw(
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )
    }),
    // What comes is no head.
    fault("status_word", ExpectedEnd::Refused, || ScriptedReply::raw("HTTP/1.1 abc OK\r\n\r\n")),
    fault("status_too_long", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/1.1 2000 OK\r\n\r\n")
    }),
    fault("status_too_low", ExpectedEnd::Refused, || ScriptedReply::raw("HTTP/1.1 099 OK\r\n\r\n")),
    fault("version_unknown", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/3.7 200 OK\r\n\r\n")
    }),
    fault("version_09", ExpectedEnd::Refused, || {
        ScriptedReply::raw("<html>hello</html>\r\n\r\n").then_close()
    }),
    fault("empty_lines", ExpectedEnd::Refused, || ScriptedReply::raw("\r\n\r\n\r\n\r\n")),
    fault("noise", ExpectedEnd::Refused, || {
        ScriptedReply::raw(vec![0xff, 0x00, 0x13, 0x37, 0x80, b'\r', b'\n'])
    }),
    fault("tls_alert", ExpectedEnd::Refused, || {
        ScriptedReply::raw(vec![0x15, 3, 3, 0, 2, 2, 0x46]).then_close()
    }),
    fault("other_protocol", ExpectedEnd::Refused, || ScriptedReply::raw("SSH-2.0-OpenSSH_9.2\r\n")),
    // A head that two readers could read in two ways.
    fault("bare_line_feeds", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/1.1 200 OK\ncontent-length: 5\n\nhello")
    }),
    fault("bare_return", ExpectedEnd::Refused, || hello("x: a\rb\r\ncontent-length: 5")),
    fault("nul_in_value", ExpectedEnd::Refused, || hello("x: a\0b\r\ncontent-length: 5")),
    fault("space_before_colon", ExpectedEnd::Refused, || hello("content-length : 5")),
    fault("no_colon", ExpectedEnd::Refused, || hello("nonsense\r\ncontent-length: 5")),
    fault("folded_line", ExpectedEnd::Refused, || hello("x: a\r\n b\r\ncontent-length: 5")),
    fault("no_name", ExpectedEnd::Refused, || hello(": x\r\ncontent-length: 5")),
    fault("space_in_name", ExpectedEnd::Refused, || hello("x y: a\r\ncontent-length: 5")),
    // Too much of it.
    fault("head_64_kib", ExpectedEnd::Refused, || hello(&format!("x: {}", "a".repeat(64 * 1024)))),
    fault("head_without_end", ExpectedEnd::Refused, || {
        hello(&format!("x: {}", "a".repeat(10 * 1024 * 1024)))
    }),
    fault("headers_5000", ExpectedEnd::Refused, || hello("x: y\r\n".repeat(5000).trim_end())),
    // Interim answers.
    fault("unasked_101", ExpectedEnd::Refused, || {
        ScriptedReply::raw(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n",
        )
    }),
    fault("interim_storm", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(5000))
    }),
    fault("interim_then_close", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/1.1 100 Continue\r\n\r\n").then_close()
    }),
    // The connection ends before the head does.
    fault("close_before_byte", ExpectedEnd::Refused, ScriptedReply::close),
    fault("reset_before_byte", ExpectedEnd::Refused, ScriptedReply::reset),
    fault("close_in_head", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/1.1 200 OK\r\nx: ").then_close()
    }),
    fault("reset_in_head", ExpectedEnd::Refused, || {
        ScriptedReply::raw("HTTP/1.1 200 OK\r\nx: ").then_reset()
    }),
    // The body is not whole.
    fault("length_too_long", ExpectedEnd::Cut, || hello("content-length: 10").then_close()),
    fault("length_then_reset", ExpectedEnd::Cut, || hello("content-length: 10").then_reset()),
    fault("chunk_cut", ExpectedEnd::Cut, || chunks("9\r\nhello").then_close()),
    fault("last_chunk_missing", ExpectedEnd::Cut, || chunks(CHUNKED).then_close()),
    fault("chunks_then_reset", ExpectedEnd::Cut, || chunks(CHUNKED).then_reset()),
    fault("chunk_size_word", ExpectedEnd::Cut, || {
        chunks(&format!("{CHUNKED}zz\r\nhello\r\n0\r\n\r\n"))
    }),
    fault("chunk_size_overflow", ExpectedEnd::Cut, || {
        chunks(&format!("{CHUNKED}ffffffffffffffff5\r\nhello\r\n0\r\n\r\n"))
    }),
    fault("chunk_without_end", ExpectedEnd::Cut, || chunks("5\r\nhelloXX0\r\n\r\n")),
    // More comes than was announced.
    fault("answer_after_length", ExpectedEnd::Whole, || {
        followed("200 OK\r\ncontent-length: 5\r\n\r\nhello", &poison())
    }),
    fault("answer_after_chunks", ExpectedEnd::Whole, || {
        followed("200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", &poison())
    }),
    fault("body_after_204", ExpectedEnd::Whole, || followed("204 No Content\r\n\r\n", POISON)),
    // Nothing comes, or hardly anything.
    fault("hang_before_byte", ExpectedEnd::Never, ScriptedReply::hang),
    fault("drip_in_head", ExpectedEnd::Never, || {
        ScriptedReply::drip(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            Duration::from_secs(1),
        )
    }),
    fault("hang_in_body", ExpectedEnd::Never, || hello("content-length: 10").then_hang()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_name() {
        let mut names: Vec<_> = ALL.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn only_what_follows_an_answer_is_poison() {
        for fault in ALL {
            let text = format!("{:?}", fault.reply());
            assert_eq!(text.contains(POISON), fault.ends == ExpectedEnd::Whole, "{}", fault.name);
        }
    }
}
