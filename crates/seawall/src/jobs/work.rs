//! One run of a job as the worker's crate wants it: what it reads and writes, and what is made of
//! a line.
//!
//! Does not know: how it is carried out, who shows it, who stops it. Invariant: whatever outcomes
//! depend on is in the run's identity, so that a run never goes on as another one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use http::HeaderMap;
use seawall_call::Policy;
use seawall_settings::{Begins, JobSettings, SendSettings, WhenDone};
use seawall_upstream::Upstream;
use seawall_worker::{Control, Forward, Job, Pace, Select, Selected, Settings};

use super::to_stdout::ToStdout;

/// One run.
pub(crate) struct Work {
    pub(crate) settings: Settings,
    /// How it is stopped, and how far it is.
    pub(crate) control: Control,
    /// Where answers go, if it is not a file.
    pub(crate) stdout: Option<ToStdout>,
    /// What selects from lines.
    pub(super) select: Option<Select>,
    /// How many lines begin in a second.
    pub(super) pace: Option<Pace>,
    forward: Option<Forward>,
    is_letters: bool,
    /// What becomes of the input when it was read.
    pub(crate) when_done: WhenDone,
    /// Told to who shows the run: whether its breaker is open.
    policy: Option<Policy>,
    /// How many attempts of this session were not the first of their line.
    pub(super) retries: AtomicU64,
}

impl Work {
    /// Makes a run; nothing is opened yet.
    ///
    /// # Errors
    ///
    /// Says what is wrong with what is to be sent.
    pub(crate) fn new(job: &JobSettings, way: Option<Upstream>) -> Result<Self, String> {
        let select = (!job.keep.is_idle()).then(|| job.keep.select()).transpose()?;
        let is_paced = job.per_second.is_some() || job.weight.is_some();
        let pace = is_paced.then(|| Pace::new(job.per_second, job.weight.clone()));
        let identity = identity(job, way.as_ref());
        let policy = way.as_ref().map(|way| way.policy().clone());
        let control = Control::default();
        let forward = match (&job.send, way) {
            (Some(send), Some(way)) => Some(forward(job, send, way)?.drain(control.drain.clone())),
            _ => None,
        };
        let mut settings = job.files();
        // Whoever may put files into the folder must not have others read.
        settings.follows_links = job.begins != Begins::WithFiles;
        settings.is_ordered = job.is_ordered;
        settings.is_at_most_once = job.is_at_most_once;
        settings.in_flight_max = job.in_flight_max;
        settings.line_bytes_max = job.line_bytes_max;
        settings.answer_bytes_max = job.answer_bytes_max;
        settings.sync = job.sync;
        settings.failures_max = job.failures_max;
        settings.identity = identity;
        settings.name.clone_from(&job.run);
        Ok(Self {
            settings,
            control,
            stdout: None,
            select,
            pace,
            forward,
            is_letters: job.is_letters,
            when_done: job.when_done,
            policy,
            retries: AtomicU64::new(0),
        })
    }

    /// Returns how many attempts of this session were not the first of their line.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Returns how many lines wait until they can be sent, and why; nothing if none does.
    pub(crate) fn waiting(&self) -> Option<(usize, String)> {
        self.forward.as_ref()?.waiting()
    }

    /// Returns how many requests the upstream has; nothing if nothing is sent at all.
    pub(crate) fn in_flight(&self) -> Option<usize> {
        self.forward.as_ref().map(Forward::in_flight)
    }

    /// Says why nothing is sent at the moment, if that is so.
    pub(crate) fn held_up_by(&self) -> Option<String> {
        let breaker = self.policy.as_ref().and_then(|policy| policy.snapshot().breaker);
        if breaker.is_some_and(|breaker| breaker.as_str() == "open") {
            return Some("the breaker is open".to_owned());
        }
        let under_way = self.control.progress.snapshot(Instant::now()).in_flight;
        self.waiting().filter(|(lines, _)| *lines as u64 >= under_way).map(|(_, why)| why)
    }

    /// Returns what sends lines.
    pub(crate) const fn forward(&self) -> Option<&Forward> {
        self.forward.as_ref()
    }

    /// Returns the line of another run, if that is what a line is.
    pub(crate) fn letter(&self, job: &Job) -> Option<Result<Job, String>> {
        self.is_letters.then(|| job.of_letter())
    }

    /// Selects from a line.
    pub(crate) fn select<'a>(&self, line: &'a [u8]) -> Selected<'a> {
        match &self.select {
            None => Selected::Keep(line.into()),
            Some(select) => select.apply(line),
        }
    }
}

fn forward(job: &JobSettings, send: &SendSettings, way: Upstream) -> Result<Forward, String> {
    let made = Forward::new(way, send.method.clone(), &send.path);
    let mut forward = made
        .map_err(|bad| bad.to_string())?
        .answers(job.answers)
        .answer_bytes_max(job.answer_bytes_max)
        .give_up(job.give_up);
    if let Some(body) = &send.body {
        forward = forward.body(body);
    }
    for (name, value) in &send.headers {
        forward = forward.header(name.clone(), value.clone());
    }
    Ok(if job.is_at_most_once { forward.at_most_once() } else { forward })
}

/// Names what outcomes depend on. Limits of speed are not among it: a run may go on faster.
fn identity(job: &JobSettings, way: Option<&Upstream>) -> BTreeMap<String, String> {
    let mut identity = BTreeMap::new();
    let mut add = |name: &str, value: String| identity.insert(name.to_owned(), value);
    if let Some(send) = &job.send {
        add("send", format!("{} {}", send.method, send.path));
        add("headers", fingerprint(&send.headers));
        add("answers", format!("{:?}", job.answers).to_lowercase());
        add("answer bytes", job.answer_bytes_max.to_string());
        if let Some(body) = &send.body {
            add("body", body.clone());
        }
    }
    if job.is_letters {
        add("input form", "dead letters".to_owned());
    }
    if let Some(way) = way {
        add("upstream", way.name().to_owned());
    }
    if let Some(matches) = &job.keep.matches {
        add("keep matches", matches.clone());
    }
    if let Some(matches_not) = &job.keep.matches_not {
        add("keep matches_not", matches_not.clone());
    }
    if !job.keep.fields.is_empty() {
        add("keep fields", job.keep.fields.join(", "));
    }
    identity
}

/// Names headers without telling what they are: there may be a token among them.
fn fingerprint(headers: &HeaderMap) -> String {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes()].concat())
        .collect();
    lines.sort();
    let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    let hash = blake3::hash(&lines.join(&b'\n'));
    format!("{} ({})", names.join(", "), &hash.to_hex()[..16])
}
