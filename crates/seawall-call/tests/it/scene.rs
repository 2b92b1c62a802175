//! A policy, the events it told, and an upstream that does as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use seawall_call::{Answer, Attempt, CallError, Context, Judge, Permit, Policy};
use seawall_core::{
    CallEventKind, CancelCell, Chaos, Deadline, Event, Failure, Fate, Outcome, RetryDenied,
    UpstreamId,
};
use seawall_policy::Params;
use seawall_testkit::{EventPattern, Events, call_event};

/// Is what an upstream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16, pub(crate) Option<Duration>);

/// Is what an upstream does with one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    Say(u16),
    SayLater(u16, Duration),
    AskToWait(u16, Duration),
    Fail(Failure),
    Hang,
}

pub(crate) type Ended = Result<Held, CallError<Failure>>;

/// Is an answer that still has its place.
#[derive(Debug)]
pub(crate) struct Held {
    answer: Answer<Status>,
    pub(crate) permit: Permit,
}

impl Held {
    pub(crate) fn new((answer, permit): (Answer<Status>, Permit)) -> Self {
        Self { answer, permit }
    }
}

impl std::ops::Deref for Held {
    type Target = Answer<Status>;

    fn deref(&self) -> &Answer<Status> {
        &self.answer
    }
}

/// Holds one policy and what became of it.
pub(crate) struct Scene {
    pub(crate) policy: Policy,
    pub(crate) cancel: CancelCell,
    events: Arc<Events>,
    attempts: AtomicU32,
}

impl Scene {
    pub(crate) fn new(params: Params) -> Self {
        let events = Arc::new(Events::default());
        let policy = Policy::seeded(UpstreamId(7), params, events.clone(), 42);
        let cancel = CancelCell::default();
        Self { policy, cancel, events, attempts: AtomicU32::new(0) }
    }

    /// Makes one call; the attempts do what the script says, the last line again and again.
    pub(crate) async fn call(&self, script: &[Does]) -> Ended {
        self.call_until(None, script).await
    }

    pub(crate) async fn call_until(&self, deadline: Option<Instant>, script: &[Does]) -> Ended {
        let deadline = deadline.map(Deadline::at);
        self.call_with(Context { deadline, ..Context::new(&self.cancel) }, script).await
    }

    pub(crate) async fn call_with(&self, context: Context<'_>, script: &[Does]) -> Ended {
        let make = |attempt: Attempt| {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let line = (attempt.number as usize - 1).min(script.len() - 1);
            perform(script[line])
        };
        self.policy.call(context, &Http, make).await.map(Held::new)
    }

    /// Makes one call and lets go of its answer at once.
    pub(crate) async fn fate(&self, script: &[Does]) -> Fate {
        match self.call(script).await {
            Ok(answer) => answer.fate,
            Err(error) => error.fate(),
        }
    }

    /// Returns how many attempts the upstream has seen.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Returns how many events of this pattern were told.
    pub(crate) fn told(&self, pattern: &EventPattern<impl Fn(&Event<'_>) -> bool>) -> usize {
        self.events.count(pattern)
    }

    /// Returns what happened to all calls, in order.
    pub(crate) fn story(&self) -> Vec<CallEventKind<'static>> {
        let of_calls = |event| if let Event::Call(event) = event { Some(event.kind) } else { None };
        self.events.all().into_iter().filter_map(of_calls).collect()
    }

    /// Asserts that nothing is held any more, and that every call and attempt has ended.
    #[track_caller]
    pub(crate) fn assert_at_rest(&self) {
        let snapshot = self.policy.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0), "{snapshot:?}");
        let calls = self.told(&call_event!(Started));
        assert_eq!(calls, self.told(&call_event!(Ended { .. })), "a call without an end");
        let attempts = self.told(&call_event!(AttemptStarted { .. }));
        assert_eq!(
            attempts,
            self.told(&call_event!(AttemptEnded { .. })),
            "an attempt without one"
        );
        let queued = self.told(&call_event!(Queued { .. }));
        assert_eq!(queued, self.told(&call_event!(Dequeued { .. })), "a wait without one");
    }
}

pub(crate) async fn perform(does: Does) -> Result<Status, Failure> {
    match does {
        Does::Say(status) => Ok(Status(status, None)),
        Does::SayLater(status, after) => {
            tokio::time::sleep(after).await;
            Ok(Status(status, None))
        }
        Does::AskToWait(status, wait) => Ok(Status(status, Some(wait))),
        Does::Fail(failure) => Err(failure),
        Does::Hang => std::future::pending().await,
    }
}

/// Judges as the gateway does; every request may be repeated.
pub(crate) struct Http;

impl Judge<Status, Failure> for Http {
    fn outcome(&self, result: Result<&Status, &Failure>) -> Outcome {
        match result {
            Ok(&Status(status @ 429, retry_after))
            | Ok(&Status(status @ 503, retry_after @ Some(_))) => {
                let is_throttled = status == 429;
                Outcome::Overload { code: Some(status.into()), retry_after, is_throttled }
            }
            Ok(&Status(status, _)) if status >= 500 => {
                Outcome::Failure(Failure::Answered(status.into()))
            }
            Ok(_) => Outcome::Success,
            Err(&failure) => Outcome::Failure(failure),
        }
    }

    fn may_repeat(&self, _: Option<Result<&Status, &Failure>>) -> Result<(), RetryDenied> {
        Ok(())
    }

    fn may_hedge(&self) -> bool {
        true
    }

    fn injected(&self, what: Chaos) -> Option<Result<Status, Failure>> {
        Some(match what {
            Chaos::Reset => Err(Failure::Reset),
            _ => Ok(Status(503, None)),
        })
    }
}

/// Awaits all together, and keeps what each comes to.
#[expect(clippy::disallowed_methods, reason = "there are as many as the test begins")]
pub(crate) async fn together<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Polls a future once, as a task of its own would.
pub(crate) fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    future.poll(&mut cx).is_ready()
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Reads the paused clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
