//! Reads the settings again and puts them in force, or leaves everything as it was.
//!
//! Does not know who asked: a changed file, SIGHUP, `seawall reload`. Invariant: settings that are
//! refused change nothing but what is said about them.

use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use seawall_admin::{ORDERS_MAX, Refused, Reloaded, State};
use seawall_core::{Event, Observers, Secret, ServerEvent};
use seawall_gateway::{BadRoute, Gateway, Logged};
use seawall_settings::{
    self as settings, ListenerSettings, Loaded, LogTo, Settings, SettingsProblem, SettingsReport,
    Severity, Source, Text, WorkerSettings,
};
use seawall_upstream::Upstream;
use seawall_watch::{EventLog, Recorder, RequestOutput};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::files;
use crate::jobs::server::Plan;
use crate::upstreams::Upstreams;
use crate::watched::Watched;

/// Keeps what is in force, and changes it.
pub(crate) struct Reloader {
    /// Where the settings come from.
    pub(crate) watched: Watched,
    /// Whether warnings refuse, too.
    pub(crate) strict: bool,
    /// How many files may be open.
    pub(crate) files: u64,
    /// What takes the routes.
    pub(crate) gateway: Gateway,
    /// What takes the upstreams.
    pub(crate) upstreams: Upstreams,
    /// What takes the jobs; `None` if there was none when this process started.
    pub(crate) jobs: Option<Arc<ArcSwap<Plan>>>,
    /// The settings of the job worker at the start; it needs a restart to change.
    pub(crate) worker: WorkerSettings,
    /// What callers of the admin port must show; it needs a restart to change.
    pub(crate) token: Option<Secret>,
    /// Numbers the routes.
    pub(crate) recorder: Arc<Recorder>,
    /// Writes what happened, and requests where the settings say.
    pub(crate) log: Arc<EventLog>,
    /// Is told what happened.
    pub(crate) observers: Observers,
    /// Is shown.
    pub(crate) state: Arc<State>,
    /// The ports that were bound at the start.
    pub(crate) bound: Bound,
    /// The generation in force.
    pub(crate) generation: u64,
    /// What was remarked on the settings in force; it is not said again as long as it holds.
    pub(crate) remarks: Vec<String>,
    /// What was read last, taken or not; `None` if it could not be read.
    pub(crate) text: Option<Text>,
    /// What the settings in force serve.
    pub(crate) served: Served,
    /// How this server stops.
    pub(crate) stopping: Stopping,
    /// Who asked for a reload and waits for the file to come to rest.
    pub(crate) asked: VecDeque<ReloadRequest>,
}

/// How a server stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopping {
    /// How long it takes requests although it is not ready.
    pub(crate) lame_duck: Duration,
    /// How long it waits then for what is in flight.
    pub(crate) drain: Duration,
}

impl Stopping {
    /// Returns how settings want it.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { lame_duck: settings.server.lame_duck, drain: settings.server.drain }
    }
}

/// Who asked for a reload, and how.
pub(crate) struct ReloadRequest {
    is_forced: bool,
    reply: Option<oneshot::Sender<Reloaded>>,
    at: Instant,
}

/// Counts what settings serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    routes: usize,
    jobs: usize,
}

impl Served {
    /// Counts what settings serve.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { routes: settings.routes.len(), jobs: settings.jobs.len() }
    }

    /// Says what other settings would leave of it, if that is nothing or less than half: they may
    /// be a file that somebody has emptied or half written.
    fn lost_with(self, new: Self) -> Option<String> {
        let both = [("routes", self.routes, new.routes), ("jobs", self.jobs, new.jobs)];
        let lost = both.iter().filter(|(_, before, after)| after * 2 < *before);
        let lost: Vec<_> =
            lost.map(|(what, before, after)| format!("{after} of {before} {what}")).collect();
        (!lost.is_empty()).then(|| lost.join(" and "))
    }
}

/// The addresses that the settings asked for at the start; they need a restart to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The listeners, unless a flag or a service manager stood in for them.
    pub(crate) listeners: Option<Vec<ListenerSettings>>,
    /// `admin.listen`, unless a flag stood in for it.
    pub(crate) admin: Option<SocketAddr>,
}

impl Reloader {
    /// Looks whether the file has changed, and if so, reloads; looks whether it is gone, too.
    pub(crate) fn poll(&mut self) {
        let was_gone = self.watched.is_gone();
        let has_changed = self.watched.look();
        let (is_gone, generation) = (self.watched.is_gone(), self.generation);
        if is_gone != was_gone {
            self.state.note_settings(|settings| settings.is_missing = is_gone);
            match is_gone {
                true => warn!(
                    event = "settings.missing",
                    generation, "the settings file is gone: a restart would fail"
                ),
                false => info!(event = "settings.back", "the settings file is there again"),
            }
        }
        // Touched, or written with the same words.
        let source = self.watched.source();
        if has_changed && source.read().ok().as_ref() != self.text.as_ref() {
            self.reload(false);
        }
    }

