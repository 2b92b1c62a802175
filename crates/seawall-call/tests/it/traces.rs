//! What observers can make of events: a trace of every call, among many that run at once.

use std::sync::Arc;
use std::time::Duration;

use seawall_call::{
    Attempt, Cached, CachedAnswer, CallError, CallId, Context, Judge, Policy, TraceContext,
    draw_call_id,
};
use seawall_core::{
    CallEventKind, CancelCell, Chance, Event, Failure, Fate, Observer, Observers, Origin, Outcome,
    RetryDenied, UpstreamId,
};
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_policy::{Params, budget, bulkhead, cache};
use seawall_testkit::{Events, call_event};

use crate::scene::{Does, Http, Status, ms, perform, together};
use crate::spans::{Exported, Spans};

/// An answer that says by which call it was made.
#[derive(Clone, Copy, Debug)]
struct Signed(Status, CallId);

/// Judges as the gateway does.
#[derive(Clone)]
struct Same;

impl Judge<Signed, Failure> for Same {
    fn outcome(&self, result: Result<&Signed, &Failure>) -> Outcome {
        Http.outcome(result.map(|signed| &signed.0))
    }

    fn may_repeat(&self, _: Option<Result<&Signed, &Failure>>) -> Result<(), RetryDenied> {
        Ok(())
    }

    fn may_hedge(&self) -> bool {
        true
    }
}

type Ended = Result<CachedAnswer<Signed>, CallError<Arc<Failure>>>;
type Shared = Cached<u64, Signed, Failure>;

/// A policy in which calls wait, are repeated, hedged, shared and kept.
fn busy() -> Params {
    let mut params = Params { breaker: None, adaptive: None, coalesce: true, ..Params::standard() };
    (params.timeout.total, params.timeout.attempt) = (ms(900), ms(200));
    let limit = bulkhead::Params { in_flight_max: 12, queue_max: 40, ..Default::default() };
    params.limit = Some(limit);
    params.budget =
        Some(budget::Params { ratio: 0.5, floor_per_second: 50.0, ..Default::default() });
    let after = After::Fixed(ms(50));
    params.hedge = Some(Hedge { after, extra_max: 2, ratio_max: 0.5, ..Hedge::default() });
    params.cache = Some(cache::Params { fresh_for: ms(30), ..Default::default() });
    params
}

/// Makes one call; every attempt does the next line of what is drawn for its key.
async fn call(shared: &Shared, id: CallId, key: u64, cancel: &CancelCell) -> Ended {
    let make = move |attempt: Attempt| {
        let call = attempt.call.expect("a policy makes it");
        let mut chance = Chance::seeded(key.wrapping_mul(31) + u64::from(attempt.number));
        let does = match chance.bits() % 10 {
            0 => Does::Hang,
            1 => Does::Fail(Failure::Reset),
            2 | 3 => Does::SayLater(503, ms(chance.bits() % 40)),
            4 => Does::SayLater(200, ms(60 + chance.bits() % 80)),
            _ => Does::SayLater(200, ms(chance.bits() % 50)),
        };
        async move { perform(does).await.map(|status| Signed(status, call)) }
    };
    let context = Context { call: Some(id), ..Context::new(cancel) };
    shared.call(context, key, Same, make).await
}

/// Plays many calls at once, some of which are dropped on their way; returns what each came to.
async fn play(shared: &Shared, seed: u64) -> Vec<(CallId, Option<Ended>)> {
    let mut chance = Chance::seeded(seed);
    let calls = (0..400).map(|_| {
        let (begin, key) = (ms(chance.bits() % 2_000), chance.bits() % 120);
        let patience = if chance.happens(0.2) { ms(chance.bits() % 150) } else { ms(10_000) };
        let (shared, id) = (shared.clone(), draw_call_id());
        tokio::spawn(async move {
            tokio::time::sleep(begin).await;
            let cancel = CancelCell::default();
            let call = call(&shared, id, key, &cancel);
            (id, tokio::time::timeout(patience, call).await.ok())
        })
    });
    let calls: Vec<_> = calls.collect();
    together(calls).await.into_iter().map(|call| call.expect("no panic")).collect()
}

#[tokio::test(start_paused = true)]
async fn among_many_calls_every_event_finds_its_span() {
    for seed in 0..10 {
        let (spans, events) = (Arc::new(Spans::default()), Arc::new(Events::default()));
        let observers = Observers::from(spans.clone()).and(events.clone());
        let shared = Cached::new(Policy::seeded(UpstreamId(7), busy(), observers, seed));
        let ended = play(&shared, seed).await;
        // What nobody waits for any more is aborted by the runtime, a moment later.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let exported = spans.exported();
        check(&exported);
        for (id, ended) in ended {
            check_followed(&exported, id, ended);
        }
        // Or nothing of it was shown.
        let told = [
            events.count(&call_event!(Dequeued { admitted: true, .. })),
            events.count(&call_event!(RetryScheduled { .. })),
            events.count(&call_event!(HedgeEnded { won: true })),
            events.count(&call_event!(Abandoned { .. })),
            events.count(&call_event!(CacheUsed { .. })),
            exported.followers.len(),
        ];
        assert!(told.iter().all(|count| *count > 4), "{told:?}");
    }
}

