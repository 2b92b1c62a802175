//! `seawall map`: every line of a file through a policy, without a settings file.
//!
//! Does not know: how a run works.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method};
use seawall_settings::{
    Begins, CatchUp, JobSettings, KeepSettings, SendSettings, WhenDone, failures_of, output_of,
    weight_of,
};
use seawall_upstream::Upstream;
use seawall_worker::{Answers, LineCounts, RunConclusion, Sync, Weight};

use super::Console;
use super::way::{header_of, upstream_of};
use crate::cli::{Global, Map, Steer, SyncWhen};
use crate::exit::Exit;
use crate::jobs::by_hand::{
    Form, Outcome, Show, StdinCopy, Steered, Stopping, dry_run, exit_of, steer,
};
use crate::jobs::{ToStdout, Work, with_suffix};

pub(super) fn map(global: &Global, flags: &Map, console: &Console) -> Exit {
    let prepared = job(flags).map_err(|why| (why, Exit::Usage)).and_then(|(mut job, to)| {
        if is_stdout(&job.output) && console.json {
            let why = "stdout cannot have the answers and the summary: --summary FILE writes it";
            return Err((why.to_owned(), Exit::Usage));
        }
        check_kinds(&job, flags)?;
        let way = match &to {
            None => None,
            Some(name) => Some(upstream_of(global, name, flags.policy.as_deref(), console)?),
        };
        let copy = match flags.input == Path::new("-") {
            false => None,
            true => Some(copy_of_stdin(&mut job, flags, console)?),
        };
        Ok((job, way, copy))
    });
    match prepared {
        Ok((job, way, copy)) => {
            let exit = run_here(&job, way, &flags.steer, console);
            let is_over = matches!(exit, Exit::Done | Exit::No) && flags.steer.dry_run.is_none();
            // One that was just made and is refused is not what the run goes on with.
            let is_over = |copy: &StdinCopy| is_over || (exit == Exit::Settings && !copy.is_old);
            match copy.filter(is_over).map(|copy| (copy.remove(), copy.path)) {
                Some((Err(error), path)) => {
                    console.error(&format!("cannot remove {}: {error}", path.display()), None);
                    Exit::Open
                }
                _ => exit,
            }
        }
        Err((why, exit)) => {
            if !why.is_empty() {
                console.error(&why, None);
            }
            exit
        }
    }
}

/// Runs a job in this process, shows how it goes, and says how it ended.
pub(super) fn run_here(
    job: &JobSettings,
    way: Option<Upstream>,
    flags: &Steer,
    console: &Console,
) -> Exit {
    let upstream = way.as_ref().map(|way| way.name().to_owned());
    let mut work = match Work::new(job, way) {
        Ok(work) => work,
        Err(why) => {
            console.error(&format!("cannot {why}"), None);
            return Exit::Usage;
        }
    };
    work.settings.is_forced = flags.force_resume;
    work.settings.is_anew = flags.anew;
    if is_stdout(&job.output) {
        match ToStdout::new() {
            Ok(stdout) => work.stdout = Some(stdout),
            Err(error) => {
                console.error(&format!("cannot make a folder for the run: {error}"), None);
                return Exit::Open;
            }
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.error(&format!("cannot start: {error}"), None);
            return Exit::Open;
        }
    };
    if let Some(requests) = flags.dry_run {
        return match runtime.block_on(dry_run(job, &work, upstream.as_deref(), requests)) {
            Ok(text) => {
                console.answer(&text);
                Exit::Done
            }
            Err(why) => {
                console.error(&why, None);
                Exit::Open
            }
        };
    }
    let mut show = Show::new(Form::of(flags.progress, console.is_quiet()));
    let began = Instant::now();
    let stopping = Stopping { grace: flags.grace };
    let ended = match runtime.block_on(steer(&work, &mut show, stopping)) {
        Ok(Steered::Ended(ended)) => ended,
        Ok(Steered::Aborted(signal)) => return Exit::Signal(signal),
        Err(error) => {
            console.error(&format!("cannot listen to signals: {error}"), None);
            return Exit::Open;
        }
    };
    let now = work.control.progress.snapshot(Instant::now());
    let counts = ended.as_ref().ok().map(|summary| summary.counts);
    let counts = counts.or(now.has_begun.then_some(now.counts));
    let outcome = Outcome {
        name: &job.name,
        settings: &work.settings,
        session: now
            .has_begun
            .then_some(counts)
            .flatten()
            .map_or_else(LineCounts::default, |all| all.since(&now.begun_with)),
        counts,
        ended: &ended,
        retries: work.retries(),
        attempts: now.attempts,
        took: began.elapsed(),
    };
    tell(&outcome, flags.summary.as_deref(), console)
}

