//! Our machines beside those of tower-resilience 0.13 and seatbelt 0.11, on the same histories.
//!
//! Where a peer is right, both decide the same; where it is not, its decision is written down and
//! why it is wrong. Their circuit breakers read clocks of their own, so only histories within one
//! instant, or without any window, can be compared.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use layered::{Execute, Service as _, Stack as _};
use seatbelt::breaker::Breaker as SeatbeltBreaker;
use seatbelt::retry::{Backoff as SeatbeltBackoff, Retry as SeatbeltRetry};
use seatbelt::{RecoveryInfo, ResilienceContext};
use seawall_core::{Chance, Failure, Outcome};
use seawall_policy::backoff::{self, Growth, Jitter};
use seawall_policy::breaker::{Admit, Breaker, Params};
use tick::ClockControl;
use tower::{Layer, Service as _};
use tower_resilience::circuitbreaker::{CircuitBreakerConfigBuilder, CircuitBreakerLayer};
use tower_resilience::retry::{ExponentialBackoff, IntervalFunction};

const FAILED: Outcome = Outcome::Failure(Failure::Reset);
/// Never half open within a test.
const LONG: Duration = Duration::from_secs(100_000);

/// Polls a future that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    let Poll::Ready(output) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the future was to be ready at once")
    };
    output
}

/// Makes a hundred histories of calls that fail, each with its own share of them.
fn histories(length: usize) -> impl Iterator<Item = Vec<bool>> {
    (0..100).map(move |seed| {
        let mut chance = Chance::seeded(seed);
        let share = chance.unit();
        (0..length).map(|_| chance.happens(share)).collect()
    })
}

/// Returns how many calls were let through before the first that was not.
fn ours(params: &Params, history: &[bool]) -> usize {
    let instant = Instant::now();
    let (breaker, mut chance) = (Breaker::new(instant), Chance::seeded(1));
    let is_refused = |&fails: &bool| {
        let Admit::Pass(grant) = breaker.admit(params, instant, LONG, || 0.5) else { return true };
        let outcome = if fails { FAILED } else { Outcome::Success };
        breaker.record(params, grant, outcome, instant, &mut chance);
        false
    };
    history.iter().position(is_refused).unwrap_or(history.len())
}

fn params(change: impl FnOnce(&mut Params)) -> Params {
    let mut params = Params { open: LONG, open_max: LONG, window: LONG, ..Params::default() };
    change(&mut params);
    params
}

/// Returns the same as tower-resilience decides.
fn resilience<C>(builder: CircuitBreakerConfigBuilder<C>, history: &[bool]) -> usize
where
    C: Send + Sync + 'static,
    CircuitBreakerLayer<C>: Layer<Always, Service: tower::Service<bool>>,
{
    let layer = builder.wait_duration_in_open(LONG).build().expect("the numbers are legal");
    let mut service = layer.layer(Always);
    let mut sent = 0;
    for &fails in history {
        let before = SENT.with(std::cell::Cell::get);
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        if !matches!(ready, Poll::Ready(Ok(()))) {
            break;
        }
        let _ = now(service.call(fails));
        if SENT.with(std::cell::Cell::get) == before {
            break;
        }
        sent += 1;
    }
    sent
}

thread_local! {
    /// How many calls the upstream of this thread has seen.
    static SENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Is an upstream that fails when it is told to.
#[derive(Clone)]
struct Always;

impl tower::Service<bool> for Always {
    type Response = ();
    type Error = ();
    type Future = std::future::Ready<Result<(), ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, fails: bool) -> Self::Future {
        SENT.with(|sent| sent.set(sent.get() + 1));
        std::future::ready(if fails { Err(()) } else { Ok(()) })
    }
}

/// Returns the same as seatbelt decides, its clock standing still.
fn seatbelt(share: f32, calls_min: u32, history: &[bool]) -> usize {
    let control = ClockControl::new();
    let context: ResilienceContext<bool, Result<(), &str>> =
        ResilienceContext::new(control.to_clock());
    let stack = (
        SeatbeltBreaker::layer("breaker", &context)
            .recovery_with(|out: &Result<(), &str>, _| match out {
                Ok(()) => RecoveryInfo::never(),
                Err(_) => RecoveryInfo::retry(),
            })
            .rejected_input(|_, _| Err(REFUSED))
            .failure_threshold(share)
            .min_throughput(calls_min)
            .sampling_duration(LONG)
            .break_duration(LONG),
        Execute::new(async |fails| if fails { Err("failed") } else { Ok(()) }),
    );
    let service = stack.into_service();
    let is_refused = |&fails: &bool| now(service.execute(fails)) == Err(REFUSED);
    history.iter().position(is_refused).unwrap_or(history.len())
}

const REFUSED: &str = "refused";

