//! What a policy learns whose events nobody hears: as much as one that is listened to.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use seawall_call::{CallError, CancelCell, Context, Plain, Policy};
use seawall_core::{CancelReason, Fate, Silent, UpstreamId};
use seawall_policy::hedge::{self, After};
use seawall_policy::{Params, adaptive, bulkhead, timeout};

use crate::scene::{ms, now, together};

fn unheard(params: Params) -> Policy {
    Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1)
}

/// Is answered so often after so long, one call after the other.
async fn answered(policy: &Policy, count: u32, after: Duration) {
    for _ in 0..count {
        let work = async |_| -> Result<(), ()> {
            tokio::time::sleep(after).await;
            Ok(())
        };
        policy.run(work).await.expect("it is answered");
    }
}

/// Returns a policy with one place that has learned that answers take 200 ms.
async fn learned() -> Policy {
    let limit = bulkhead::Params {
        in_flight_max: 1,
        queue_max: 1,
        queue_wait_max: ms(9_000),
        holds_abandoned: false,
        ..Default::default()
    };
    let timeout = timeout::Params { total: ms(9_000), attempt: ms(9_000), ..Default::default() };
    let adaptive = Some(adaptive::Params { min: 1, initial: 1 });
    let policy = unheard(Params { limit: Some(limit), adaptive, timeout, ..Params::bare() });
    answered(&policy, 20, ms(200)).await;
    policy
}

/// Returns how long a call waits for a place that does not come.
async fn waits(policy: &Policy) -> Duration {
    let hung = policy.run(async |_| pending::<Result<(), ()>>().await);
    let waits = policy.run(async |_| Ok::<(), ()>(()));
    match tokio::join!(hung, waits).1 {
        Err(CallError::QueueTimeout { waited }) => waited,
        ended => panic!("{ended:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_learns_how_long_answers_take() {
    let waited = waits(&learned().await).await;
    // Ten answers are worth waiting for, and one and a half of them are still to come.
    assert!(ms(1_700).abs_diff(waited) < ms(50), "{waited:?}");
}

/// Gives up five calls after half a second each, for this reason; of a call it is known with the next
/// that nobody was answered in between.
async fn give_up(policy: &Policy, reason: CancelReason) {
    for _ in 0..5 {
        let cancel = CancelCell::new();
        let work = async |_| pending::<Result<(), ()>>().await;
        let call = policy.call(Context::new(&cancel), &Plain, work);
        let left = tokio::time::timeout(ms(500), async {
            cancel.set(reason);
            call.await
        });
        assert!(left.await.is_err(), "it hangs");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_leave_say_how_long_a_wait_is_worth_and_a_server_that_stops_does_not() {
    let policy = learned().await;
    give_up(&policy, CancelReason::Shutdown).await;
    let waited = waits(&policy).await;
    assert!(ms(1_700).abs_diff(waited) < ms(50), "{waited:?}");
    let policy = learned().await;
    give_up(&policy, CancelReason::ClientGone).await;
    let waited = waits(&policy).await;
    assert!(ms(200).abs_diff(waited) < ms(50), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_in_vain_behind_callers_who_come_back_at_once() {
    // As many as the connections of a load generator, before an upstream that bears few at once.
    let limit = bulkhead::Params { in_flight_max: 12, ..Default::default() };
    let adaptive = Some(adaptive::Params { min: 12, initial: 12 });
    let policy = &unheard(Params { limit: Some(limit), adaptive, ..Params::bare() });
    answered(policy, 300, ms(1)).await;
    let until = now() + ms(3_000);
    let caller = async || {
        while now() < until {
            answered(policy, 1, ms(1)).await;
        }
    };
    together((0..200).map(|_| caller())).await;
}

#[tokio::test(start_paused = true)]
async fn a_hedge_learns_how_long_answers_take() {
    let after = After::Quantile(0.9);
    let hedge = Some(hedge::Params { after, min: ms(0), extra_max: 1, ratio_max: 1.0 });
    let policy = unheard(Params { hedge, ..Params::bare() });
    answered(&policy, 30, ms(20)).await;
    tokio::time::advance(ms(1_000)).await;
    let start = now();
    let answer = policy.run(async |attempt| {
        if !attempt.is_hedge {
            pending::<()>().await;
        }
        Ok::<(), ()>(())
    });
    assert_eq!(answer.await.expect("the hedge answers").fate, Fate::OkHedged);
    assert!((ms(19)..=ms(22)).contains(&(now() - start)), "{:?}", now() - start);
}