fn tell(outcome: &Outcome<'_>, file: Option<&Path>, console: &Console) -> Exit {
    if console.json {
        console.document(&outcome.document());
    }
    match outcome.ended {
        Ok(summary) => {
            for change in &summary.changed {
                console.note(&format!("went on nevertheless: {change}"));
            }
            console.note(&outcome.text());
            match summary.ended {
                RunConclusion::Finished | RunConclusion::WasFinished => {}
                RunConclusion::Stopped => console.note("stopped before the end"),
                RunConclusion::TooManyFailures => console.error("too many lines failed", None),
            }
            if let Some(help) = outcome.help() {
                console.note(&help);
            }
        }
        Err(error) => {
            if outcome.counts.is_some_and(|counts| counts.lines() > 0) {
                console.note(&outcome.text());
            }
            console.error(&format!("could not {error}"), outcome.help().as_deref());
        }
    }
    if let Some(path) = file
        && let Err(error) = std::fs::write(path, format!("{:#}\n", outcome.document()))
    {
        console.error(&format!("cannot write {}: {error}", path.display()), None);
        return Exit::Open;
    }
    exit_of(outcome.ended)
}

fn is_stdout(output: &Path) -> bool {
    output == Path::new("-")
}

/// Refuses pipes by name: what comes through one cannot be read or written again.
fn check_kinds(job: &JobSettings, flags: &Map) -> Result<(), (String, Exit)> {
    let is_pipe = |path: &Path| {
        path != Path::new("-")
            && std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo())
    };
    if is_pipe(&flags.input) {
        let name = flags.input.display();
        let why = format!("{name} is a pipe: use -, and `< {name}` to read it");
        return Err((why, Exit::Open));
    }
    if is_pipe(&job.output) {
        let name = job.output.display();
        let why = format!("{name} is a pipe: use --out -, and `> {name}` to write to it");
        return Err((why, Exit::Open));
    }
    Ok(())
}

/// Puts a copy of stdin in the place of the input.
fn copy_of_stdin(
    job: &mut JobSettings,
    flags: &Map,
    console: &Console,
) -> Result<StdinCopy, (String, Exit)> {
    if flags.steer.dry_run.is_some() {
        let why = "a dry run reads its first lines from a file, and stdin can be read once";
        return Err((why.to_owned(), Exit::Usage));
    }
    // A run that is finished, or forgotten, needs its copy no more: what comes now is looked at.
    let kept = seawall_worker::look(&job.files()).ok().flatten();
    if flags.steer.anew || kept.is_some_and(|kept| kept.is_finished) {
        let forgotten = StdinCopy::forget(&job.output);
        forgotten
            .map_err(|error| (format!("cannot remove the copy of stdin: {error}"), Exit::Open))?;
    }
    let copy = StdinCopy::take(&job.output, &mut std::io::stdin().lock());
    let copy = copy.map_err(|why| (why, Exit::Open))?;
    if copy.is_old {
        let path = copy.path.display();
        console.note(&format!("stdin is not read: going on with the copy of it in {path}"));
    }
    job.input = copy.path.clone();
    Ok(copy)
}