    /// Takes the wish for a reload; dropping the reply tells who asked that there are too many.
    pub(crate) fn ask(&mut self, is_forced: bool, reply: Option<oneshot::Sender<Reloaded>>) {
        if self.asked.len() < ORDERS_MAX {
            self.asked.push_back(ReloadRequest { is_forced, reply, at: Instant::now() });
        }
    }

    /// Waits until somebody has asked for a reload and the file has come to rest.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the wish is still there.
    pub(crate) async fn rested(&self) {
        let Some(first) = self.asked.front() else { return pending().await };
        loop {
            let left = self.watched.rests_in();
            if left.is_zero() || first.at.elapsed() >= REST_WAIT_MAX {
                return;
            }
            sleep(left).await;
        }
    }

    /// Reloads for whoever asked first.
    pub(crate) fn answer(&mut self) {
        let Some(ReloadRequest { is_forced, reply, .. }) = self.asked.pop_front() else { return };
        let reloaded = match self.watched.rests_in().is_zero() {
            true => self.reload(is_forced),
            false => {
                let name = self.watched.source().name();
                let mut report = SettingsReport::new(Text { name: name.clone(), text: "".into() });
                report.add(SettingsProblem::error(format!("{name} is still being written")));
                self.refuse(&report)
            }
        };
        // Who asked may have gone.
        reply.map(|reply| reply.send(reloaded));
    }

    /// Reads the settings again and puts them in force, or leaves everything as it was.
    fn reload(&mut self, is_forced: bool) -> Reloaded {
        match self.try_reload(is_forced) {
            Ok((restart_needed, warnings)) => {
                self.generation += 1;
                let generation = self.generation;
                self.state.note_settings(|settings| {
                    settings.generation = generation;
                    settings.refused = None;
                    settings.restart_needed.clone_from(&restart_needed);
                });
                self.observers.tell(&Event::Server(&ServerEvent::SettingsLoaded { generation }));
                Reloaded { generation, refused: None, restart_needed, warnings }
            }
            Err(report) => self.refuse(&report),
        }
    }

    /// Says everywhere that settings were refused.
    fn refuse(&self, report: &SettingsReport) -> Reloaded {
        let refused = refused(report);
        let shown = refused.brief.clone();
        self.state.note_settings(|settings| settings.refused = Some(shown));
        self.observers
            .tell(&Event::Server(&ServerEvent::SettingsRefused { errors: refused.errors }));
        let (generation, brief) = (self.generation, &*refused.brief);
        warn!(event = "settings.kept", generation, brief, "the old settings keep serving");
        Reloaded {
            generation,
            refused: Some(refused),
            restart_needed: None,
            warnings: String::new(),
        }
    }

    fn try_reload(&mut self, is_forced: bool) -> Result<(Option<String>, String), SettingsReport> {
        self.text = None;
        let text = text(self.watched.source())?;
        self.text = Some(text.clone());
        let Loaded { mut settings, warnings, .. } = read(text.clone(), self.strict)?;
        let remarks = remarks(&mut settings, &warnings, self.files);
        let refuse = |why: String| refused_for(&text, SettingsProblem::error(why));
        let served = Served::new(&settings);
        if let Some(lost) = self.served.lost_with(served).filter(|_| !is_forced) {
            let problem = SettingsProblem::error(format!("only {lost} would be left"));
            return Err(refused_for(&text, problem.help("`seawall reload --force` takes it")));
        }
        let prepared = self.upstreams.prepare(&settings).map_err(|bad| refuse(bad.to_string()))?;
        let requests = requests(&settings).map_err(refuse)?;
        let routes = gateway_settings(&settings, &prepared.upstreams(), &self.recorder);
        routes
            .and_then(|routes| self.gateway.reload(routes))
            .map_err(|bad| refuse(bad.to_string()))?;
        let is_whole = settings.server.gateway.logged == Logged::All;
        self.log.requests().write_to(requests, is_whole);
        let plan = Plan::new(&settings, &prepared.upstreams());
        self.upstreams.commit(prepared);
        if let Some(jobs) = &self.jobs {
            jobs.store(Arc::new(plan));
        }
        for remark in remarks.iter().filter(|remark| !self.remarks.contains(remark)) {
            warn!(event = "settings.warned", "{}", remark.trim_end());
        }
        self.remarks = remarks;
        (self.served, self.stopping) = (served, Stopping::of(&settings));
        Ok((self.restart_needed(&settings), warnings.human(false)))
    }
}

