//! The settings of the server's job worker.
//!
//! Does not know: how they are used.

use super::super::keys::{Key, key};
use super::super::value::Kind;

const LEASE: Kind = Kind::Duration { min: "1s", max: "1h" };
const KEEP: Kind = Kind::Duration { min: "1m", max: "8760h" };

pub(super) const KEYS: &[Key] = &[
    key("worker", Kind::Table, "", ["What works off the jobs of this file in the server.", "", ""]),
    key("worker.store", Kind::Text("a path in quotes"), r#""seawall-jobs.db""#, [
        "Where jobs are kept: a file of SQLite, which this process makes. Opened only if there is \
         a `[job.NAME]`.",
        "Operators.",
        "`seawall job ls`",
    ]),
    key("worker.postgres", Kind::Secret, "", [
        "Keeps jobs in PostgreSQL instead, so that several machines share the work: the variable \
         holds postgres://user:password@host/database. Tables stand in the schema `seawall`.",
        "Operators with more than one machine.",
        "`seawall job ls`",
    ])
    .follows("`store`")
    .example(r#"{ env = "SEAWALL_JOBS_URL" }"#),
    key("worker.name", Kind::Text("a name in quotes"), "", [
        "What other machines see as the holder of jobs that this process runs.",
        "Operators.",
        "`seawall job ls`",
    ])
    .follows("the host's name and the process's number")
    .example(r#""worker-1""#),
    key("worker.concurrency", Kind::Integer { min: 1, max: 1000 }, "2", [
        "How many jobs run at once; each has its own calls at once besides.",
        "Operators.",
        "`seawall job ls --state running`",
    ]),
    key("worker.lease", LEASE, r#""30s""#, [
        "How long after this process died another one takes its jobs.",
        "Operators of machines that pause for long.",
        "`seawall job show ID`: attempts",
    ]),
    key("worker.keep", KEEP, r#""168h""#, [
        "How long runs are listed that have ended. What was read stays known for good.",
        "Operators.",
        "`seawall job ls`",
    ]),
    key("worker.keep_done", KEEP, "", [
        "How long runs are listed that are done.",
        "Operators of many short runs.",
        "`seawall job ls --state done`",
    ])
    .follows("`keep`")
    .example(r#""24h""#),
    key("worker.keep_failed", KEEP, "", [
        "How long runs are listed, and can be resumed, that have failed.",
        "Operators who look once a month.",
        "`seawall job ls --state failed`",
    ])
    .follows("`keep`")
    .example(r#""2160h""#),
    key("worker.keep_cancelled", KEEP, "", [
        "How long runs are listed, and can be resumed, that were cancelled.",
        "Operators.",
        "`seawall job ls --state cancelled`",
    ])
    .follows("`keep`")
    .example(r#""24h""#),
    key("worker.payload", Kind::Size { min: "1KiB", max: "256KiB" }, r#""64KiB""#, [
        "How long the lines may be that are put in as the payload of a run. They stand in the \
         store until it is done; more than that belongs into a file.",
        "Developers.",
        "`POST /jobs/NAME/runs`: 422",
    ]),
];
