//! The settings of the log of requests.
//!
//! Does not know: how they are used.

use seawall_gateway::Logged;
use seawall_watch::RequestForm;

use super::super::key::{Key, key, table};
use super::super::typed::{Table, Text, choice, text};

keys! {
    LOG_ROWS;

    LOG: Key<Table> = table("log", "The log of requests.");
    LOG_REQUESTS: Key<Logged> = key("log.requests", choice(), r#""failed""#, [
        "Which requests are logged: those that `failed`, were refused or were cut (at most 20 a \
         second of each kind; the others are counted in `left_out`), `all`, or none (`off`). A \
         line has the request's id, route, method and path, its client, its fate and how long it \
         took, and what went wrong where; never a query, a body or a token.",
        "Operators who want an access log (`all`), or none at all.",
        "lines with `event=\"request.failed\"`, `request.refused`, `request.cut`",
    ]);
    LOG_TO: Key<Text> = key("log.to", text("\"log\", \"stdout\" or a path"), r#""log""#, [
        "Where they are written: `log` (the log on stderr, in its form), `stdout`, or the path of \
         a file. SIGUSR1 begins a new file after the old one was moved, and so does every reload.",
        "Operators whose access log has a file of its own.",
        "the file",
    ])
    .example(r#""/var/log/seawall/access.log""#);
    LOG_FORMAT: Key<RequestForm> = key("log.format", choice(), r#""json""#, [
        "The form of lines in a file or on stdout: one JSON object each, or the `combined` format \
         of Apache and nginx, which has no room for what went wrong.",
        "Operators whose tools read combined logs.",
        "the file",
    ]);
}
