//! `seawall job`: runs a job of the settings here, or shows how far it is and what failed; asks
//! the running server for all else.
//!
//! Does not know: how a run works.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Value as Json, json};

use super::map::{run_here, way};
use super::remote::Remote;
use super::way::names;
use super::{Talk, job_remote, load};
use crate::cli::{Global, JobAction, JobCommand};
use crate::exit::Exit;
use crate::jobs::Ask;
use crate::settings::{Begins, JobMeant, Meant};

pub(super) fn job(global: &Global, flags: &JobCommand, talk: &Talk) -> Exit {
    let asked = match &flags.action {
        JobAction::Run { name, detach: true, .. } => Some(Ask::Run { job: name.clone() }),
        JobAction::Pause { id } => Some(Ask::Pause { id: *id }),
        JobAction::Resume { id } => Some(Ask::Resume { id: *id }),
        JobAction::Cancel { id } => Some(Ask::Cancel { id: *id }),
        _ => None,
    };
    try_job(global, flags, asked, talk).unwrap_or_else(|exit| exit)
}

fn try_job(
    global: &Global,
    flags: &JobCommand,
    asked: Option<Ask>,
    talk: &Talk,
) -> Result<Exit, Exit> {
    let remote = || Remote::find(global, flags.admin, talk);
    if let Some(ask) = asked {
        return Ok(remote()?.change("POST /jobs", &json!(ask), talk));
    }
    let number = |job: &str| job.parse::<i64>().ok();
    match &flags.action {
        JobAction::Ls { state, limit } => {
            Ok(job_remote::list(&remote()?, state.clone(), *limit, talk))
        }
        JobAction::Show { job } => match number(job) {
            Some(id) => Ok(job_remote::show(&remote()?, id, talk)),
            None => here(global, flags, talk),
        },
        JobAction::Failed { job, limit } => match number(job) {
            Some(id) => {
                let path = job_remote::dead_letters(&remote()?, id, talk)?;
                Ok(failed(&path, *limit, talk))
            }
            None => here(global, flags, talk),
        },
        _ => here(global, flags, talk),
    }
}

/// Does what needs the settings and the files of a job, and no server.
fn here(global: &Global, flags: &JobCommand, talk: &Talk) -> Result<Exit, Exit> {
    let loaded = load(global, talk)?;
    let meant = &loaded.meant;
    let found = |name: &str| {
        let found = meant.jobs.iter().find(|job| *job.name == *name);
        found.ok_or_else(|| {
            let all = meant.jobs.iter().map(|job| &*job.name).collect();
            talk.error(&format!("no job `{name}`: {}", names(all)), None);
            Exit::Usage
        })
    };
    let one_file = |job: &JobMeant| match job.begins {
        Begins::WithFiles => {
            let folder = job.input.display();
            let why = format!("job `{}` reads the files of {folder}: which one?", job.name);
            talk.error(&why, Some("`seawall job ls` lists its runs, `seawall run` begins them"));
            Err(Exit::Usage)
        }
        Begins::ByHand | Begins::At(_) => Ok(()),
    };
    match &flags.action {
        JobAction::Run { name, steer, .. } => {
            let job = found(name)?;
            one_file(job)?;
            let upstream = job.send.as_ref().map(|send| &meant.upstreams[send.upstream].name);
            let way = upstream.map(|name| way(global, name, None, talk)).transpose();
            let way = way.map_err(|(why, exit)| {
                talk.error(&why, None);
                exit
            })?;
            Ok(run_here(job, way, steer, talk))
        }
        JobAction::Show { job } => {
            let job = found(job)?;
            one_file(job)?;
            Ok(show(job, meant, talk))
        }
        JobAction::Failed { job, limit } => {
            let job = found(job)?;
            one_file(job)?;
            Ok(failed(&job.files().dead, *limit, talk))
        }
        _ => Ok(Exit::Bug),
    }
}

/// Says what the files of a job's run say of it.
fn show(job: &JobMeant, meant: &Meant, talk: &Talk) -> Exit {
    let settings = job.files();
    let kept = match seawall_worker::look(&settings) {
        Ok(kept) => kept,
        Err(error) => {
            let state = settings.state();
            talk.error(&format!("cannot look at {}: {error}", state.display()), None);
            return Exit::Open;
        }
    };
    let length = std::fs::metadata(&job.input).map(|metadata| metadata.len()).ok();
    let share = kept.as_ref().zip(length).and_then(|(kept, length)| match kept.is_finished {
        true => Some(1.0),
        // A compressed file's offsets are those of what is in it.
        false => (length >= kept.offset && length > 0).then(|| kept.offset as f64 / length as f64),
    });
    let state = match &kept {
        None => "not begun",
        Some(kept) if kept.is_finished => "finished",
        Some(kept) if kept.is_running => "running",
        Some(_) => "stopped",
    };
    if talk.json {
        talk.document(&json!({
            "schema": 1,
            "job": &*job.name,
            "state": state,
            "run": kept.as_ref().map(|kept| &kept.run),
            "share": share,
            "ok": kept.as_ref().map(|kept| kept.counts.output),
            "dead": kept.as_ref().map(|kept| kept.counts.dead),
            "filtered": kept.as_ref().map(|kept| kept.counts.filtered),
            "first_unfinished": kept.as_ref().map(|kept| kept.sequence),
            "input": job.input,
            "output": job.output,
            "dead_letter": settings.dead,
        }));
        return Exit::Done;
    }
    let mut rows =
        vec![["job", &*job.name].map(str::to_owned), ["state", state].map(str::to_owned)];
    let mut row = |word: &str, text: String| rows.push([word.to_owned(), text]);
    if let Some(share) = share {
        row("done", format!("{:.1} %", share * 100.0));
    }
    if let Some(kept) = &kept {
        row("ok", kept.counts.output.to_string());
        row("dead", kept.counts.dead.to_string());
        row("filtered", kept.counts.filtered.to_string());
        if !kept.is_finished {
            row("next", format!("line {}", kept.sequence + 1));
        }
    }
    row("input", job.input.display().to_string());
    row("output", job.output.display().to_string());
    row("failed", settings.dead.display().to_string());
    if let Some(send) = &job.send {
        let upstream = &meant.upstreams[send.upstream].name;
        row("sends", format!("{} {} to {upstream}", send.method, send.path));
    }
    talk.table(&rows);
    Exit::Done
}

/// Lists the lines that failed.
fn failed(path: &Path, limit: usize, talk: &Talk) -> Exit {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            talk.note(&format!("no line failed: there is no {}", path.display()));
            return Exit::Done;
        }
        Err(error) => {
            talk.error(&format!("cannot open {}: {error}", path.display()), None);
            return Exit::Open;
        }
    };
    // The last line may be half written: the run may be under way.
    let letters = BufReader::new(file).lines().map_while(Result::ok);
    let letters = letters.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
    let letters: Vec<_> = letters.take(limit).collect();
    if talk.json {
        talk.document(&json!({ "schema": 1, "file": path, "failed": letters }));
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
    talk.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    if letters.len() == limit {
        talk.note(&format!("only the first {limit}: {} has all", path.display()));
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
