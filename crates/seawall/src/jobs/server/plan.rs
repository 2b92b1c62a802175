//! The jobs of the settings in force, each with the way to its upstream.
//!
//! Does not know: runs. A policy is that of the gateway, so that breaker, budget and places are
//! shared with the routes that call the same upstream.

use std::time::Duration;

use http::{Method, Uri};
use seawall_core::Secret;
use seawall_settings::{HookSettings, JobSettings, Settings};
use seawall_upstream::Upstream;

/// The jobs of the settings in force.
#[derive(Default)]
pub(crate) struct Plan {
    pub(super) jobs: Vec<Planned>,
    /// How long calls under way may take when a run is stopped.
    pub(super) grace: Duration,
}

/// One job, and the way to its upstream.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) settings: JobSettings,
    upstream: Option<Upstream>,
    /// Who is told when a run is done, and when one has failed.
    pub(super) on_done: Option<Hook>,
    pub(super) on_failed: Option<Hook>,
}

/// Who is told that a run has ended.
#[derive(Clone)]
pub(super) enum Hook {
    /// By a call.
    Call { upstream: Upstream, method: Method, path: Uri, secret: Option<Secret> },
    /// By a command.
    Command(Vec<String>),
}

impl Plan {
    /// Plans what the settings say; `upstreams` holds one for each of their upstreams.
    pub(crate) fn new(settings: &Settings, upstreams: &[Upstream]) -> Self {
        let hook = |hook: &HookSettings| match hook {
            HookSettings::Command(words) => Some(Hook::Command(words.clone())),
            HookSettings::Call { upstream, method, path, secret } => {
                let upstream = upstreams.get(*upstream)?.clone();
                let (method, path, secret) = (method.clone(), path.clone(), secret.clone());
                Some(Hook::Call { upstream, method, path, secret })
            }
        };
        let jobs = settings.jobs.iter().map(|job| Planned {
            settings: job.clone(),
            upstream: job.send.as_ref().and_then(|send| upstreams.get(send.upstream).cloned()),
            on_done: job.on_done.as_ref().and_then(hook),
            on_failed: job.on_failed.as_ref().and_then(hook),
        });
        Self { jobs: jobs.collect(), grace: settings.server.drain }
    }

    /// Finds a job by its name.
    pub(super) fn job(&self, name: &str) -> Option<&Planned> {
        self.jobs.iter().find(|job| *job.settings.name == *name)
    }
}

impl Planned {
    /// Returns the upstream. Connections stay on the runtime that opened them, so none is shared
    /// with the routes.
    pub(super) fn way(&self) -> Option<Upstream> {
        self.upstream.clone()
    }
}
