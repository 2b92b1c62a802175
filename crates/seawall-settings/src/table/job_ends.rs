//! The settings of who is told when a run of a job has ended.
//!
//! Does not know: how they are used.

use super::super::keys::{Key, key};
use super::super::value::Kind;

/// The settings of one end. A macro, since paths and texts are literals.
macro_rules! keys {
    ($name:literal, $when:literal) => {
        &[
            key(concat!("job.", $name), Kind::Part, r#""off""#, [
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
            key(concat!("job.", $name, ".send"), Kind::Text("METHOD /path in quotes"), "", [
                "The call: headers webhook-id, webhook-timestamp and Idempotency-Key, and the event \
                 as its body. A status of 2xx says that it was heard; else it is made again, a \
                 second later, then longer, up to ten minutes, for a day and a half.",
                "Developers.",
                "`seawall job ls`: what was not told",
            ])
            .follows("`command`")
            .example(r#""POST /hooks/runs""#),
            key(concat!("job.", $name, ".upstream"), Kind::Text("the name of an upstream"), "", [
                "The upstream that is called, through its policy.",
                "Developers.",
                "seawall_call_ended_total",
            ])
            .follows("the upstream of `each_line`")
            .example(r#""weather-api""#),
            key(concat!("job.", $name, ".secret"), Kind::Secret, "", [
                "What the call is signed with: webhook-signature is `v1,` and the HMAC-SHA256 of id, \
                 timestamp and body, as Standard Webhooks have it. One that begins with whsec_ is \
                 base64.",
                "Developers whose receiver has to know who calls.",
                "the receiver",
            ])
            .follows("a call without a signature")
            .example(r#"{ env = "SEAWALL_HOOKS_SECRET" }"#),
            key(concat!("job.", $name, ".command"), Kind::Names, "[]", [
                "The command instead of a call: a program and its arguments, without a shell. It \
                 reads the event from its standard input, has SEAWALL_EVENT_ID, SEAWALL_JOB, \
                 SEAWALL_RUN and SEAWALL_STATE, and 60 seconds; unless it ends with 0 it is run \
                 again.",
                "Operators.",
                "`seawall job ls`: what was not told",
            ])
            .example(r#"["/usr/local/bin/page-me", "--quiet"]"#),
        ]
    };
}

pub(super) const ON_DONE: &[Key] = keys!("on_done", "is done");
pub(super) const ON_FAILED: &[Key] = keys!("on_failed", "has failed for good");
