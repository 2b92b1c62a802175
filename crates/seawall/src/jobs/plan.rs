//! The jobs of the settings in force, each with the way to its upstream.
//!
//! Does not know: runs. A policy is that of the gateway, so that breaker, budget and places are
//! shared with the routes that call the same upstream.

use std::sync::Arc;
use std::time::Duration;

use seawall_call::Policy;
use seawall_gateway::Target;

use crate::job::Way;
use crate::settings::{JobMeant, Meant, UpstreamMeant};

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
    upstream: Option<(UpstreamMeant, Policy)>,
}

impl Plan {
    /// Plans what the settings say; `targets` holds one for each of their upstreams.
    pub(crate) fn new(meant: &Meant, targets: &[Arc<Target>]) -> Self {
        let jobs = meant.jobs.iter().map(|job| Planned {
            meant: job.clone(),
            upstream: job.send.as_ref().and_then(|send| {
                let upstream = meant.upstreams.get(send.upstream)?.clone();
                Some((upstream, targets.get(send.upstream)?.policy.clone()))
            }),
        });
        Self { jobs: jobs.collect(), grace: meant.server.drain }
    }

    /// Finds a job by its name.
    pub(super) fn job(&self, name: &str) -> Option<&Planned> {
        self.jobs.iter().find(|job| *job.meant.name == *name)
    }
}

impl Planned {
    /// Makes the way to the upstream, with connections of its own.
    pub(super) fn way(&self) -> Result<Option<Way>, String> {
        let Some((meant, policy)) = &self.upstream else { return Ok(None) };
        let upstream = meant.way().map_err(|bad| bad.0)?;
        Ok(Some(Way { name: meant.name.to_string(), policy: policy.clone(), upstream }))
    }
}
