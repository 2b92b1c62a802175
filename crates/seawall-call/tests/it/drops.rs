//! Whatever happens, and whatever is dropped at whichever await: nothing is lost, nothing is sent
//! that was not paid for, nothing begins too late, and events come in order.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_call::{Attempt, CallError, Context, Policy, draw_call_id};
use seawall_core::{CallId, CancelCell, Deadline, Failure, Priority, UpstreamId};
use seawall_policy::chaos::ChaosPlan;
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_policy::{
    Params, adaptive, backoff, breaker, budget, bulkhead, rate, retry, shed, timeout,
};

use crate::checker::Checker;
use crate::scene::{Does, Held, Http, ms, now, perform};

/// Is one thing that can happen to a crowd of calls.
#[derive(Clone, Debug)]
enum Move {
    Begin {
        script: Vec<Does>,
        deadline: Option<u64>,
        priority: Priority,
        caller_attempt: u32,
    },
    Poll(usize),
    Drop(usize),
    Advance(u64),
    Resize(u32),
    Chaos(bool),
    /// The oldest answer's body ends, well or not.
    BodyEnds(bool),
    /// The upstream is isolated for a moment.
    Isolate(u64),
}

/// Says which parts of the policy are on.
#[derive(Clone, Copy, Debug)]
struct Parts {
    hedges: u32,
    has_budget: bool,
    holds_abandoned: bool,
    is_adaptive: bool,
    endpoints: usize,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        Just(Does::Say(200)),
        Just(Does::Say(503)),
        (1..80_u64).prop_map(|wait| Does::SayLater(200, ms(wait))),
        (1..80_u64).prop_map(|wait| Does::SayLater(503, ms(wait))),
        (1..80_u64).prop_map(|wait| Does::AskToWait(429, ms(wait))),
        Just(Does::Fail(Failure::Reset)),
        Just(Does::Hang),
    ]
}

fn begin() -> impl Strategy<Value = Move> {
    let deadline = prop::option::of(0..300_u64);
    let priority = prop::sample::select(&Priority::ALL[..]);
    (vec(does(), 1..5), deadline, priority, 1..3_u32).prop_map(
        |(script, deadline, priority, caller_attempt)| Move::Begin {
            script,
            deadline,
            priority,
            caller_attempt,
        },
    )
}

fn one_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => begin(),
        12 => (0..12_usize).prop_map(Move::Poll),
        6 => (0..12_usize).prop_map(Move::Drop),
        8 => (1..60_u64).prop_map(Move::Advance),
        2 => (1..6_u32).prop_map(Move::Resize),
        1 => any::<bool>().prop_map(Move::Chaos),
        2 => any::<bool>().prop_map(Move::BodyEnds),
        1 => (1..40_u64).prop_map(Move::Isolate),
    ]
}

fn parts() -> impl Strategy<Value = Parts> {
    (0..4_u32, any::<bool>(), any::<bool>(), any::<bool>(), 1..4_usize).prop_map(
        |(hedges, has_budget, holds_abandoned, is_adaptive, endpoints)| Parts {
            hedges,
            has_budget,
            holds_abandoned,
            is_adaptive,
            endpoints,
        },
    )
}

const RATIO: f64 = 0.2;
const FLOOR: f64 = 1.0;
const HEDGED: f64 = 0.5;
const QUEUE_MAX: u32 = 4;

fn params(parts: Parts, in_flight_max: u32) -> Params {
    let timeout = timeout::Params { total: ms(400), attempt: ms(100), ..Default::default() };
    let limit = bulkhead::Params {
        in_flight_max,
        queue_max: QUEUE_MAX,
        queue_wait_max: ms(30),
        holds_abandoned: parts.holds_abandoned,
        ..Default::default()
    };
    let budget =
        budget::Params { ratio: RATIO, floor_per_second: FLOOR, ..budget::Params::default() };
    let after = After::Fixed(ms(20));
    let hedge = Hedge { after, min: ms(0), extra_max: parts.hedges, ratio_max: HEDGED };
    let breaker = breaker::Params {
        consecutive: 3,
        calls_min: 6,
        open: ms(100),
        open_max: ms(400),
        ..Default::default()
    };
    let backoff = backoff::Params { base: ms(25), ..Default::default() };
    Params {
        timeout,
        retry: Some(retry::Params { backoff, ..Default::default() }),
        limit: Some(limit),
        budget: parts.has_budget.then_some(budget),
        hedge: (parts.hedges > 0).then_some(hedge),
        breaker: Some(breaker),
        adaptive: parts
            .is_adaptive
            .then_some(adaptive::Params { min: 1, initial: in_flight_max.min(3) }),
        rate: Some(rate::Params { per_second: 300.0, burst: 10, ..Default::default() }),
        shed: Some(shed::Params::default()),
        ..Params::standard()
    }
}

type Ended = Result<Held, CallError<Failure>>;
type Call<'a> = (CallId, Pin<Box<dyn Future<Output = Ended> + 'a>>);

