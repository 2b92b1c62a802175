//! Plays a setup with `seawall-call` on tokio, its clock paused.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seawall_call::{Attempt, Context, Judge, Policy};
use seawall_core::{CancelCell, Chance, Failure, Fate, Outcome, RetryDenied, Silent, UpstreamId};
use seawall_policy::sim::{Engine, Scenario, ScenarioPhase, Then};
use seawall_simulate::{Arrival, Arrivals, Setup};
use tokio::time::{sleep, sleep_until, timeout};

/// Makes every call of a setup; returns their fates and attempts in the order of arrival.
pub(crate) fn play(setup: &Setup) -> Vec<(Fate, u32)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without a socket can be made").block_on(play_all(setup))
}

async fn play_all(setup: &Setup) -> Vec<(Fate, u32)> {
    let epoch = tokio::time::Instant::now();
    // In the order in which the simulator draws them: arrivals, clients, endpoints, servers.
    let mut seeds = Chance::seeded(setup.seed);
    let _ = (seeds.bits(), seeds.bits());
    let endpoints = 0..setup.upstream.endpoints;
    let engines: Vec<_> = endpoints
        .clone()
        .map(|endpoint| Engine::new(script(setup, endpoint), seeds.bits(), epoch.into_std()))
        .collect();
    let engines = Arc::new(Mutex::new(engines));
    let policy =
        Policy::seeded(UpstreamId(0), setup.params.clone(), Arc::new(Silent), seeds.bits());
    let names: Vec<Arc<str>> = endpoints.map(|endpoint| endpoint.to_string().into()).collect();
    policy.set_endpoints(&names).expect("they are few");
    let arrivals: Vec<Arrival> = Arrivals::new(setup).collect();
    let mut calls = Vec::new();
    for arrival in arrivals {
        sleep_until(epoch + arrival.at).await;
        let (policy, engines) = (policy.clone(), engines.clone());
        let patience = setup.clients.timeout;
        calls.push(tokio::spawn(async move { one(&policy, &engines, arrival, patience).await }));
    }
    let mut ended = Vec::new();
    for call in calls {
        ended.push(call.await.expect("no call panics"));
    }
    ended
}

async fn one(
    policy: &Policy,
    engines: &Mutex<Vec<Engine>>,
    arrival: Arrival,
    patience: Duration,
) -> (Fate, u32) {
    let cancel = CancelCell::default();
    let key = arrival.caller.map(|caller| Chance::seeded(u64::from(caller)).bits());
    let context = Context { priority: arrival.priority, key, ..Context::new(&cancel) };
    let attempts = std::sync::atomic::AtomicU32::new(0);
    let make = |attempt: Attempt| {
        attempts.store(attempt.number, std::sync::atomic::Ordering::Relaxed);
        let now: Instant = tokio::time::Instant::now().into_std();
        let drawn = engines.lock().expect("nothing panics in here")
            [usize::from(attempt.endpoint.0)]
        .draw(now);
        async move {
            if drawn.then == Then::Hang {
                return std::future::pending().await;
            }
            if !drawn.work.is_zero() {
                sleep(drawn.work).await;
            }
            match drawn.then {
                Then::Answer { status } => Ok(status),
                Then::Refuse => Err(Failure::Connect),
                Then::Reset => Err(Failure::Reset),
                Then::Hang | Then::Drip { .. } => unreachable!("not in these scripts"),
            }
        }
    };
    let fate = match timeout(patience, policy.call(context, &Simple, make)).await {
        Ok(Ok((answer, _))) => answer.fate,
        Ok(Err(error)) => error.fate(),
        Err(_) => Fate::Cancelled,
    };
    (fate, attempts.into_inner())
}

/// Returns what one endpoint goes through.
fn script(setup: &Setup, endpoint: u16) -> Scenario {
    let phases = setup.stages.iter().map(|stage| {
        let except = stage.except.as_ref().filter(|except| except.endpoint == endpoint);
        let behaviour = except.map_or(&stage.phase.behaviour, |except| &except.behaviour);
        ScenarioPhase { behaviour: behaviour.clone(), ..stage.phase.clone() }
    });
    Scenario { phases: phases.collect(), repeat: false }
}

/// Judges a status; everything may be repeated.
struct Simple;

impl Judge<u16, Failure> for Simple {
    fn outcome(&self, result: Result<&u16, &Failure>) -> Outcome {
        match result {
            Ok(&status) if status >= 500 => Outcome::Failure(Failure::Answered(status.into())),
            Ok(_) => Outcome::Success,
            Err(&failure) => Outcome::Failure(failure),
        }
    }

    fn may_repeat(&self, _: Option<Result<&u16, &Failure>>) -> Result<(), RetryDenied> {
        Ok(())
    }

    fn may_hedge(&self) -> bool {
        true
    }
}