/// Reads the flags: what is to be done, and where lines go.
fn job(flags: &Map) -> Result<(JobSettings, Option<String>), String> {
    let keep = KeepSettings {
        matches: flags.matches.clone(),
        matches_not: flags.matches_not.clone(),
        fields: flags.fields.clone(),
    };
    if flags.to.is_none() && keep.is_idle() {
        let why = "nothing to do with the lines: --to 'GET http://host:port/path/{line}' sends \
                   them, --matches, --matches-not and --fields select from them";
        return Err(why.to_owned());
    }
    keep.select().map_err(|why| format!("cannot select lines: {why}"))?;
    let (send, to) = match &flags.to {
        None => (None, None),
        Some(to) => {
            let (method, upstream, path) = request(to, flags.upstream.as_deref())?;
            let mut headers = HeaderMap::new();
            for header in &flags.headers {
                let (name, value) = header_of(header)?;
                headers.append(name, value);
            }
            let body = flags.data.clone();
            (Some(SendSettings { upstream: 0, method, path, body, headers }), Some(upstream))
        }
    };
    if flags.rate == Some(0.0) || flags.weight_rate == Some(0.0) {
        return Err("a rate of zero: no line would ever begin".to_owned());
    }
    let is_stdin = flags.input == Path::new("-");
    let output = match (&flags.out, is_stdin) {
        (Some(out), _) => out.clone(),
        (None, false) => output_of(&flags.input),
        (None, true) => return Err("--out FILE says where answers go when stdin is read".into()),
    };
    let dead = match (&flags.dead, is_stdout(&output), is_stdin) {
        (None, true, true) => {
            return Err("--dead FILE says where lines go that failed: stdin and stdout have no \
                        name"
                .into());
        }
        // Beside the input: the output has no place.
        (None, true, false) => Some(with_suffix(&flags.input, ".dead")),
        (dead, ..) => dead.clone(),
    };
    let stop_above = flags.stop_above.as_deref().map(failures_of).transpose();
    let job = JobSettings {
        name: if is_stdin { "stdin".into() } else { name_of(&flags.input) },
        input: flags.input.clone(),
        output,
        dead,
        begins: Begins::ByHand,
        catch_up: CatchUp::default(),
        when_done: WhenDone::default(),
        run: None,
        priority: 0,
        attempts_max: 1,
        at_once: None,
        on_done: None,
        on_failed: None,
        send,
        keep,
        in_flight_max: flags.concurrency as usize,
        per_second: flags.rate,
        weight: flags
            .weight_rate
            .map(|per_second| Weight { per_second, of: weight_of(&flags.weight) }),
        give_up: flags.give_up,
        failures_max: stop_above.map_err(|why| format!("--stop-above is {why}"))?,
        is_letters: flags.letters,
        is_ordered: flags.ordered,
        is_at_most_once: flags.at_most_once,
        answers: if flags.raw { Answers::Raw } else { Answers::Numbered },
        sync: match flags.sync {
            SyncWhen::Checkpoint => Sync::Checkpoint,
            SyncWhen::Line => Sync::Record,
            SyncWhen::Never => Sync::Never,
        },
        line_bytes_max: MIB,
        answer_bytes_max: MIB,
    };
    Ok((job, to))
}

fn name_of(input: &Path) -> Arc<str> {
    input.file_name().map_or_else(|| input.to_string_lossy(), |name| name.to_string_lossy()).into()
}

/// Reads `METHOD http://host:port/path`, or `METHOD /path` if an upstream is named.
fn request(to: &str, upstream: Option<&str>) -> Result<(Method, String, String), String> {
    let form = match upstream {
        Some(_) => "`METHOD /path` is wanted, since --upstream says where",
        None => "`METHOD http://host:port/path` is wanted, or --upstream NAME and a path",
    };
    let bad = || format!("--to '{to}': {form}");
    let (method, target) = to.trim().split_once(' ').ok_or_else(bad)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad())?;
    let target = target.trim_start();
    let (upstream, path) = match upstream {
        Some(name) => (name, target),
        None => {
            let host = target.find("://").map(|at| at + 3).ok_or_else(bad)?;
            let end = target[host..].find(['/', '?']).map_or(target.len(), |at| host + at);
            (&target[..end], &target[end..])
        }
    };
    let path = if path.is_empty() { "/" } else { path };
    if !path.starts_with('/') {
        return Err(bad());
    }
    Ok((method, upstream.to_owned(), path.to_owned()))
}

const MIB: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_method_and_a_place() {
        let check = |to: &str, upstream: Option<&str>, expected: (&str, &str, &str)| {
            let (method, place, path) = request(to, upstream).unwrap();
            assert_eq!((method.as_str(), &*place, &*path), expected);
        };
        check("GET http://a:1/b/{line}?c", None, ("GET", "http://a:1", "/b/{line}?c"));
        check("GET  http://a:1", None, ("GET", "http://a:1", "/"));
        check("POST /b", Some("weather"), ("POST", "weather", "/b"));
        for (to, upstream) in [
            ("http://a:1/", None),
            ("GET /b", None),
            ("GET http://a:1/", Some("weather")),
            ("GET http://a:1?b", None),
            ("G{}T http://a:1/", None),
            ("", None),
        ] {
            let why = request(to, upstream).unwrap_err();
            assert!(why.contains("is wanted"), "{why}");
        }
    }
}
