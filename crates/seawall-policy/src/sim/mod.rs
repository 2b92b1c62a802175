//! Simulated upstreams: what one would do with each request, as a plan that someone else carries
//! out. The demo, the tests and a simulator in virtual time share it.

mod engine;
mod scenario;

pub use engine::{BusySlot, Drawn, Engine, RequestPlan, Then};
pub use scenario::{Behaviour, Capacity, Latency, Scenario, ScenarioPhase};