impl Reloader {
    /// Says what takes effect only after a restart.
    fn restart_needed(&self, settings: &Settings) -> Option<String> {
        let jobs = match &self.jobs {
            None if !settings.jobs.is_empty() => {
                Some("there are jobs in the file, and there was none at the start".to_owned())
            }
            Some(_) if settings.worker != self.worker => {
                Some("[worker] is not what it was at the start".to_owned())
            }
            _ => None,
        };
        let token = (settings.admin.token != self.token)
            .then(|| "admin.token is not what it was at the start".to_owned());
        let ports = self.bound.restart_needed(settings);
        let all: Vec<_> = ports.into_iter().chain(token).chain(jobs).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Lists the addresses of listeners.
fn shown(listeners: &[ListenerSettings]) -> String {
    let addresses: Vec<_> = listeners.iter().map(|one| one.address.to_string()).collect();
    addresses.join(", ")
}

impl Bound {
    fn restart_needed(&self, settings: &Settings) -> Option<String> {
        let asked = [
            ("listener", self.listeners.as_deref().map(shown), shown(&settings.server.listeners)),
            (
                "admin.listen",
                self.admin.map(|admin| admin.to_string()),
                settings.admin.listen.to_string(),
            ),
        ];
        let moved = asked.into_iter().filter_map(|(key, bound, wanted)| {
            let bound = bound.filter(|bound| *bound != wanted)?;
            Some(format!("{key} is {wanted} in the file, and {bound} since the start"))
        });
        let moved: Vec<String> = moved.collect();
        (!moved.is_empty()).then(|| moved.join("; "))
    }
}

/// Reads the text of settings.
pub(crate) fn text(source: &Source) -> Result<Text, SettingsReport> {
    source.read().map_err(|unreadable| {
        let mut report = SettingsReport::new(Text { name: source.name(), text: "".into() });
        let help = unreadable.is_missing.then(|| "`seawall init` writes one".to_owned());
        report.add(SettingsProblem::error(unreadable.to_string()).help_if(help));
        report
    })
}

/// Reads settings from a text that was read once, so that what is compared is what is taken.
pub(crate) fn read(text: Text, strict: bool) -> Result<Loaded, SettingsReport> {
    let loaded = settings::load_text(text, &|name| std::env::var(name).ok())?;
    if strict && !loaded.warnings.is_empty() {
        return Err(loaded.warnings);
    }
    Ok(loaded)
}

/// Fits settings to the files that may be open, and returns what there is to remark on them.
pub(crate) fn remarks(
    settings: &mut Settings,
    warnings: &SettingsReport,
    files: u64,
) -> Vec<String> {
    let lowered = files::fit(&mut settings.server.gateway.limits, files);
    let warnings = (!warnings.is_empty()).then(|| warnings.human(false));
    warnings.into_iter().chain(lowered.map(|lowered| format!("warning: {lowered}"))).collect()
}

/// Opens what the log of requests is written to; nothing for the program's log.
///
/// # Errors
///
/// Says which file cannot be opened, and why.
pub(crate) fn requests(settings: &Settings) -> Result<Option<RequestOutput>, String> {
    let form = settings.log.form;
    match &settings.log.to {
        _ if settings.server.gateway.logged == Logged::Off => Ok(None),
        LogTo::Log => Ok(None),
        LogTo::Stdout => RequestOutput::stdout(form)
            .map(Some)
            .map_err(|error| format!("could not log requests: {error}")),
        LogTo::File(path) => RequestOutput::file(path, form)
            .map(Some)
            .map_err(|error| format!("could not open log.to = \"{}\": {error}", path.display())),
    }
}

/// Returns what the gateway is told.
pub(crate) fn gateway_settings(
    settings: &Settings,
    upstreams: &[Upstream],
    recorder: &Recorder,
) -> Result<seawall_gateway::Settings, BadRoute> {
    settings.gateway(upstreams, |route| recorder.name_route(&route.name))
}

fn refused_for(text: &Text, problem: SettingsProblem) -> SettingsReport {
    let mut report = SettingsReport::new(text.clone());
    report.add(problem);
    report
}

fn refused(report: &SettingsReport) -> Refused {
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

/// How long a reload waits for a file that is being written, before it refuses to read it.
const REST_WAIT_MAX: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_less_than_half_of_what_was_served_is_a_loss() {
        let served = |routes, jobs| Served { routes, jobs };
        let lost = |before: Served, after| before.lost_with(after);
        assert_eq!(lost(served(3, 0), served(1, 0)).as_deref(), Some("1 of 3 routes"));
        assert_eq!(lost(served(1, 0), served(0, 0)).as_deref(), Some("0 of 1 routes"));
        assert_eq!(
            lost(served(1, 5), served(0, 2)).as_deref(),
            Some("0 of 1 routes and 2 of 5 jobs")
        );
        assert_eq!(lost(served(4, 2), served(2, 1)), None, "half is left");
        assert_eq!(lost(served(0, 0), served(0, 0)), None);
        assert_eq!(lost(served(0, 1), served(5, 1)), None);
    }

    #[test]
    fn a_moved_port_needs_a_restart_unless_a_flag_stood_in() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listener = |port| vec![ListenerSettings { address: at(port) }];
        let bound = Bound { listeners: Some(listener(1)), admin: None };
        let text = crate::demo::source().read().expect("it is in the binary");
        let mut settings = read(text, true).expect("the demo's settings are sound").settings;
        settings.server.listeners = listener(2);
        let needed = bound.restart_needed(&settings).expect("the port moved");
        assert_eq!(needed, "listener is 127.0.0.1:2 in the file, and 127.0.0.1:1 since the start");
        settings.server.listeners = listener(1);
        assert_eq!(bound.restart_needed(&settings), None);
    }
}
