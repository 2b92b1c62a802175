//! Calls that share one answer: who may leave, who may fail, and what is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_call::SingleFlight;
use seawall_core::{CancelCell, CancelReason};
use tokio::sync::Notify;

use crate::scene::{ms, poll_once};

/// Counts how many flights began, how many were dropped before their end, and for which reason.
#[derive(Clone, Default)]
struct Log {
    begun: Arc<AtomicU32>,
    cut: Arc<AtomicU32>,
    for_shutdown: Arc<AtomicU32>,
    go: Arc<Notify>,
}

struct Cut {
    log: Log,
    cancel: Arc<CancelCell>,
    is_over: bool,
}

impl Cut {
    fn end(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if !self.is_over {
            self.log.cut.fetch_add(1, Ordering::Relaxed);
            let is_shutdown = self.cancel.reason() == CancelReason::Shutdown;
            self.log.for_shutdown.fetch_add(u32::from(is_shutdown), Ordering::Relaxed);
        }
    }
}

impl Log {
    /// Flies until it is told to land.
    fn fly(&self, answer: u32) -> impl FnOnce(Arc<CancelCell>) -> Fly {
        let log = self.clone();
        move |cancel| {
            log.begun.fetch_add(1, Ordering::Relaxed);
            let mut cut = Cut { log, cancel, is_over: false };
            Box::pin(async move {
                cut.log.go.notified().await;
                cut.end();
                answer
            })
        }
    }

    fn counts(&self) -> (u32, u32) {
        (self.begun.load(Ordering::Relaxed), self.cut.load(Ordering::Relaxed))
    }
}

type Fly = std::pin::Pin<Box<dyn Future<Output = u32> + Send>>;

fn flights() -> SingleFlight<&'static str, u32> {
    SingleFlight::new(100, 2)
}