/// Holds one policy, who follows its calls, and when it all began.
struct Crowd {
    policy: Policy,
    checker: Arc<Checker>,
    cancel: CancelCell,
    epoch: Instant,
}

impl Crowd {
    fn new(parts: Parts) -> Self {
        let checker = Arc::new(Checker::default());
        let policy = Policy::seeded(UpstreamId(7), params(parts, 3), checker.clone(), 42);
        let names: Vec<Arc<str>> = (0..parts.endpoints).map(|at| at.to_string().into()).collect();
        policy.set_endpoints(&names).expect("they are few");
        Self { policy, checker, cancel: CancelCell::default(), epoch: now() }
    }

    fn set_chaos(&self, plan: Option<ChaosPlan>) {
        match plan {
            Some(plan) => self.policy.set_chaos(plan).expect("its shares are some"),
            None => self.policy.end_chaos(),
        }
    }

    /// Makes a call; no attempt of it may begin at or after its deadline.
    async fn call(&self, context: Context<'_>, script: &[Does]) -> Ended {
        let latest = now() + ms(400);
        let latest = context.deadline.map_or(latest, |own| own.instant().min(latest));
        let make = |attempt: Attempt| {
            assert!(now() < latest, "attempt {} begins after the deadline", attempt.number);
            assert!(attempt.deadline.instant() <= latest && attempt.deadline.instant() > now());
            let line = (attempt.number as usize - 1).min(script.len() - 1);
            perform(script[line])
        };
        self.policy.call(context, &Http, make).await.map(Held::new)
    }

    /// Polls a call; returns its end, which must be the one that was told.
    fn poll(&self, (id, call): &mut Call<'_>) -> Option<Ended> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = call.as_mut().poll(&mut cx);
        let std::task::Poll::Ready(ended) = polled else { return None };
        let said = match &ended {
            Ok(answer) => (answer.fate, answer.attempts),
            Err(error) => (error.fate(), error.attempts()),
        };
        assert_eq!(self.checker.story(*id).end, Some(said));
        Some(ended)
    }

    /// What is paid for is what is sent, at any time.
    fn assert_paid(&self, parts: Parts) {
        let stories = self.checker.stories();
        let calls = stories.len() as f64;
        let sum = |of: fn(&crate::checker::Story) -> u32| stories.iter().map(of).sum::<u32>();
        let attempts = f64::from(sum(|one| one.attempts));
        let hedged = f64::from(sum(|one| u32::from(one.hedges > 0)));
        assert!(hedged <= HEDGED * calls + 10.0, "{hedged} of {calls} calls were hedged");
        if parts.has_budget {
            let seconds = (now() - self.epoch).as_secs_f64();
            let most = calls * (1.0 + RATIO) + FLOOR * (seconds + 1.0);
            assert!(attempts <= most + 1e-6, "{attempts} attempts of {calls} calls");
        }
    }

