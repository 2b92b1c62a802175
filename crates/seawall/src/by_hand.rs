//! Does to a running upstream what a person wants: holds its breaker open or closed, injects faults.
//!
//! Does not know: who asks, or how. Invariant: whatever is done by hand has an end time, and faults
//! are injected only where the settings allow it.

use std::time::Duration;

use seawall_admin::{BreakerAction, BreakerChange, ByHand, ChaosChange};
use seawall_call::Policy;
use seawall_gateway::key_of;
use seawall_policy::chaos::ChaosPlan;
use tokio::time::Instant;

/// Does it; says what was done.
///
/// # Errors
///
/// Says why it cannot be done.
pub(crate) fn carry_out(
    by_hand: &ByHand,
    policy: &Policy,
    allows_chaos: bool,
) -> Result<String, String> {
    match by_hand {
        ByHand::Breaker(change) => change_breaker(change, policy),
        ByHand::Chaos(change) => change_chaos(change, policy, allows_chaos),
    }
}

fn change_breaker(change: &BreakerChange, policy: &Policy) -> Result<String, String> {
    let name = &change.upstream;
    if policy.params().breaker.is_none() {
        return Err(format!("`{name}` has no breaker: its policy switches it off"));
    }
    if change.action == BreakerAction::Release {
        if change.for_seconds.is_some() {
            return Err("a release has no end".to_owned());
        }
        return Ok(match policy.release() {
            true => format!("{name}: the breaker decides by itself again"),
            false => format!("{name}: nothing was set by hand"),
        });
    }
    let for_long = for_long(change.for_seconds)?;
    let until = Instant::now().into_std() + for_long;
    Ok(match change.action {
        BreakerAction::Open => {
            policy.isolate(until);
            format!("{name}: not called for {for_long:?}")
        }
        BreakerAction::Close | BreakerAction::Release => {
            policy.force_closed(until);
            format!("{name}: called for {for_long:?}, whatever fails")
        }
    })
}

fn change_chaos(change: &ChaosChange, policy: &Policy, is_allowed: bool) -> Result<String, String> {
    let name = &change.upstream;
    if change.for_seconds.is_none() {
        let none = ChaosChange { upstream: name.clone(), ..ChaosChange::default() };
        if *change != none {
            return Err("faults always have an end: say for how long".to_owned());
        }
        policy.end_chaos();
        return Ok(format!("{name}: no faults are injected any more"));
    }
    if !is_allowed {
        return Err("faults are injected only with `admin.chaos = true`".to_owned());
    }
    let for_long = for_long(change.for_seconds)?;
    let plan = plan(change, for_long)?;
    policy.set_chaos(plan).map_err(|unsound| unsound.to_string())?;
    Ok(format!("{name}: faults are injected for {for_long:?}"))
}

fn plan(change: &ChaosChange, for_long: Duration) -> Result<ChaosPlan, String> {
    let shares = [change.latency, change.errors, change.hangs, change.resets];
    if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
        return Err("a share is from 0 to 1".to_owned());
    }
    let sum: f64 = shares.iter().sum();
    // A little over: a tenth ten times is not one.
    if sum > 1.0 + 1e-9 {
        return Err(format!("the shares are {sum} together, more than all attempts"));
    }
    if sum <= 0.0 {
        return Err("nothing is to be injected: say a share of something".to_owned());
    }
    let by = Duration::try_from_secs_f64(change.latency_seconds).ok();
    let latency_by = by.filter(|by| *by <= LONGEST).ok_or("a latency is from 0 s to 24 h")?;
    if change.latency > 0.0 && latency_by.is_zero() {
        return Err("a latency of nothing: say how long".to_owned());
    }
    Ok(ChaosPlan {
        until: Instant::now().into_std() + for_long,
        key: change.key.as_deref().map(key_of),
        latency: change.latency,
        latency_by,
        errors: change.errors,
        hangs: change.hangs,
        resets: change.resets,
    })
}