/// Lets every task run that can.
async fn settle() {
    tokio::time::sleep(ms(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_the_same_make_one_flight() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    let mut followers: Vec<_> =
        (0..1000).map(|one| flights.join("a", &cancel, log.fly(one)).expect("room")).collect();
    assert_eq!(followers.iter().filter(|follower| follower.is_first()).count(), 1);
    settle().await;
    log.go.notify_one();
    for follower in &mut followers {
        assert_eq!(follower.answer().await, Some(0));
    }
    assert_eq!(log.counts(), (1, 0));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_came_first_may_leave_and_the_others_get_their_answer() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    let first = flights.join("a", &cancel, log.fly(7)).expect("room");
    let mut second = flights.join("a", &cancel, log.fly(8)).expect("room");
    settle().await;
    drop(first);
    settle().await;
    log.go.notify_one();
    assert_eq!(second.answer().await, Some(7));
    assert_eq!(log.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_last_one_to_leave_cancels_for_its_own_reason() {
    let (flights, log) = (flights(), Log::default());
    let (one, other) = (CancelCell::default(), CancelCell::default());
    let first = flights.join("a", &one, log.fly(7)).expect("room");
    let second = flights.join("a", &other, log.fly(8)).expect("room");
    settle().await;
    drop(first);
    settle().await;
    assert_eq!(log.counts(), (1, 0));
    other.set(CancelReason::Shutdown);
    drop(second);
    assert!(flights.is_empty(), "whoever comes now begins anew");
    settle().await;
    assert_eq!(log.counts(), (1, 1));
    assert_eq!(log.for_shutdown.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_after_the_last_one_left_begins_anew() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    drop(flights.join("a", &cancel, log.fly(7)));
    let mut again = flights.join("a", &cancel, log.fly(8)).expect("room");
    assert!(again.is_first());
    settle().await;
    log.go.notify_one();
    assert_eq!(again.answer().await, Some(8));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn other_keys_fly_apart() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    let _a = flights.join("a", &cancel, log.fly(1)).expect("room");
    let b = flights.join("b", &cancel, log.fly(2)).expect("room");
    assert!(b.is_first());
    assert_eq!(flights.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_whoever_came_first_and_poisons_nothing() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    let broken = |_| async { panic!("on purpose") };
    let mut second = {
        let mut first = flights.join("a", &cancel, broken).expect("room");
        let mut second = flights.join("a", &cancel, log.fly(8)).expect("room");
        let caught = tokio::join!(second.answer(), async {
            let landed = std::panic::AssertUnwindSafe(first.answer());
            // As the gateway does: polled inside a guard.
            Guard(Box::pin(landed.0)).await
        });
        assert_eq!(caught, (None, Err(())));
        flights.join("a", &cancel, log.fly(9)).expect("room")
    };
    assert!(second.is_first());
    settle().await;
    log.go.notify_one();
    assert_eq!(second.answer().await, Some(9));
    assert!(flights.is_empty());
}

/// Catches a panic in the future inside.
struct Guard<'a, T>(std::pin::Pin<Box<dyn Future<Output = T> + 'a>>);

impl<T> Future for Guard<'_, T> {
    type Output = Result<T, ()>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let poll = std::panic::AssertUnwindSafe(|| self.0.as_mut().poll(cx));
        match std::panic::catch_unwind(poll) {
            Ok(polled) => polled.map(Ok),
            Err(_panic) => std::task::Poll::Ready(Err(())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_flight_begins_leaves_nothing_behind() {
    let (flights, cancel) = (flights(), CancelCell::default());
    let begin = |_: Arc<CancelCell>| -> Fly { panic!("on purpose") };
    let join = std::panic::AssertUnwindSafe(|| drop(flights.join("a", &cancel, begin)));
    std::panic::catch_unwind(join).expect_err("it panics");
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_nobody_waits_for_goes_on_and_is_one_a_key() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    assert!(flights.launch("a", log.fly(1)));
    assert!(!flights.launch("a", log.fly(2)), "one for each key");
    // Somebody looks in and leaves: it is not cancelled.
    let follower = flights.join("a", &cancel, log.fly(3)).expect("room");
    assert!(!follower.is_first());
    drop(follower);
    settle().await;
    assert_eq!(log.counts(), (1, 0));
    log.go.notify_one();
    settle().await;
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn flights_are_bounded_and_those_nobody_waits_for_too() {
    let (flights, log, cancel) = (SingleFlight::new(3, 2), Log::default(), CancelCell::default());
    assert!(flights.launch("a", log.fly(1)));
    assert!(flights.launch("b", log.fly(1)));
    assert!(!flights.launch("c", log.fly(1)), "two are the most");
    let kept = flights.join("c", &cancel, log.fly(1)).expect("room for three");
    assert!(flights.join("d", &cancel, log.fly(1)).is_none());
    assert!(flights.join("c", &cancel, log.fly(1)).is_some(), "no flight of its own");
    drop(kept);
    log.go.notify_waiters();
    settle().await;
    for _ in 0..2 {
        log.go.notify_one();
        settle().await;
    }
    assert!(flights.is_empty());
    assert!(flights.launch("e", log.fly(1)), "they count only while they fly");
}

#[test]
fn a_runtime_that_ends_takes_its_flights_with_it_and_fails_nobody_for_ever() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    let (first, second) = (runtime(), runtime());
    let _seat = first.block_on(async { flights.join("a", &cancel, log.fly(1)).expect("room") });
    let mut follower =
        second.block_on(async { flights.join("a", &cancel, log.fly(2)).expect("room") });
    drop(first);
    assert_eq!(second.block_on(follower.answer()), None);
    assert!(flights.is_empty());
}

#[test]
fn an_answer_crosses_from_one_runtime_to_another() {
    let flights = flights();
    let (begun, wait) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        let owner = scope.spawn(|| {
            let cancel = CancelCell::default();
            on_a_runtime(async {
                let (land, landing) = tokio::sync::oneshot::channel();
                let fly = move |_| async move { landing.await.unwrap_or(0) };
                let mut follower = flights.join("a", &cancel, fly).expect("room");
                begun.send(land).expect("the other thread waits");
                follower.answer().await
            })
        });
        let land = wait.recv().expect("it begins");
        let cancel = CancelCell::default();
        let answer = on_a_runtime(async {
            let never = |_| async { 99 };
            let mut follower = flights.join("a", &cancel, never).expect("room");
            assert!(!follower.is_first());
            land.send(7).expect("it flies");
            follower.answer().await
        });
        assert_eq!(answer, Some(7));
        assert_eq!(owner.join().expect("no panic"), Some(7));
    });
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

#[tokio::test(start_paused = true)]
async fn waiting_may_be_given_up_and_taken_up_again() {
    let (flights, log, cancel) = (flights(), Log::default(), CancelCell::default());
    let mut follower = flights.join("a", &cancel, log.fly(5)).expect("room");
    {
        let waiting = std::pin::pin!(follower.answer());
        assert!(!poll_once(waiting));
    }
    settle().await;
    log.go.notify_one();
    assert_eq!(follower.answer().await, Some(5));
}
