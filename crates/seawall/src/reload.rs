//! Reads the settings again and puts them in force, or leaves everything as it was.
//!
//! Does not know who asked: a changed file, SIGHUP, `seawall reload`. Invariant: settings that are
//! refused change nothing but what is said about them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use seawall_core::{Event, Observer};
use seawall_gateway::Gateway;
use seawall_watch::Recorder;
use tracing::warn;

use crate::files;
use crate::jobs::Plan;
use crate::settings::{self, Loaded, Meant, Problem, Report, Severity, Source, Text};
use crate::state::{Refused, Reloaded, State};
use crate::targets::Targets;

/// Keeps what is in force, and changes it.
pub(crate) struct Reloader {
    /// Where the settings come from.
    pub(crate) source: Source,
    /// Whether warnings refuse, too.
    pub(crate) strict: bool,
    /// How many files may be open.
    pub(crate) files: u64,
    /// What takes the routes.
    pub(crate) gateway: Gateway,
    /// What takes the upstreams.
    pub(crate) targets: Targets,
    /// What takes the jobs; `None` if there was none when this process started.
    pub(crate) jobs: Option<Arc<ArcSwap<Plan>>>,
    /// How jobs were worked off at the start; it needs a restart to change.
    pub(crate) worker: String,
    /// Numbers the routes.
    pub(crate) recorder: Arc<Recorder>,
    /// Is told what happened.
    pub(crate) observer: Arc<dyn Observer>,
    /// Is shown.
    pub(crate) state: Arc<State>,
    /// The ports that were bound at the start.
    pub(crate) bound: Bound,
    /// The generation in force.
    pub(crate) generation: u64,
    /// What was remarked on the settings in force; it is not said again as long as it holds.
    pub(crate) remarks: Vec<String>,
    /// What was read last, taken or not.
    pub(crate) text: Text,
    /// What the file looked like when it was last looked at.
    pub(crate) seen: Seen,
}

/// Holds the addresses that the settings asked for at the start; they need a restart to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// `server.listen`, unless a flag stood in for it.
    pub(crate) listen: Option<SocketAddr>,
    /// `admin.listen`, unless a flag stood in for it.
    pub(crate) admin: Option<SocketAddr>,
}

/// Holds what a file looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    stamp: Option<Stamp>,
    /// Whether the file has changed and is waited for to come to rest.
    is_moving: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Seen {
    /// Looks at the file for the first time.
    pub(crate) fn first(source: &Source) -> Self {
        Self { stamp: stamp(source), is_moving: false }
    }

    /// Looks again; returns whether it has changed and come to rest since, so that a file that is
    /// being written is not read in the middle.
    fn look(&mut self, stamp: Option<Stamp>) -> bool {
        let has_moved = stamp != self.stamp;
        let has_come_to_rest = self.is_moving && !has_moved && stamp.is_some();
        self.stamp = stamp;
        self.is_moving = has_moved || (self.is_moving && !has_come_to_rest);
        has_come_to_rest
    }
}

fn stamp(source: &Source) -> Option<Stamp> {
    let Source::File(path) = source else { return None };
    let seen = fs::metadata(path).ok()?;
    Some(Stamp {
        device: seen.dev(),
        inode: seen.ino(),
        bytes: seen.len(),
        modified: (seen.mtime(), seen.mtime_nsec()),
    })
}

impl Reloader {
    /// Looks whether the file has changed, and if so, reloads.
    pub(crate) fn poll(&mut self) {
        if !self.seen.look(stamp(&self.source)) {
            return;
        }
        // Touched, or written with the same words.
        if self.source.read().is_ok_and(|text| text == self.text) {
            return;
        }
        self.reload();
    }

    /// Reads the settings again and puts them in force, or leaves everything as it was.
    pub(crate) fn reload(&mut self) -> Reloaded {
        match self.try_reload() {
            Ok((restart_needed, warnings)) => {
                self.generation += 1;
                let generation = self.generation;
                self.state.note_settings(|settings| {
                    settings.generation = generation;
                    settings.refused = None;
                    settings.restart_needed.clone_from(&restart_needed);
                });
                self.observer.on(&Event::SettingsLoaded { generation });
                Reloaded { generation, refused: None, restart_needed, warnings }
            }
            Err(report) => {
                let refused = refused(&report);
                let shown = refused.brief.clone();
                self.state.note_settings(|settings| settings.refused = Some(shown));
                self.observer.on(&Event::SettingsRefused { errors: refused.errors });
                let (generation, brief) = (self.generation, &*refused.brief);
                warn!(event = "settings.kept", generation, brief, "the old settings keep serving");
                Reloaded {
                    generation,
                    refused: Some(refused),
                    restart_needed: None,
                    warnings: String::new(),
                }
            }
        }
    }

