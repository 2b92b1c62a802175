//! The settings of who is told when a run of a job has ended.
//!
//! Does not know: how they are used.

use super::super::key::{Key, Row, key, optional};
use super::super::typed::{Form, Part, SecretSource, Text, Texts, names, part, secret, text};

/// The keys of one end: the same for each, under another name.
pub(crate) struct EndKeys {
    /// What it is called in the file: `on_done`.
    pub(crate) name: &'static str,
    pub(crate) part: Key<Part>,
    pub(crate) send: Key<Option<Text>>,
    pub(crate) upstream: Key<Option<Text>>,
    pub(crate) secret: Key<Option<SecretSource>>,
    pub(crate) command: Key<Texts>,
}

impl EndKeys {
    const fn rows(&self) -> [Row; 5] {
        let Self { name: _, part, send, upstream, secret, command } = self;
        [part.row, send.row, upstream.row, secret.row, command.row]
    }
}

const UPSTREAM: Form<Text> = text("the name of an upstream");

/// The settings of one end. A macro, since paths and texts are literals.
macro_rules! end {
    ($name:literal, $when:literal) => {
        EndKeys {
            name: $name,
            part: key(concat!("job.", $name), part(), r#""off""#, [
                concat!(
                    "Who is told when a run ",
                    $when,
                    ": a call through the policy of an upstream, or a command. The event is JSON, \
                     and stands in the store until it was heard, also when the server is killed: \
                     each end of a run is one event, and every repeat has its id. Runs of the \
                     server only."
                ),
                "Developers of what goes on from there.",
                "seawall log: job.end_told",
            ]),
            send: optional(concat!("job.", $name, ".send"), text("METHOD /path in quotes"), [
                "The call: headers webhook-id, webhook-timestamp and Idempotency-Key, and the \
                 event as its body. A status of 2xx says that it was heard; else it is made again, \
                 a second later, then longer, up to ten minutes, for a day and a half.",
                "Developers.",
                "`seawall job ls`: what was not told",
            ])
            .follows("`command`")
            .example(r#""POST /hooks/runs""#),
            upstream: optional(concat!("job.", $name, ".upstream"), UPSTREAM, [
                "The upstream that is called, through its policy.",
                "Developers.",
                "seawall_call_ended_total",
            ])
            .follows("the upstream of `each_line`")
            .example(r#""weather-api""#),
            secret: optional(concat!("job.", $name, ".secret"), secret(), [
                "What the call is signed with: webhook-signature is `v1,` and the HMAC-SHA256 of \
                 id, timestamp and body, as Standard Webhooks have it. One that begins with whsec_ \
                 is base64.",
                "Developers whose receiver has to know who calls.",
                "the receiver",
            ])
            .follows("a call without a signature")
            .example(r#"{ env = "SEAWALL_HOOKS_SECRET" }"#),
            command: key(concat!("job.", $name, ".command"), names(), "[]", [
                "The command instead of a call: a program and its arguments, without a shell. It \
                 reads the event from its standard input, has SEAWALL_EVENT_ID, SEAWALL_JOB, \
                 SEAWALL_RUN and SEAWALL_STATE, and 60 seconds; unless it ends with 0 it is run \
                 again.",
                "Operators.",
                "`seawall job ls`: what was not told",
            ])
            .example(r#"["/usr/local/bin/page-me", "--quiet"]"#),
        }
    };
}

pub(crate) const JOB_ON_DONE: EndKeys = end!("on_done", "is done");
pub(crate) const JOB_ON_FAILED: EndKeys = end!("on_failed", "has failed for good");

pub(super) const ON_DONE_ROWS: &[Row] = &JOB_ON_DONE.rows();
pub(super) const ON_FAILED_ROWS: &[Row] = &JOB_ON_FAILED.rows();