    /// Shows that nothing is out: no place, no probe, no retry of the budget, no count.
    async fn assert_at_rest(&self) {
        // Whoever was given up is forgotten by its upstream and breakers are half open; but no
        // lease of a probe is over, so one that was lost would be missed.
        tokio::time::advance(ms(500)).await;
        let snapshot = self.policy.snapshot();
        let held = (snapshot.in_flight, snapshot.waiting, snapshot.ghosts);
        assert_eq!(held, (0, 0, 0), "{snapshot:?}");
        assert!(snapshot.endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
        for story in self.checker.stories() {
            assert!(story.end.is_some(), "a call has no end: {story:?}");
        }
        self.policy.end_chaos();
        let context = Context::new(&self.cancel);
        for _ in 0..9 {
            let answer = self.call(context, &[Does::Say(200)]).await;
            assert!(answer.is_ok(), "a probe was lost: {answer:?}");
        }
        if self.policy.params().budget.is_some() {
            tokio::time::advance(ms(1_000)).await;
            self.assert_no_retry_is_under_way().await;
        }
    }

    /// As many retries as may be under way beside nothing else can be begun.
    async fn assert_no_retry_is_under_way(&self) {
        let script = [Does::AskToWait(503, ms(50)), Does::Say(200)];
        let context = Context::new(&self.cancel);
        let again = async || self.call(context, &script).await.map(|answer| answer.attempts);
        let (one, two, three) = tokio::join!(again(), again(), again());
        for attempts in [one, two, three] {
            assert!(matches!(attempts, Ok(2)), "a retry was not given back: {attempts:?}");
        }
    }
}

fn paused(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system")
        .block_on(tokio::task::unconstrained(work));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_is_lost_unpaid_late_or_out_of_order_whatever_happens(
        parts in parts(),
        moves in vec(one_move(), 1..150),
    ) {
        paused(play(parts, moves));
    }
}

fn chaos(is_on: bool) -> Option<ChaosPlan> {
    is_on.then(|| ChaosPlan {
        until: now() + ms(200),
        key: None,
        latency: 0.3,
        latency_by: ms(15),
        errors: 0.2,
        hangs: 0.1,
        resets: 0.1,
    })
}

async fn play(parts: Parts, moves: Vec<Move>) {
    let crowd = Crowd::new(parts);
    let mut limit = 3;
    {
        let (mut calls, mut answers): (Vec<Call<'_>>, Vec<Held>) = Default::default();
        for next in moves {
            match next {
                Move::Begin { script, deadline, priority, caller_attempt } => {
                    let deadline = deadline.map(|left| Deadline::at(now() + ms(left)));
                    let context = Context {
                        deadline,
                        priority,
                        caller_attempt,
                        ..Context::new(&crowd.cancel)
                    };
                    let (crowd, id) = (&crowd, draw_call_id());
                    let context = Context { call: Some(id), ..context };
                    let call = async move { crowd.call(context, &script).await };
                    calls.push((id, Box::pin(call)));
                }
                Move::Poll(at) if at < calls.len() => {
                    if let Some(ended) = crowd.poll(&mut calls[at]) {
                        answers.extend(ended.ok());
                        drop(calls.swap_remove(at));
                    }
                }
                Move::Drop(at) if at < calls.len() => drop(calls.swap_remove(at)),
                Move::Poll(_) | Move::Drop(_) => {}
                Move::Advance(wait) => tokio::time::advance(ms(wait)).await,
                Move::Resize(to) => {
                    crowd.policy.reload(params(parts, to)).expect("they are sound");
                    limit = limit.max(to);
                }
                Move::Chaos(is_on) => crowd.set_chaos(chaos(is_on)),
                Move::BodyEnds(is_good) => {
                    if let Some(answer) = answers.pop()
                        && !is_good
                    {
                        answer.permit.body_failed(Failure::Body);
                    }
                }
                Move::Isolate(wait) => crowd.policy.isolate(now() + ms(wait)),
            }
            let snapshot = crowd.policy.snapshot();
            assert!(snapshot.in_flight <= limit, "{snapshot:?}");
            assert!(snapshot.waiting <= QUEUE_MAX, "{snapshot:?}");
            crowd.assert_paid(parts);
        }
    }
    crowd.assert_at_rest().await;
}

/// Polls one call every two milliseconds, and drops it after so many polls; says whether it had
/// ended before.
async fn drop_after(
    polls: usize,
    parts: Parts,
    script: &[Does],
    is_crowded: bool,
    plan: Option<ChaosPlan>,
) -> bool {
    let crowd = Crowd::new(parts);
    crowd.policy.reload(params(parts, 4)).expect("they are sound");
    crowd.set_chaos(plan);
    let context = Context::new(&crowd.cancel);
    let work = [Does::SayLater(200, ms(12))];
    let mut held: Vec<Call<'_>> = Vec::new();
    let begin = |script| -> Call<'_> {
        let id = draw_call_id();
        (id, Box::pin(crowd.call(Context { call: Some(id), ..context }, script)))
    };
    for _ in 0..if is_crowded { 4 } else { 0 } {
        let mut call = begin(&work);
        assert!(crowd.poll(&mut call).is_none());
        held.push(call);
    }
    let mut call = begin(script);
    let mut has_ended = false;
    for _ in 0..polls {
        has_ended = crowd.poll(&mut call).is_some();
        if has_ended {
            break;
        }
        tokio::time::advance(ms(2)).await;
        held.retain_mut(|call| crowd.poll(call).is_none());
    }
    drop(call);
    drop(held);
    crowd.assert_at_rest().await;
    has_ended
}

#[test]
fn a_call_can_be_dropped_at_every_await_of_its_way() {
    let plain = Parts {
        hedges: 0,
        has_budget: true,
        holds_abandoned: false,
        is_adaptive: false,
        endpoints: 1,
    };
    let hedged = Parts { hedges: 2, endpoints: 3, ..plain };
    let ghostly = Parts { holds_abandoned: true, ..hedged };
    let late = |wait| Does::SayLater(200, ms(wait));
    for (parts, script, is_crowded, has_chaos) in [
        (plain, vec![late(30)], false, false),
        (plain, vec![late(30)], true, false),
        (plain, vec![Does::AskToWait(503, ms(20)), Does::Hang, late(30)], false, false),
        (plain, vec![Does::AskToWait(503, ms(20)), late(30)], true, false),
        (hedged, vec![Does::Hang, late(30)], false, false),
        (hedged, vec![Does::Hang, Does::SayLater(503, ms(40)), Does::Hang], false, false),
        (hedged, vec![late(30)], true, true),
        (ghostly, vec![Does::Hang, late(10), late(10)], false, true),
        (ghostly, vec![Does::Hang], true, false),
    ] {
        let mut polls = 0;
        loop {
            let mut has_ended = false;
            paused(async {
                let plan = chaos(has_chaos);
                has_ended = drop_after(polls, parts, &script, is_crowded, plan).await;
            });
            if has_ended {
                break;
            }
            polls += 1;
            assert!(polls < 250, "it never ends: {script:?}");
        }
    }
}
