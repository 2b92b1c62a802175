//! A simulator: what a policy does at your scale, before production shows it.
//!
//! Clients, servers and an upstream in virtual time, at a million calls a second. It is not a model
//! of the policy: every server has the machines of [`seawall_policy`], the very ones that
//! production runs, and a test holds that the same arrivals come to the same fates here and in
//! `seawall-call`.
//!
//! Does not know: tokio, the clock, sockets, files, flags. Invariant: the same [`Setup`] gives the
//! same [`SimulationReport`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_policy::Params;
//! use seawall_simulate::{Setup, simulate};
//!
//! let setup = Setup { lasts: Duration::from_secs(10), ..Setup::new(Params::standard()) };
//! let report = simulate(&setup);
//! assert!(report.total.goodput() > 90.0);
//! ```

mod agenda;
mod arrivals;
mod attempt;
mod endpoint;
mod gateway;
mod histogram;
mod journey;
mod report;
mod setup;
mod slab;
mod tally;
mod world;

use std::time::Duration;

use seawall_core::Fate;

pub use arrivals::{Arrival, Arrivals};
pub use report::{Caller, SimulationCounts, SimulationReport, Span, TimeStep, fairness};
pub use setup::{ArrivalProcess, Clients, Except, Setup, SimulatedUpstream, Stage, Work, healthy};

use world::World;

/// Runs a simulation.
pub fn simulate(setup: &Setup) -> SimulationReport {
    simulate_with(setup, &mut |_| {})
}

/// Runs a simulation and tells now and then how far it is in virtual time.
pub fn simulate_with(setup: &Setup, progress: &mut dyn FnMut(Duration)) -> SimulationReport {
    run(setup, progress, false).0
}

/// Runs a simulation and returns also the fate of every arrival's last call with its attempts.
pub fn trace(setup: &Setup) -> (SimulationReport, Vec<(Fate, u32)>) {
    run(setup, &mut |_| {}, true)
}

fn run(
    setup: &Setup,
    progress: &mut dyn FnMut(Duration),
    is_traced: bool,
) -> (SimulationReport, Vec<(Fate, u32)>) {
    let mut world = World::new(setup);
    if is_traced {
        world.tally.keep_trace();
    }
    world.run(progress);
    let held = world.held();
    let trace = world.tally.take_trace();
    let (stages, total, course) = world.tally.finish();
    let report = SimulationReport {
        seed: setup.seed,
        lasts: setup.lasts,
        gateways: setup.gateways.max(1),
        endpoints: setup.endpoints(),
        step: setup.step(),
        stages,
        total,
        course,
        held,
    };
    (report, trace)
}
