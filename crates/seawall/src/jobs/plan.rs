//! The jobs of the settings in force, each with the way to its upstream.
//!
//! Does not know: runs. A policy is that of the gateway, so that breaker, budget and places are
//! shared with the routes that call the same upstream.

use std::sync::Arc;
use std::time::Duration;

use seawall_gateway::Target;

use crate::job::Way;
use crate::settings::{JobMeant, Meant};

/// Holds the jobs of the settings in force.
#[derive(Default)]
pub(crate) struct Plan {
    pub(super) jobs: Vec<Planned>,
    /// How long calls under way may take when a run is stopped.
    pub(super) grace: Duration,
}

/// Is one job, and the way to its upstream.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) meant: JobMeant,
    target: Option<Arc<Target>>,
}

impl Plan {
    /// Plans what the settings say; `targets` holds one for each of their upstreams.
    pub(crate) fn new(meant: &Meant, targets: &[Arc<Target>]) -> Self {
        let jobs = meant.jobs.iter().map(|job| Planned {
            meant: job.clone(),
            target: job.send.as_ref().and_then(|send| targets.get(send.upstream).cloned()),
        });
        Self { jobs: jobs.collect(), grace: meant.server.drain }
    }

    /// Finds a job by its name.
    pub(super) fn job(&self, name: &str) -> Option<&Planned> {
        self.jobs.iter().find(|job| *job.meant.name == *name)
    }
}

impl Planned {
    /// Makes the way to the upstream. Connections stay on the runtime that opened them, so none is
    /// shared with the routes.
    pub(super) fn way(&self) -> Option<Way> {
        let target = self.target.as_ref()?;
        let (name, policy, upstream) =
            (target.name.to_string(), target.policy.clone(), target.upstream.clone());
        Some(Way { name, policy, upstream })
    }
}
