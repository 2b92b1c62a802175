//! `seawall job`: runs a job of the settings here, or shows how far it is and what failed; asks
//! the running server for all else.
//!
//! Does not know: how a run works.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use seawall_admin::{JobRequest, NewRun};
use seawall_settings::{Begins, JobSettings, Settings};
use serde_json::{Value as Json, json};

use super::map::run_here;
use super::remote::Remote;
use super::way::names;
use super::way::upstream_of;
use super::{Console, job_remote, load};
use crate::cli::{Global, JobAction, JobCommand};
use crate::exit::Exit;
use crate::jobs::Seen;
use crate::jobs::server;

pub(super) fn job(global: &Global, flags: &JobCommand, console: &Console) -> Exit {
    let asked = match &flags.action {
        JobAction::Run { name, detach: true, input, out, .. } => {
            let absolute = |path: &Option<PathBuf>| {
                path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            };
            let with = NewRun { path: absolute(input), output: absolute(out), ..NewRun::default() };
            Some(JobRequest::Run { job: name.clone(), with })
        }
        JobAction::Pause { id } => Some(JobRequest::Pause { id: *id }),
        JobAction::Resume { failed: Some(job), .. } => {
            Some(JobRequest::ResumeFailed { job: job.clone() })
        }
        JobAction::Resume { id, .. } => id.map(|id| JobRequest::Resume { id }),
        JobAction::Cancel { id } => Some(JobRequest::Cancel { id: *id }),
        _ => None,
    };
    try_job(global, flags, asked, console).unwrap_or_else(|exit| exit)
}

fn try_job(
    global: &Global,
    flags: &JobCommand,
    asked: Option<JobRequest>,
    console: &Console,
) -> Result<Exit, Exit> {
    let remote = || Remote::find(global, flags.admin, console);
    if let Some(ask) = asked {
        return Ok(remote()?.change("POST /jobs", &json!(ask), console));
    }
    let number = |job: &str| job.parse::<i64>().ok();
    match &flags.action {
        JobAction::Ls { state, limit } => {
            let ask = JobRequest::List { job: None, state: state.clone(), limit: Some(*limit) };
            // What the files say can be said without a server, but for one that is meant.
            let said = match (flags.admin, remote()?.ask_unless_none(&json!(ask), console)?) {
                (_, Ok(said)) => said,
                (None, Err(_)) if state.is_none() => return list_here(global, console),
                (_, Err(none)) => return Err(none.tell(console)),
            };
            Ok(job_remote::list(&said, console))
        }
        JobAction::Show { job } => match number(job) {
            Some(id) => Ok(job_remote::show(&remote()?, id, console)),
            None => here(global, flags, console),
        },
        JobAction::Failed { job, limit } => match number(job) {
            Some(id) => {
                let path = job_remote::dead_letters(&remote()?, id, console)?;
                Ok(failed(&path, *limit, console))
            }
            None => here(global, flags, console),
        },
        _ => here(global, flags, console),
    }
}

/// Does what needs the settings and the files of a job, and no server.
fn here(global: &Global, flags: &JobCommand, console: &Console) -> Result<Exit, Exit> {
    let loaded = load(global, console)?;
    let settings = &loaded.settings;
    let found = |name: &str| {
        let found = settings.jobs.iter().find(|job| *job.name == *name);
        found.ok_or_else(|| {
            let all = settings.jobs.iter().map(|job| &*job.name).collect();
            console.error(&format!("no job `{name}`: {}", names(all)), None);
            Exit::Usage
        })
    };
    let one_file = |job: &JobSettings| match job.begins {
        Begins::WithFiles => {
            let folder = job.input.display();
            let why = format!("job `{}` reads the files of {folder}: which one?", job.name);
            console.error(&why, Some("`seawall job ls` lists its runs, `seawall run` begins them"));
            Err(Exit::Usage)
        }
        Begins::ByHand | Begins::At(_) => Ok(()),
    };
    match &flags.action {
        JobAction::Run { name, steer, input, out, .. } => {
            let job = found(name)?;
            let other = input.as_ref().map(|input| over(job, input, out.as_deref()));
            if other.is_none() {
                one_file(job)?;
            }
            let job = other.as_ref().unwrap_or(job);
            let upstream = job.send.as_ref().map(|send| &settings.upstreams[send.upstream].name);
            let way = upstream.map(|name| upstream_of(global, name, None, console)).transpose();
            let way = way.map_err(|(why, exit)| {
                console.error(&why, None);
                exit
            })?;
            Ok(run_here(job, way, steer, console))
        }
        JobAction::Show { job } => {
            let job = found(job)?;
            match job.begins {
                Begins::ByHand => Ok(show(job, settings, console)),
                // Each of its runs has files of its own, and the server knows which.
                Begins::At(_) | Begins::WithFiles => {
                    let remote = Remote::find(global, flags.admin, console)?;
                    let id = job_remote::last(&remote, &job.name, console)?;
                    Ok(job_remote::show(&remote, id, console))
                }
            }
        }
        JobAction::Failed { job, limit } => {
            let job = found(job)?;
            one_file(job)?;
            Ok(failed(&job.files().dead, *limit, console))
        }
        _ => Ok(Exit::Bug),
    }
}

