//! The settings of the server's job worker.
//!
//! Does not know: how they are used.

use std::time::Duration;

use super::super::key::{Key, key, optional, table};
use super::super::typed::{
    Bytes, Form, SecretSource, Table, Text, duration, integer, secret, size, text,
};

const LEASE: Form<Duration> = duration("1s", "1h");
const KEEP: Form<Duration> = duration("1m", "8760h");

keys! {
    WORKER_ROWS;

    WORKER: Key<Table> = table(
        "worker",
        "The job worker of the server, which runs the jobs of this file.",
    );
    WORKER_STORE: Key<Text> =
        key("worker.store", text("a path in quotes"), r#""seawall-jobs.db""#, [
            "Where jobs are kept: a file of SQLite, which this process makes. Opened only if there \
             is a `[job.NAME]`.",
            "Operators.",
            "`seawall job ls`",
        ]);
    WORKER_POSTGRES: Key<Option<SecretSource>> = optional("worker.postgres", secret(), [
        "Keeps jobs in PostgreSQL instead, so that several machines share the work: the variable \
         holds postgres://user:password@host/database. Tables stand in the schema `seawall`.",
        "Operators with more than one machine.",
        "`seawall job ls`",
    ])
    .follows("`store`")
    .example(r#"{ env = "SEAWALL_JOBS_URL" }"#);
    WORKER_NAME: Key<Option<Text>> = optional("worker.name", text("a name in quotes"), [
        "What other machines see as the holder of jobs that this process runs.",
        "Operators.",
        "`seawall job ls`",
    ])
    .follows("the host's name and the process's number")
    .example(r#""worker-1""#);
    WORKER_CONCURRENCY: Key<u64> = key("worker.concurrency", integer(1, 1000), "2", [
        "How many jobs run at once; each has its own calls at once besides.",
        "Operators.",
        "`seawall job ls --state running`",
    ]);
    WORKER_LEASE: Key<Duration> = key("worker.lease", LEASE, r#""30s""#, [
        "How long after this process died another one takes its jobs.",
        "Operators of machines that pause for long.",
        "`seawall job show ID`: attempts",
    ]);
    WORKER_KEEP: Key<Duration> = key("worker.keep", KEEP, r#""168h""#, [
        "How long runs are listed that have ended. What was read stays known for good.",
        "Operators.",
        "`seawall job ls`",
    ]);
    WORKER_KEEP_DONE: Key<Option<Duration>> = optional("worker.keep_done", KEEP, [
        "How long runs are listed that are done.",
        "Operators of many short runs.",
        "`seawall job ls --state done`",
    ])
    .follows("`keep`")
    .example(r#""24h""#);
    WORKER_KEEP_FAILED: Key<Option<Duration>> = optional("worker.keep_failed", KEEP, [
        "How long runs are listed, and can be resumed, that have failed.",
        "Operators who look once a month.",
        "`seawall job ls --state failed`",
    ])
    .follows("`keep`")
    .example(r#""2160h""#);
    WORKER_KEEP_CANCELLED: Key<Option<Duration>> = optional("worker.keep_cancelled", KEEP, [
        "How long runs are listed, and can be resumed, that were cancelled.",
        "Operators.",
        "`seawall job ls --state cancelled`",
    ])
    .follows("`keep`")
    .example(r#""24h""#);
    WORKER_PAYLOAD: Key<Bytes> = key("worker.payload", size("1KiB", "256KiB"), r#""64KiB""#, [
        "How long the lines may be that are put in as the payload of a run. They stand in the \
         store until it is done; more than that belongs into a file.",
        "Developers.",
        "`POST /jobs/NAME/runs`: 422",
    ]);
}
