//! The settings of jobs: files of lines that are sent.
//!
//! Does not know: how they are used.

use std::time::Duration;

use seawall_worker::{Answers, Sync};

use super::super::key::{Key, key, named, optional};
use super::super::schedule::CatchUp;
use super::super::typed::{
    Bytes, Form, Part, Rate, Table, Text, Texts, choice, duration, flag, integer, names, part,
    rate, text,
};
use super::super::when_done::WhenDone;
use super::HOW_LARGE;

const PATH: Form<Text> = text("a path in quotes");

keys! {
    JOB_ROWS;

    JOB: Key<Table> = named("job", "A file whose every line is sent through a policy, once.");
    JOB_INPUT: Key<Option<Text>> = optional("job.input", PATH, [
        "The file that is read: lines of text, plain or compressed with gzip or zstd. This or \
         `folder`.",
        "Developers.",
        "`seawall job run NAME --dry-run`",
    ])
    .follows("files that appear in `folder`")
    .example(r#""data/cities.ndjson""#);
    JOB_FOLDER: Key<Option<Text>> = optional("job.folder", PATH, [
        "A folder whose files the server reads when they have come to rest: regular files, but \
         none whose name begins with `.` or ends with `.part` or `.tmp`. A file is known by its \
         path and its content, and is read once, also when it is touched, copied or seen by \
         another machine; a new content under the same name is another run.",
        "Developers of files that others bring.",
        "`seawall job ls`",
    ])
    .follows("one file, `input`")
    .example(r#""data/incoming""#);
    JOB_OUTPUT: Key<Option<Text>> = optional("job.output", PATH, [
        "Where answers go, one line for each. What the run knows of itself stands beside it, in a \
         folder of that name and `.seawall`. With `schedule` the time of each run is put behind \
         the name; with `folder` this is another folder, and answers go to the file's name and \
         `.out` in it; a new content under a name has a few letters of its hash before `.out`.",
        "Developers.",
        "`ls`",
    ])
    .follows("the input's name and `.out`")
    .example(r#""data/cities.out""#);
    JOB_WHEN_DONE: Key<WhenDone> = key("job.when_done", choice(), r#""keep""#, [
        "What becomes of a file of `folder` when its run is done: `keep` leaves it, `move` puts it \
         into the folder `done` beside it, `delete` deletes it.",
        "Operators of folders that fill up.",
        "`ls`",
    ]);
    JOB_SCHEDULE: Key<Option<Text>> =
        optional("job.schedule", text("a crontab expression in quotes"), [
            "When the server reads the input: minute, hour, day of month, month, day of week, or \
             @hourly, @daily, @weekly, @monthly, @yearly; and perhaps a time zone, UTC without. \
             When the zone's clock is set, a fixed time that is skipped comes right after the gap, \
             and one that is there twice comes once; several in one gap are one run.",
            "Operators.",
            "`seawall job ls`: next",
        ])
        .follows("only when somebody says so")
        .example(r#""0 3 * * 1-5 Europe/Oslo""#);
    JOB_CATCH_UP: Key<CatchUp> = key("job.catch_up", choice(), r#""none""#, [
        "Which times of `schedule` are made up that came when no run could begin, since no server \
         ran or the run before was not over: `none`, the `last`, or `all`, one run after another. \
         A time that is less than a minute late has not been missed.",
        "Operators.",
        "`seawall job ls`",
    ]);
    JOB_PRIORITY: Key<u64> = key("job.priority", integer(0, 1000), "0", [
        "Of jobs that wait, those with more go first.",
        "Operators of servers with many jobs.",
        "`seawall job ls`",
    ]);
    JOB_CONCURRENCY: Key<Option<u64>> = optional("job.concurrency", integer(1, 1000), [
        "How many runs of this job are under way at once, on all machines together. Runs that were \
         put in before keep the number that held then.",
        "Operators of jobs that must not run beside themselves: 1.",
        "`seawall job ls --state running`",
    ])
    .follows("as many as `worker.concurrency` allows")
    .example("1");
    JOB_ATTEMPTS: Key<u64> = key("job.attempts", integer(1, 1000), "20", [
        "How many times the server begins a run that stops (a full disk, a lost input, a killed \
         server) before it is failed: a second after the first, then longer, up to ten minutes. \
         Every one goes on where the last one was.",
        "Operators.",
        "`seawall job show ID`",
    ]);
    JOB_EACH_LINE: Key<Part> = key("job.each_line", part(), r#""off""#, [
        "What is sent for each line. Without it lines only go through `keep`.",
        "Developers.",
        "`seawall job run NAME --dry-run`",
    ]);
    JOB_EACH_LINE_SEND: Key<Option<Text>> =
        optional("job.each_line.send", text("METHOD /path in quotes"), [
            "The request: a method and a path, in which {line} stands for the line, {seq} for its \
             number from 0, and {name} for the member of that name if lines are JSON objects.",
            "Developers.",
            "`seawall job run NAME --dry-run`",
        ])
        .required(r#""POST /v1/cities""#);
    JOB_EACH_LINE_UPSTREAM: Key<Option<Text>> =
        optional("job.each_line.upstream", text("the name of an upstream"), [
            "The upstream that is called, through its policy: breaker, budget and limits are \
             shared with routes that call it.",
            "Developers.",
            "`seawall job run NAME --dry-run`",
        ])
        .required(r#""weather-api""#);
    JOB_EACH_LINE_BODY: Key<Option<Text>> =
        optional("job.each_line.body", text("the body in quotes"), [
            "The body, with places as in `send`; {line:json} is the line as a JSON string.",
            "Developers.",
            "`seawall job run NAME --dry-run`",
        ])
        .follows("the line itself, and nothing for GET, HEAD, DELETE and OPTIONS")
        .example(r#""{\"city\":{line:json}}""#);
    JOB_EACH_LINE_CONTENT_TYPE: Key<Option<Text>> =
        optional("job.each_line.content_type", text("a media type in quotes"), [
            "What the body is.",
            "Developers who send JSON: \"application/json\".",
            "the upstream's own log",
        ])
        .follows("\"text/plain; charset=utf-8\" if there is a body")
        .example(r#""application/json""#);
    JOB_EACH_LINE_CONCURRENCY: Key<u64> =
        key("job.each_line.concurrency", integer(1, 65_536), "16", [
            "How many calls are under way at once.",
            "Operators who know what the upstream bears; its policy may allow less.",
            "the progress line: in flight",
        ]);
    JOB_EACH_LINE_RATE: Key<Option<Rate>> = optional("job.each_line.rate", rate(false), [
        "How many lines begin in a second. Retries are not counted: `policy.rate` counts attempts.",
        "Operators whose upstream has a quota.",
        "the progress line: lines a second",
    ])
    .follows("as fast as the policy allows")
    .example(r#""100/s""#);
    JOB_EACH_LINE_WEIGHT_RATE: Key<Option<Rate>> =
        optional("job.each_line.weight_rate", rate(false), [
            "How much weight begins in a second, beside `rate`: a line weighs what `weight` says.",
            "Operators whose upstream counts tokens, bytes or items.",
            "the progress line: lines a second",
        ])
        .follows("no limit by weight")
        .example(r#""10000/s""#);
    JOB_EACH_LINE_WEIGHT: Key<Text> =
        key("job.each_line.weight", text("\"bytes\" or the name of a member"), r#""bytes""#, [
            "What a line weighs: its bytes, or the number that this member of a JSON object holds \
             (`usage.tokens`); 1 if there is none.",
            "Developers, together with `weight_rate`.",
            "the progress line: lines a second",
        ]);
    JOB_KEEP: Key<Part> = key("job.keep", part(), r#""off""#, [
        "Which lines are sent, and what of them; without `each_line`, what is written.",
        "Developers.",
        "the summary: filtered",
    ]);
    JOB_KEEP_MATCHES: Key<Option<Text>> =
        optional("job.keep.matches", text("a regular expression in quotes"), [
            "Only lines that this matches somewhere. The others are counted as filtered.",
            "Developers.",
            "the summary: filtered",
        ])
        .follows("every line")
        .example(r#""\"country\":\"NO\"""#);
    JOB_KEEP_MATCHES_NOT: Key<Option<Text>> =
        optional("job.keep.matches_not", text("a regular expression in quotes"), [
            "Only lines that this matches nowhere.",
            "Developers of files with comments: \"^#\".",
            "the summary: filtered",
        ])
        .follows("every line")
        .example(r#""^#""#);
    JOB_KEEP_FIELDS: Key<Texts> = key("job.keep.fields", names(), "[]", [
        "Only these members of a line that is a JSON object, in this order; `address.city` reaches \
         into it. An empty list keeps the line as it is.",
        "Developers of upstreams that take less.",
        "`seawall job run NAME --dry-run`",
    ])
    .example(r#"["name", "address.city"]"#);
    JOB_ON_FAILURE: Key<Option<Part>> = optional("job.on_failure", part(), [
        "What becomes of lines that failed when the policy had done what it can. They go to the \
         dead letter file, and the run goes on.",
        "",
        "",
    ]);
    JOB_ON_FAILURE_FILE: Key<Option<Text>> = optional("job.on_failure.file", PATH, [
        "The dead letter file: one JSON object a line, with the line and the reason.",
        "Developers.",
        "`seawall job failed NAME`",
    ])
    .follows("the output's name and `.dead`")
    .example(r#""data/cities.dead""#);
    JOB_ON_FAILURE_STOP_ABOVE: Key<Option<Text>> =
        optional("job.on_failure.stop_above", text("a share or a number in quotes"), [
            "The run stops when more lines have failed than this: a share of all so far (once \
             there are 100), or a number of lines. It can be resumed with a higher limit.",
            "Operators of long runs: an upstream that is wrong for every line is found early.",
            "exit code 6; seawall_worker_lines_ended_total{outcome=\"dead\"}",
        ])
        .follows("never")
        .example(r#""5%""#);
    JOB_ON_FAILURE_GIVE_UP: Key<Option<Duration>> =
        optional("job.on_failure.give_up", duration("1s", "8760h"), [
            "How long a line waits that can be sent again without harm and not now: the breaker is \
             open, the rate or the budget of retries is spent, connections are refused, or the \
             upstream says 429. Then it goes to the dead letter file.",
            "Operators of upstreams that may never come back.",
            "the progress line: waiting",
        ])
        .follows("as long as it takes")
        .example(r#""1h""#);
    JOB_ORDERED: Key<bool> = key("job.ordered", flag(), "false", [
        "Writes answers in the order of the input. A line that is done then waits for those before \
         it.",
        "Developers whose reader counts lines.",
        "the output",
    ]);
    JOB_AT_MOST_ONCE: Key<bool> = key("job.at_most_once", flag(), "false", [
        "Never sends a line again that may have been seen: after a crash it goes to the dead \
         letter file as unknown.",
        "Developers of upstreams that must not see a line twice and know no Idempotency-Key.",
        "the dead letter file",
    ]);
    JOB_ANSWERS: Key<Answers> = key("job.answers", choice(), r#""numbered""#, [
        "How an answer is written: `numbered` as an object with the line's number, the status and \
         the answer; `raw` as it came, which must be one line.",
        "Developers.",
        "the output",
    ]);
    JOB_SYNC: Key<Sync> = key("job.sync", choice(), r#""checkpoint""#, [
        "When what is written is made durable: with each `checkpoint` (once a second), each `line` \
         before it counts as done, or `never` by us. A killed process loses nothing either way; \
         this is about power cuts, after which lines are sent again.",
        "Operators without a battery.",
        "`strace -e fdatasync`",
    ]);
    JOB_LINE: Key<Bytes> = key("job.line", HOW_LARGE, r#""1MiB""#, [
        "How long a line may be; a longer one goes to the dead letter file.",
        "Developers of long lines.",
        "the dead letter file",
    ]);
    JOB_ANSWER: Key<Bytes> = key("job.answer", HOW_LARGE, r#""1MiB""#, [
        "How long an answer may be; with a longer one the line goes to the dead letter file.",
        "Developers of long answers.",
        "the dead letter file",
    ]);
}