#[test]
fn failures_in_a_row_open_ours_and_that_of_tower_resilience_on_the_same_call() {
    for row in [1, 2, 3, 7] {
        for history in histories(200) {
            let own = params(|own| (own.consecutive, own.calls_min) = (row as u32, u32::MAX));
            let theirs = CircuitBreakerLayer::builder().consecutive_failures(row);
            assert_eq!(ours(&own, &history), resilience(theirs, &history), "{row}: {history:?}");
        }
    }
}

/// Theirs is a count of all calls there ever were: "the last hundred" never slides.
#[test]
fn after_ten_thousand_successes_ours_opens_on_its_window_and_tower_resilience_on_all_there_were() {
    let history = [vec![false; 10_000], vec![true; 10_001]].concat();
    let theirs = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(20);
    let theirs = resilience(theirs, &history) - 10_000;
    assert!(theirs >= 9_900, "it opened after {theirs} failures: the documents are wrong");
    // A hundred calls to the window, as theirs is said to have.
    let own = Params { consecutive: 0, ..params(|own| own.window = Duration::from_secs(1)) };
    let epoch = Instant::now();
    let (breaker, mut chance) = (Breaker::new(epoch), Chance::seeded(1));
    let opens = (0_u32..).zip(history).find_map(|(index, fails)| {
        let now = epoch + Duration::from_millis(10) * index;
        let Admit::Pass(grant) = breaker.admit(&own, now, LONG, || 0.5) else { return Some(index) };
        let outcome = if fails { FAILED } else { Outcome::Success };
        breaker.record(&own, grant, outcome, now, &mut chance);
        None
    });
    let failures = opens.expect("it opens") - 10_000;
    assert!((45..=50).contains(&failures), "{failures}");
}

/// Seatbelt looks at the share after a success too, so it may open on the success that completes
/// the least number of calls; ours opens on failures only. Past that number they are the same. It
/// has no share of all: a threshold of 1 makes it panic.
#[test]
fn a_share_of_calls_opens_ours_and_that_of_seatbelt_on_the_same_call() {
    for (share, calls_min) in [(0.5, 20), (0.25, 10), (0.75, 5), (0.125, 100)] {
        for history in histories(300) {
            let own = params(|own| {
                (own.ratio, own.calls_min, own.consecutive) = (f64::from(share), calls_min, 0);
            });
            let history = [vec![false; calls_min as usize], history].concat();
            let theirs = seatbelt(share, calls_min, &history);
            assert_eq!(ours(&own, &history), theirs, "{share} of {calls_min}: {history:?}");
        }
    }
}

#[test]
fn waits_grow_as_those_of_tower_resilience() {
    for (base, cap) in [(1, 60_000), (50, 2_000), (100, 100)].map(|(base, cap)| (ms(base), ms(cap)))
    {
        let theirs = ExponentialBackoff::new(base).max_interval(cap);
        let own = backoff::Params { base, cap, ..backoff::Params::default() };
        for retry in 1..40 {
            assert_eq!(backoff::upper(&own, retry), theirs.next_interval(retry as usize - 1));
        }
    }
}

#[test]
fn waits_without_jitter_are_those_of_seatbelt() {
    for (growth, theirs) in [
        (Growth::Constant, SeatbeltBackoff::Constant),
        (Growth::Linear, SeatbeltBackoff::Linear),
        (Growth::Exponential, SeatbeltBackoff::Exponential),
    ] {
        let (base, cap) = (ms(30), ms(1_000));
        let own = backoff::Params { base, cap, growth, jitter: Jitter::None };
        let (mut backoff, mut chance) = (backoff::Backoff::default(), Chance::seeded(1));
        let own: Vec<_> = (1..=10).map(|retry| backoff.next(&own, retry, &mut chance)).collect();
        assert_eq!(own, seatbelt_waits(theirs, base, cap), "{growth:?}");
    }
}

fn seatbelt_waits(backoff: SeatbeltBackoff, base: Duration, cap: Duration) -> Vec<Duration> {
    let control = ClockControl::new().auto_advance_timers(true);
    let context: ResilienceContext<(), Result<(), ()>> = ResilienceContext::new(control.to_clock());
    let waits = Arc::new(Mutex::new(Vec::new()));
    let seen = waits.clone();
    let stack = (
        SeatbeltRetry::layer("retry", &context)
            .clone_input()
            .recovery_with(|_: &Result<(), ()>, _| RecoveryInfo::retry())
            .backoff(backoff)
            .base_delay(base)
            .max_delay(cap)
            .use_jitter(false)
            .max_retry_attempts(10)
            .on_retry(move |_, args| {
                seen.lock().expect("no callback panics").push(args.retry_delay());
            }),
        Execute::new(async |()| Err(())),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
    assert!(runtime.block_on(stack.into_service().execute(())).is_err());
    let waits = waits.lock().expect("no callback panics");
    waits.clone()
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
