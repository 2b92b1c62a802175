//! Any order of operations by several workers: what must hold, holds.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use seawall_jobs::{
    Clock, Ending, Filter, JobStore, Lease, NewJob, SqliteStore, State, StoreError,
};

#[derive(Clone, Debug)]
enum Step {
    Insert {
        priority: i32,
        attempts_max: u32,
        key: Option<u8>,
    },
    Claim {
        max: u32,
    },
    /// Of the holders so far, current or not.
    Heartbeat(usize),
    Settle(usize, Ending),
    ByHand(usize, u8),
    Pass(u64),
    Reap,
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        Just(Ending::Done { result: String::new() }),
        Just(Ending::Failed { error: "no".into(), retry_after: Some(Duration::from_secs(1)) }),
        Just(Ending::Failed { error: "no".into(), retry_after: None }),
        Just(Ending::Released { wait: Duration::ZERO }),
        Just(Ending::Paused),
        Just(Ending::Cancelled),
    ];
    prop_oneof![
        3 => (-2..3, 1_u32..4, proptest::option::of(0_u8..2))
            .prop_map(|(priority, attempts_max, key)| Step::Insert { priority, attempts_max, key }),
        4 => (1_u32..4).prop_map(|max| Step::Claim { max }),
        2 => any::<usize>().prop_map(Step::Heartbeat),
        4 => (any::<usize>(), ending).prop_map(|(who, ending)| Step::Settle(who, ending)),
        2 => (any::<usize>(), 0_u8..3).prop_map(|(job, what)| Step::ByHand(job, what)),
        2 => (1_u64..40).prop_map(Step::Pass),
        1 => Just(Step::Reap),
    ]
}

const LEASE: Duration = Duration::from_secs(30);

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::by_hand(1_000_000);
    let store = SqliteStore::open_with(folder.path().join("jobs"), clock.clone()).unwrap();
    let (mut ids, mut holders) = (Vec::new(), Vec::<Lease>::new());
    // What the model knows: the newest token of each job, and whether it is held.
    let mut newest: HashMap<i64, i64> = HashMap::new();
    for step in steps {
        match step {
            Step::Insert { priority, attempts_max, key } => {
                let unique_key = key.map(|key| key.to_string());
                let job =
                    NewJob { priority, attempts_max, unique_key, ..NewJob::new("q", "k", "") };
                let inserted = store.insert(job).await.unwrap();
                prop_assert_eq!(inserted.is_new, !ids.contains(&inserted.id));
                if inserted.is_new {
                    ids.push(inserted.id);
                }
            }
            Step::Claim { max } => {
                let ready: Vec<_> = rows(&store)
                    .await
                    .into_iter()
                    .filter(|row| row.state == State::Ready && row.run_at_ms <= clock.now_ms())
                    .collect();
                let claimed = store.claim("q", "w", max, LEASE).await.unwrap();
                prop_assert_eq!(claimed.len(), ready.len().min(max as usize));
                let mut best: Vec<_> =
                    ready.iter().map(|row| (-row.priority, row.run_at_ms, row.id)).collect();
                best.sort_unstable();
                for (job, expected) in claimed.iter().zip(best) {
                    prop_assert_eq!(job.held.id, expected.2, "not the most urgent");
                    let before = newest.insert(job.held.id, job.held.token);
                    prop_assert!(before.is_none_or(|token| token < job.held.token));
                    holders.push(job.held);
                }
            }
            Step::Heartbeat(who) if !holders.is_empty() => {
                let held = holders[who % holders.len()];
                let row = store.get(held.id).await.unwrap().unwrap();
                let is_current = newest[&held.id] == held.token && row.state == State::Running;
                prop_assert_eq!(store.heartbeat(held, LEASE, None).await.is_ok(), is_current);
            }
            Step::Settle(who, ending) if !holders.is_empty() => {
                let held = holders[who % holders.len()];
                let row = store.get(held.id).await.unwrap().unwrap();
                let is_current = newest[&held.id] == held.token && row.state == State::Running;
                let settled = store.settle(held, ending).await;
                if is_current {
                    prop_assert_eq!(settled, Ok(()));
                } else {
                    prop_assert_eq!(settled, Err(StoreError::LeaseLost(held)));
                    prop_assert_eq!(store.get(held.id).await.unwrap().unwrap(), row);
                }
            }
            Step::ByHand(job, what) if !ids.is_empty() => {
                let id = ids[job % ids.len()];
                let _may_be_refused = match what {
                    0 => store.pause(id).await,
                    1 => store.resume(id).await,
                    _ => store.cancel(id).await,
                };
            }
            Step::Pass(seconds) => clock.pass(Duration::from_secs(seconds)),
            Step::Reap => {
                store.reap().await.unwrap();
                let now = clock.now_ms();
                let is_over = |until: Option<i64>| until.is_some_and(|until| until < now);
                let left = rows(&store).await.iter().any(|row| is_over(row.lease_until_ms));
                prop_assert!(!left, "a lease that ended is left");
            }
            Step::Heartbeat(_) | Step::Settle(..) | Step::ByHand(..) => {}
        }
        let rows = rows(&store).await;
        prop_assert_eq!(rows.len(), ids.len(), "a job is lost");
        let mut live = HashMap::new();
        for row in rows {
            prop_assert!(row.attempts <= row.attempts_max, "{row:?}");
            let is_held = row.lease_until_ms.is_some() && row.worker.is_some();
            prop_assert_eq!(is_held, row.state == State::Running, "{:?}", row);
            if let Some(key) = row
                .unique_key
                .filter(|_| matches!(row.state, State::Ready | State::Running | State::Paused))
            {
                prop_assert_eq!(live.insert(key, row.id), None, "two jobs of one key live");
            }
        }
    }
    Ok(())
}

async fn rows(store: &SqliteStore) -> Vec<seawall_jobs::JobRow> {
    store.list(Filter { limit: Some(1000), ..Filter::default() }).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_no_job_is_lost_or_held_twice(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}
