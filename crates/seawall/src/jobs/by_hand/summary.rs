//! How a run ended: for people, as JSON, and as an exit code.
//!
//! Does not know: flags. The codes are those of the one table (decision 6, decision 12).

use std::path::Path;
use std::time::Duration;

use seawall_worker::{LineCounts, RunConclusion, RunError, RunSummary, Settings};
use serde_json::{Value as Json, json};

use super::show::{clock, grouped};
use crate::exit::Exit;

/// How a run ended.
pub(crate) struct Outcome<'a> {
    pub(crate) name: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) ended: &'a Result<RunSummary, RunError>,
    /// How lines ended so far, in all sessions; nothing if it was not found out.
    pub(crate) counts: Option<LineCounts>,
    pub(crate) retries: u64,
    pub(crate) attempts: u64,
    /// How lines ended in this session.
    pub(crate) session: LineCounts,
    pub(crate) took: Duration,
}

/// Returns the code for how a run ended.
pub(crate) fn exit_of(ended: &Result<RunSummary, RunError>) -> Exit {
    match ended {
        Ok(summary) => match summary.ended {
            RunConclusion::Finished | RunConclusion::WasFinished if summary.counts.dead > 0 => {
                Exit::No
            }
            RunConclusion::Finished | RunConclusion::WasFinished => Exit::Done,
            RunConclusion::Stopped | RunConclusion::TooManyFailures => Exit::Stopped,
        },
        Err(RunError::Changed { .. } | RunError::SameFile { .. } | RunError::Unfillable(_)) => {
            Exit::Settings
        }
        Err(RunError::Open { .. } | RunError::Locked { .. }) => Exit::Open,
        // Started again, it would come to the same.
        Err(error) if error.is_lasting() => Exit::Open,
        Err(_) => Exit::Stopped,
    }
}

impl Outcome<'_> {
    /// Returns one word for it.
    pub(crate) const fn status(&self) -> &'static str {
        match self.ended {
            Ok(summary) => match summary.ended {
                RunConclusion::Finished => "finished",
                RunConclusion::WasFinished => "was_finished",
                RunConclusion::Stopped => "stopped",
                RunConclusion::TooManyFailures => "too_many_failures",
            },
            Err(RunError::Changed { .. }) => "changed",
            Err(RunError::Locked { .. }) => "locked",
            Err(_) => "failed",
        }
    }

    /// Tells people.
    pub(crate) fn text(&self) -> String {
        let Self { name, settings, retries, took, .. } = self;
        let (counts, now) = (self.counts.unwrap_or_default(), self.session.lines());
        let per_second = now as f64 / took.as_secs_f64().max(1e-9);
        let mut text = match self.ended {
            Ok(RunSummary { ended: RunConclusion::WasFinished, .. }) => {
                format!("{name}: already finished, nothing to do")
            }
            _ => format!(
                "{name}: {} lines in {} ({}/s)",
                grouped(now),
                lasted(*took),
                grouped(per_second.round() as u64)
            ),
        };
        if counts.lines() > now && now > 0 {
            text += &format!(", {} with those before", grouped(counts.lines()));
        }
        let mut row = |word: &str, number: u64, of: &str| {
            let line = format!("\n  {word:<9} {:>12}  {of}", grouped(number));
            text += line.trim_end();
        };
        row("ok", counts.output, &shown(&settings.output));
        if counts.dead > 0 {
            row("dead", counts.dead, &shown(&settings.dead));
        }
        if counts.filtered > 0 {
            row("filtered", counts.filtered, "");
        }
        if *retries > 0 {
            row("retries", *retries, "in this session");
        }
        if let Ok(RunSummary { resumed_from: Some(from), damage, .. }) = self.ended {
            text += &format!("\nresumed at line {}", grouped(from.sequence + 1));
            if let Some(damage) = damage {
                text += &format!("; {damage}: made good by sending lines again");
            }
        }
        text
    }

    /// Says what is to be done next; nothing if nothing is.
    pub(crate) fn help(&self) -> Option<String> {
        match self.ended {
            Ok(RunSummary { ended: RunConclusion::Stopped, .. }) => {
                Some("run the same command again to resume".to_owned())
            }
            Ok(RunSummary { ended: RunConclusion::TooManyFailures, .. }) => {
                let dead = shown(&self.settings.dead);
                Some(format!("{dead} says why; run the same command with a higher limit to resume"))
            }
            Err(RunError::Changed { .. }) => Some(
                "`--force-resume` resumes anyway; `--anew` discards that run and starts over"
                    .to_owned(),
            ),
            Err(RunError::OutputChanged { .. }) => {
                Some("`--anew` discards that run and starts over".to_owned())
            }
            Err(RunError::Unfillable(_)) => {
                Some("`--dry-run` shows what would be sent; nothing was written".to_owned())
            }
            _ => None,
        }
    }

    /// Tells programs.
    pub(crate) fn document(&self) -> Json {
        let Self { name, settings, counts, session, .. } = self;
        let summary = self.ended.as_ref().ok();
        json!({
            "schema": 1,
            "run": name,
            "status": self.status(),
            "error": self.ended.as_ref().err().map(ToString::to_string),
            "input": shown(&settings.input),
            "output": shown(&settings.output),
            "dead_letter": shown(&settings.dead),
            "lines": counts.map(|counts| counts.lines()),
            "ok": counts.map(|counts| counts.output),
            "dead": counts.map(|counts| counts.dead),
            "filtered": counts.map(|counts| counts.filtered),
            "resumed_from": summary.and_then(|summary| summary.resumed_from).map(|at| at.sequence),
            "damage": summary.and_then(|summary| summary.damage.clone()),
            "session": {
                "lines": session.lines(),
                "ok": session.output,
                "dead": session.dead,
                "filtered": session.filtered,
                "attempts": self.attempts,
                "retries": self.retries,
                "wall_s": self.took.as_secs_f64(),
            },
            "exit": exit_of(self.ended).code(),
        })
    }
}

/// Writes how long it took: seconds as they are, more as a clock has it.
fn lasted(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds => clock(seconds),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