/// Makes the job over another file, with answers beside its own.
fn over(job: &JobSettings, input: &Path, out: Option<&Path>) -> JobSettings {
    let name = input.file_name().unwrap_or(input.as_os_str());
    let beside = |path: &Path, ending: &str| {
        let mut own = match job.begins {
            Begins::WithFiles => path.join(name).into_os_string(),
            Begins::ByHand | Begins::At(_) => path.as_os_str().to_owned(),
        };
        match job.begins {
            Begins::WithFiles => own.push(ending),
            Begins::ByHand | Begins::At(_) => {
                own.push(".");
                own.push(name);
            }
        }
        PathBuf::from(own)
    };
    JobSettings {
        input: input.to_owned(),
        output: out.map_or_else(|| beside(&job.output, ".out"), Path::to_owned),
        dead: match out {
            Some(_) => None,
            None => job.dead.as_deref().map(|dead| beside(dead, ".dead")),
        },
        begins: Begins::ByHand,
        ..job.clone()
    }
}

/// Lists the jobs of the settings, and what their files say.
fn list_here(global: &Global, console: &Console) -> Result<Exit, Exit> {
    let loaded = load(global, console)?;
    let jobs = loaded.settings.jobs.iter().map(|job| match job.begins {
        Begins::ByHand => {
            let (state, why, share) = match Seen::of(job) {
                Ok(seen) => (Some(seen.state), seen.why().map(str::to_owned), seen.share),
                Err(error) => (None, Some(format!("cannot look at its files: {error}")), None),
            };
            server::listed(job, state, why, share)
        }
        Begins::At(_) | Begins::WithFiles => server::listed(job, None, None, None),
    });
    let document = json!({ "schema": 1, "jobs": jobs.collect::<Vec<_>>(), "runs": null });
    let exit = job_remote::list(&document, console);
    console.note("no server is running: its runs are not listed");
    Ok(exit)
}

/// Says what the files of a job's run say of it.
fn show(job: &JobSettings, settings: &Settings, console: &Console) -> Exit {
    let files = job.files();
    let seen = match Seen::of(job) {
        Ok(seen) => seen,
        Err(error) => {
            let state = files.state();
            console.error(&format!("cannot look at {}: {error}", state.display()), None);
            return Exit::Open;
        }
    };
    let (kept, share) = (&seen.kept, seen.share);
    if console.json {
        console.document(&json!({
            "schema": 1,
            "job": &*job.name,
            "state": seen.state,
            "why": seen.why(),
            "run": kept.as_ref().map(|kept| &kept.run),
            "share": share,
            "ok": kept.as_ref().map(|kept| kept.counts.output),
            "dead": kept.as_ref().map(|kept| kept.counts.dead),
            "filtered": kept.as_ref().map(|kept| kept.counts.filtered),
            "first_unfinished": kept.as_ref().map(|kept| kept.sequence),
            "input": job.input,
            "output": job.output,
            "dead_letter": files.dead,
        }));
        return Exit::Done;
    }
    let mut rows =
        vec![["job", &*job.name].map(str::to_owned), ["state", seen.state].map(str::to_owned)];
    let mut row = |word: &str, text: String| rows.push([word.to_owned(), text]);
    if let Some(why) = seen.why() {
        row("why", why.to_owned());
    }
    if let Some(share) = share {
        row("done", format!("{:.1} %", share * 100.0));
    }
    if let Some(kept) = kept {
        row("ok", kept.counts.output.to_string());
        row("dead", kept.counts.dead.to_string());
        row("filtered", kept.counts.filtered.to_string());
        if !kept.is_finished {
            row("next", format!("line {}", kept.sequence + 1));
        }
    }
    row("input", job.input.display().to_string());
    row("output", job.output.display().to_string());
    row("failed", files.dead.display().to_string());
    if let Some(send) = &job.send {
        let upstream = &settings.upstreams[send.upstream].name;
        row("sends", format!("{} {} to {upstream}", send.method, send.path));
    }
    console.table(&rows);
    Exit::Done
}

/// Lists the lines that failed.
fn failed(path: &Path, limit: usize, console: &Console) -> Exit {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            console.note(&format!("no line failed: there is no {}", path.display()));
            return Exit::Done;
        }
        Err(error) => {
            console.error(&format!("cannot open {}: {error}", path.display()), None);
            return Exit::Open;
        }
    };
    // The last line may be half written: the run may be under way.
    let letters = BufReader::new(file).lines().map_while(Result::ok);
    let letters = letters.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
    let letters: Vec<_> = letters.take(limit).collect();
    if console.json {
        console.document(&json!({ "schema": 1, "file": path, "failed": letters }));
        return Exit::Done;
    }
    let heading = ["LINE", "STATUS", "ATTEMPTS", "REASON", "TEXT"].map(str::to_owned);
    let rows = letters.iter().map(|letter| {
        let number = |key: &str| letter[key].as_u64().unwrap_or(0);
        let text = |key: &str| letter[key].as_str().unwrap_or_default();
        let line = if letter["line"].is_null() { text("line_b64") } else { text("line") };
        [
            (number("seq") + 1).to_string(),
            number("status").to_string(),
            number("attempts").to_string(),
            shortened(text("reason"), 60),
            shortened(line, 60),
        ]
    });
    console.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    if letters.len() == limit {
        console.note(&format!("only the first {limit}: {} has all", path.display()));
    }
    Exit::Done
}

fn shortened(text: &str, chars: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