fn for_long(seconds: Option<f64>) -> Result<Duration, String> {
    let seconds = seconds.ok_or("say for how long")?;
    let read = Duration::try_from_secs_f64(seconds).ok();
    let in_range = |read: &Duration| (Duration::from_secs(1)..=LONGEST).contains(read);
    read.filter(in_range).ok_or_else(|| "for how long: from 1 s to 24 h".to_owned())
}

/// What is done by hand is forgotten by morning; so it ends by then.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seawall_core::{BreakerState, Silent, UpstreamId};
    use seawall_policy::Params;

    use super::*;

    fn policy() -> Policy {
        Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent))
    }

    fn breaker(action: BreakerAction, for_seconds: Option<f64>) -> ByHand {
        ByHand::Breaker(BreakerChange { upstream: "a".to_owned(), action, for_seconds })
    }

    fn chaos(change: ChaosChange) -> ByHand {
        ByHand::Chaos(ChaosChange { upstream: "a".to_owned(), ..change })
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_that_is_held_open_decides_by_itself_again_at_its_end() {
        let policy = policy();
        let done = carry_out(&breaker(BreakerAction::Open, Some(60.0)), &policy, false);
        assert_eq!(done.as_deref(), Ok("a: not called for 60s"));
        assert_eq!(policy.snapshot().breaker, Some(BreakerState::Isolated));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(policy.snapshot().breaker, Some(BreakerState::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_set_by_hand_can_be_taken_back() {
        let policy = policy();
        assert!(carry_out(&breaker(BreakerAction::Close, Some(60.0)), &policy, false).is_ok());
        assert_eq!(policy.snapshot().breaker, Some(BreakerState::Forced));
        let release = breaker(BreakerAction::Release, None);
        assert!(carry_out(&release, &policy, false).unwrap().contains("by itself again"));
        assert!(carry_out(&release, &policy, false).unwrap().contains("nothing was set"));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_need_leave_and_an_end() {
        let policy = policy();
        let half = ChaosChange { for_seconds: Some(9.0), errors: 0.5, ..Default::default() };
        let denied = carry_out(&chaos(half.clone()), &policy, false).unwrap_err();
        assert!(denied.contains("admin.chaos"), "{denied}");
        let endless = chaos(ChaosChange { for_seconds: None, ..half.clone() });
        assert!(carry_out(&endless, &policy, true).unwrap_err().contains("an end"));
        assert!(carry_out(&chaos(half), &policy, true).is_ok());
        assert_eq!(policy.snapshot().chaos_for, Some(Duration::from_secs(9)));
        let clear = chaos(ChaosChange::default());
        assert!(carry_out(&clear, &policy, false).is_ok(), "an end is always allowed");
        assert_eq!(policy.snapshot().chaos_for, None);
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_that_mean_nothing_are_refused() {
        let policy = policy();
        let base = ChaosChange { for_seconds: Some(9.0), errors: 0.5, ..Default::default() };
        for (change, why) in [
            (ChaosChange { errors: 1.5, ..base.clone() }, "from 0 to 1"),
            (ChaosChange { errors: f64::NAN, ..base.clone() }, "from 0 to 1"),
            (ChaosChange { hangs: 0.6, ..base.clone() }, "more than all"),
            (ChaosChange { errors: 0.0, ..base.clone() }, "nothing is to be injected"),
            (ChaosChange { latency: 0.1, ..base.clone() }, "say how long"),
            (ChaosChange { latency_seconds: -1.0, ..base.clone() }, "0 s to 24 h"),
            (ChaosChange { for_seconds: Some(1e9), ..base.clone() }, "1 s to 24 h"),
            (ChaosChange { for_seconds: Some(0.0), ..base }, "1 s to 24 h"),
        ] {
            let refused = carry_out(&chaos(change.clone()), &policy, true).unwrap_err();
            assert!(refused.contains(why), "{change:?}: {refused}");
        }
        let endless = carry_out(&breaker(BreakerAction::Open, None), &policy, true);
        assert_eq!(endless.unwrap_err(), "say for how long");
    }
}