/// Checks that the spans can be, each by itself and among the others.
#[track_caller]
fn check(exported: &Exported) {
    assert!(exported.wrong.is_empty(), "{:#?}", exported.wrong);
    for (id, call) in &exported.calls {
        let (_, attempts) = call.end.expect("every call ends");
        assert!(call.children().all(|span| span.is_within(&call.span)), "{call:#?}");
        let numbers: Vec<u32> = call.attempts.keys().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (1..=attempts).collect::<Vec<_>>(), "{call:#?}");
        // A wait is over before the attempt that it was for, and that one is no hedge.
        let waits = call.queued.iter().chain(call.backoffs.iter().map(|(id, one)| (id, &one.0)));
        for (attempt, wait) in waits {
            assert!(!attempt.is_hedge, "{call:#?}");
            let begun = call.attempts.get(attempt).map(|span| span.begun);
            assert!(begun.is_none_or(|begun| wait.ended <= Some(begun)), "{call:#?}");
        }
        // With coalescing a call of the policy is a flight, or one that went alone.
        assert_ne!(call.parent, Some(*id));
    }
    for (flight, waited) in exported.followers.values() {
        let flight = &exported.calls[flight];
        assert!(flight.parent.is_some(), "a flight is made for whoever began it");
        assert!(waited.begun >= flight.span.begun && waited.ended >= flight.span.ended);
    }
}

/// Checks that what was told of a call is what became of it.
#[track_caller]
fn check_followed(exported: &Exported, id: CallId, ended: Option<Ended>) {
    let Some(Ok(served)) = ended else { return };
    let Signed(_, by) = served.value;
    let made = &exported.calls[&by];
    let follows = exported.followers.get(&id).map(|(flight, _)| *flight);
    if served.age.is_none() {
        assert_eq!(follows.is_some(), served.is_shared);
    }
    match (served.age, follows) {
        (Some(_), _) => assert!(made.span.ended.is_some(), "what is kept was made before"),
        (None, Some(flight)) => assert_eq!(flight, by, "the flight that answered"),
        // The one that began the flight, or went alone.
        (None, None) => assert!(made.parent == Some(id) || by == id, "{made:#?}"),
    }
    if served.age.is_none() {
        assert_eq!(made.end, Some((served.fate, served.attempts)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_waterfall_of_one_call_is_drawn_from_its_events() {
    let mut params = busy();
    (params.cache, params.coalesce) = (None, false);
    params.limit.as_mut().expect("it is on").in_flight_max = 2;
    let spans = Arc::new(Spans::default());
    let policy = Policy::seeded(UpstreamId(7), params, spans.clone(), 1);
    let id = draw_call_id();
    let (cancel, title) = (CancelCell::default(), "GET /oslo");
    let scripted = async |context: Context<'_>, script: &[Does]| {
        let make = |attempt: Attempt| perform(script[attempt.number as usize - 1]);
        policy.call(context, &Http, make).await.map(|(answer, _permit)| answer.fate)
    };
    let other = async || scripted(Context::default(), &[Does::SayLater(200, ms(30))]).await;
    let origin = Origin { bag: Some(&title), ..Origin::default() };
    let context = Context { call: Some(id), origin: Some(&origin), ..Context::new(&cancel) };
    let later = [Does::SayLater(503, ms(20)), Does::Hang, Does::SayLater(200, ms(25))];
    let watched = scripted(context, &later);
    let (_, _, fate) = tokio::join!(other(), other(), watched);
    assert_eq!(fate.expect("an answer"), Fate::OkHedged);
    let drawn = spans.exported().calls[&id].waterfall();
    assert_eq!(drawn, WATERFALL, "\n{drawn}");
}

/// A character for each five milliseconds.
const WATERFALL: &str = "\
GET /oslo     |============================| ok_hedged
  queue for 1 |======                      | admitted
  attempt 1   |      ====                  | failure
  wait for 2  |          ===               | retry of GET /oslo because of status
  attempt 2   |             ===============| neutral
  hedge 3     |                       =====| success
";

/// Says what came with each event.
#[derive(Default)]
struct Brought(std::sync::Mutex<Vec<(Option<TraceContext>, Option<u32>)>>);

impl Observer for Brought {
    fn on(&self, event: &Event<'_>) {
        if let Event::Call(event) = event {
            let brought = (event.origin.trace, event.origin.bag::<u32>().copied());
            self.0.lock().expect("no test panics with it").push(brought);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_brings_comes_with_each_event_of_its_call() {
    let brought = Arc::new(Brought::default());
    let policy = Policy::seeded(UpstreamId(7), Params::standard(), brought.clone(), 1);
    let trace = TraceContext::new([1; 16], [2; 8], 1);
    let origin = Origin { trace, bag: Some(&7_u32), parent: None };
    let context = Context { origin: Some(&origin), ..Context::default() };
    let make = |attempt: Attempt| perform(Does::Say(if attempt.number == 1 { 503 } else { 200 }));
    let (_answer, _permit) = policy.call(context, &Http, make).await.expect("an answer");
    let told = brought.0.lock().expect("nobody panicked").clone();
    assert_eq!(told, [(trace, Some(7)); 7]);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_told_of_the_call_that_failed() {
    let events = Arc::new(Events::default());
    let policy = Policy::seeded(UpstreamId(7), Params::bare(), events.clone(), 1);
    let policy = policy.with_fallback(async |_failed| Ok("prepared"));
    let answer = policy.run(async |_| Err::<&str, _>("no")).await.expect("something prepared");
    assert_eq!(answer.fate, Fate::Fallback);
    let calls: Vec<_> = events
        .all()
        .into_iter()
        .filter_map(|event| match event {
            Event::Call(event) => Some(event),
            _ => None,
        })
        .collect();
    let last = calls.last().expect("something was told");
    assert!(matches!(last.kind, CallEventKind::FellBack { fate: Fate::Failed }), "{last:?}");
    assert!(calls.iter().all(|event| event.call == last.call), "{calls:?}");
}