    fn try_reload(&mut self) -> Result<(Option<String>, String), Report> {
        let text = text(&self.source)?;
        self.text = text.clone();
        let Loaded { mut meant, warnings, .. } = read(text, self.strict)?;
        let remarks = remarks(&mut meant, &warnings, self.files);
        let refuse = |why: String| {
            let mut report = Report::new(self.text.clone());
            report.add(Problem::error(why));
            report
        };
        let prepared = self.targets.prepare(&meant).map_err(|bad| refuse(bad.to_string()))?;
        let routes = gateway_settings(&meant, &prepared.targets(), &self.recorder);
        self.gateway.reload(routes).map_err(|bad| refuse(bad.to_string()))?;
        let plan = Plan::new(&meant, &prepared.targets());
        self.targets.commit(prepared);
        if let Some(jobs) = &self.jobs {
            jobs.store(Arc::new(plan));
        }
        for remark in remarks.iter().filter(|remark| !self.remarks.contains(remark)) {
            warn!(event = "settings.warned", "{}", remark.trim_end());
        }
        self.remarks = remarks;
        Ok((self.restart_needed(&meant), warnings.human(false)))
    }
}

impl Reloader {
    /// Says what takes effect only after a restart.
    fn restart_needed(&self, meant: &Meant) -> Option<String> {
        let jobs = match &self.jobs {
            None if !meant.jobs.is_empty() => {
                Some("there are jobs in the file, and there was none at the start".to_owned())
            }
            Some(_) if format!("{:?}", meant.worker) != self.worker => {
                Some("[worker] is not what it was at the start".to_owned())
            }
            _ => None,
        };
        let all: Vec<_> = self.bound.restart_needed(meant).into_iter().chain(jobs).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Bound {
    fn restart_needed(self, meant: &Meant) -> Option<String> {
        let asked = [
            ("server.listen", self.listen, meant.server.listen),
            ("admin.listen", self.admin, meant.admin.listen),
        ];
        let moved = asked.iter().filter_map(|(key, bound, wanted)| {
            let bound = bound.filter(|bound| bound != wanted)?;
            Some(format!("{key} is {wanted} in the file, and {bound} since the start"))
        });
        let moved: Vec<String> = moved.collect();
        (!moved.is_empty()).then(|| moved.join("; "))
    }
}

/// Reads the text of settings.
pub(crate) fn text(source: &Source) -> Result<Text, Report> {
    source.read().map_err(|unreadable| {
        let mut report = Report::new(Text { name: source.name(), text: "".into() });
        let help = unreadable.is_missing.then(|| "`seawall init` writes one".to_owned());
        report.add(Problem::error(unreadable.to_string()).help_if(help));
        report
    })
}

/// Reads settings from a text that was read once, so that what is compared is what is taken.
pub(crate) fn read(text: Text, strict: bool) -> Result<Loaded, Report> {
    let loaded = settings::load_text(text, &|name| std::env::var(name).ok())?;
    if strict && !loaded.warnings.is_empty() {
        return Err(loaded.warnings);
    }
    Ok(loaded)
}

/// Fits settings to the files that may be open, and returns what there is to remark on them.
pub(crate) fn remarks(meant: &mut Meant, warnings: &Report, files: u64) -> Vec<String> {
    let lowered = files::fit(&mut meant.server.gateway.limits, files);
    let warnings = (!warnings.is_empty()).then(|| warnings.human(false));
    warnings.into_iter().chain(lowered.map(|lowered| format!("warning: {lowered}"))).collect()
}

/// Returns what the gateway is told.
pub(crate) fn gateway_settings(
    meant: &Meant,
    targets: &[Arc<seawall_gateway::Target>],
    recorder: &Recorder,
) -> seawall_gateway::Settings {
    meant.gateway(targets, |route| recorder.name_route(&route.name))
}

fn refused(report: &Report) -> Refused {
    Refused {
        // With `--strict` there may be warnings only, and they are what refuses.
        errors: match report.count(Severity::Error) {
            0 => report.problems().len(),
            errors => errors,
        },
        brief: report.brief(),
        human: report.human(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(bytes: u64) -> Option<Stamp> {
        Some(Stamp { device: 1, inode: 1, bytes, modified: (0, 0) })
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let mut seen = Seen { stamp: stamped(1), is_moving: false };
        assert!(!seen.look(stamped(1)), "nothing changed");
        assert!(!seen.look(stamped(2)), "it moves");
        assert!(!seen.look(stamped(3)), "it still moves");
        assert!(seen.look(stamped(3)), "it has come to rest");
        assert!(!seen.look(stamped(3)), "it is told once");
    }

    #[test]
    fn a_file_that_is_replaced_is_not_missed_while_it_is_gone() {
        let mut seen = Seen { stamp: stamped(1), is_moving: false };
        assert!(!seen.look(None));
        assert!(!seen.look(None), "a file that is gone is not read");
        assert!(!seen.look(stamped(2)));
        assert!(seen.look(stamped(2)));
    }

    #[test]
    fn a_moved_port_needs_a_restart_unless_a_flag_stood_in() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let bound = Bound { listen: Some(at(1)), admin: None };
        let text = crate::demo::source().read().expect("it is in the binary");
        let mut meant = read(text, true).expect("the demo's settings are sound").meant;
        meant.server.listen = at(2);
        let needed = bound.restart_needed(&meant).expect("the port moved");
        assert_eq!(
            needed,
            "server.listen is 127.0.0.1:2 in the file, and 127.0.0.1:1 since the start"
        );
        meant.server.listen = at(1);
        assert_eq!(bound.restart_needed(&meant), None);
    }
}
