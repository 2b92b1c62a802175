//! What every store must do, told once.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use seawall_jobs::{
    Clock, Ending, Entry, Filter, JobStore, Lease, NewJob, Noted, State, StoreError, Wish,
};

pub(crate) use crate::ends::*;

/// Is a new store that is empty, with a clock that stands still.
pub(crate) struct Scene<S> {
    pub(crate) store: S,
    pub(crate) clock: Clock,
}

pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// A Wednesday.
pub(crate) const BEGIN_MS: i64 = 1_795_600_000_000;

impl<S: JobStore> Scene<S> {
    pub(crate) async fn put(&self, change: impl FnOnce(&mut NewJob)) -> i64 {
        let mut job = NewJob::new("files", "import", "{\"a\":1}");
        change(&mut job);
        self.store.insert(job).await.unwrap().id
    }

    pub(crate) async fn claim(&self, max: u32) -> Vec<Lease> {
        let claimed = self.store.claim("files", "one", max, LEASE).await.unwrap();
        claimed.into_iter().map(|job| job.held).collect()
    }

    async fn state(&self, id: i64) -> State {
        self.store.get(id).await.unwrap().unwrap().state
    }
}

pub(crate) fn failed(error: &str, retry_after: Option<u64>) -> Ending {
    Ending::Failed { error: error.to_owned(), retry_after: retry_after.map(Duration::from_secs) }
}

pub(crate) async fn a_job_is_kept_as_it_was_put_in<S: JobStore>(scene: Scene<S>) {
    let id = scene.put(|job| (job.priority, job.attempts_max) = (-7, 3)).await;
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.queue.as_str(), row.kind.as_str()), ("files", "import"));
    assert_eq!((row.priority, row.attempts, row.attempts_max), (-7, 0, 3));
    assert_eq!((row.payload.as_str(), row.state), ("{\"a\":1}", State::Ready));
    assert_eq!((row.created_ms, row.run_at_ms), (BEGIN_MS, BEGIN_MS));
    assert_eq!(scene.store.get(id + 1).await.unwrap(), None);
    let claimed = scene.store.claim("files", "one", 9, LEASE).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].attempt, claimed[0].attempts_max), (1, 1, 3));
    assert_eq!((claimed[0].kind.as_str(), claimed[0].payload.as_str()), ("import", "{\"a\":1}"));
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.worker.as_deref()), (State::Running, Some("one")));
    assert_eq!(row.lease_until_ms, Some(BEGIN_MS + 30_000));
}

pub(crate) async fn the_most_urgent_is_claimed_first_and_none_before_its_time<S: JobStore>(
    scene: Scene<S>,
) {
    let late = scene.put(|job| job.run_at_ms = Some(BEGIN_MS - 10)).await;
    let old = scene.put(|job| job.run_at_ms = Some(BEGIN_MS - 20)).await;
    let urgent = scene.put(|job| job.priority = 5).await;
    let future = scene.put(|job| (job.priority, job.run_at_ms) = (9, Some(BEGIN_MS + 1000))).await;
    let _other = scene.put(|job| job.queue = "mail".to_owned()).await;
    let first: Vec<_> = scene.claim(2).await.iter().map(|held| held.id).collect();
    assert_eq!(first, [urgent, old]);
    scene.clock.pass(Duration::from_millis(999));
    let second: Vec<_> = scene.claim(9).await.iter().map(|held| held.id).collect();
    assert_eq!(second, [late]);
    scene.clock.pass(Duration::from_millis(1));
    let third: Vec<_> = scene.claim(9).await.iter().map(|held| held.id).collect();
    assert_eq!(third, [future]);
    assert!(scene.claim(9).await.is_empty());
}

pub(crate) async fn of_a_unique_key_one_job_lives<S: JobStore>(scene: Scene<S>) {
    let unique = || NewJob { unique_key: Some("k".into()), ..NewJob::new("files", "import", "") };
    let first = scene.store.insert(unique()).await.unwrap();
    let again = scene.store.insert(unique()).await.unwrap();
    assert_eq!((first.is_new, again.is_new, again.id), (true, false, first.id));
    let held = scene.claim(1).await[0];
    assert!(!scene.store.insert(unique()).await.unwrap().is_new, "it is running");
    scene.store.settle(held, Ending::Done { result: String::new() }).await.unwrap();
    let second = scene.store.insert(unique()).await.unwrap();
    assert!(second.is_new, "the first is done");
    scene.store.cancel(second.id).await.unwrap();
    let third = scene.store.insert(unique()).await.unwrap();
    assert!(third.is_new);
    let refused = scene.store.resume(second.id).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
}

fn entry(mark: &str, number: i64) -> Entry {
    let [ledger, item, mark] = ["folder", "a.csv", mark].map(str::to_owned);
    Entry { ledger, item, mark, number, stamp: "seen".to_owned() }
}

pub(crate) async fn of_an_entry_one_job_is_ever_put_in<S: JobStore>(scene: Scene<S>) {
    let of = |entry| NewJob { entry: Some(entry), ..NewJob::new("files", "import", "") };
    let put = async |entry| scene.store.insert(of(entry)).await.unwrap();
    let first = put(entry("one", 0)).await;
    assert_eq!((first.is_new, first.is_noted), (true, false));
    let again = put(entry("one", 0)).await;
    assert_eq!((again.id, again.is_new, again.is_noted), (first.id, false, true));
    let other = put(entry("two", 0)).await;
    assert!(other.is_new, "another mark is another entry");
    scene.store.cancel(first.id).await.unwrap();
    scene.clock.pass(Duration::from_secs(3600));
    assert_eq!(scene.store.prune(State::Cancelled, Duration::from_secs(60), 100).await, Ok(1));
    let again = put(entry("one", 0)).await;
    assert_eq!((again.id, again.is_noted), (first.id, true), "its job was pruned");
    assert!(put(entry("one", 7)).await.is_new, "a higher number is new");
    assert!(put(entry("one", 6)).await.is_noted, "a lower one is not");
}

pub(crate) async fn the_ledger_keeps_what_was_noted<S: JobStore>(scene: Scene<S>) {
    assert_eq!(scene.store.note(entry("one", 0)).await, Ok(true));
    assert_eq!(scene.store.note(entry("one", 0)).await, Ok(false));
    let looked = Entry { stamp: "changed".to_owned(), ..entry("one", 0) };
    assert_eq!(scene.store.note(looked.clone()).await, Ok(false));
    let items = vec!["a.csv".to_owned(), "none".to_owned()];
    let noted = scene.store.noted("folder", items.clone()).await.unwrap();
    assert_eq!(noted, [Noted { entry: looked, job: None, at_ms: BEGIN_MS }]);
    assert_eq!(scene.store.noted("other", items).await, Ok(Vec::new()));
    let bad = Entry { item: String::new(), ..entry("one", 0) };
    assert!(matches!(scene.store.note(bad).await, Err(StoreError::Refused(_))));
}

pub(crate) async fn nothing_is_noted_of_a_job_that_was_not_put_in<S: JobStore>(scene: Scene<S>) {
    let of = |mark| NewJob {
        entry: Some(entry(mark, 0)),
        unique_key: Some("k".into()),
        ..NewJob::new("files", "import", "")
    };
    let first = scene.store.insert(of("one")).await.unwrap();
    let second = scene.store.insert(of("two")).await.unwrap();
    assert_eq!((second.id, second.is_new, second.is_noted), (first.id, false, false));
    let noted = scene.store.noted("folder", vec!["a.csv".to_owned()]).await.unwrap();
    assert_eq!(noted.iter().map(|one| one.job).collect::<Vec<_>>(), [Some(first.id)]);
    scene.store.cancel(first.id).await.unwrap();
    assert!(scene.store.insert(of("two")).await.unwrap().is_new);
}

pub(crate) async fn only_the_newest_token_changes_a_job<S: JobStore>(scene: Scene<S>) {
    let id = scene.put(|_| ()).await;
    let zombie = scene.claim(1).await[0];
    scene.clock.pass(LEASE);
    assert_eq!(scene.store.reap().await.unwrap(), 0, "the lease lasts to its end");
    scene.clock.pass(Duration::from_millis(1));
    assert_eq!(scene.store.reap().await.unwrap(), 1);
    assert_eq!(scene.state(id).await, State::Ready);
    let held = scene.claim(1).await[0];
    assert_eq!((held.id, held.token > zombie.token), (id, true));
    let lost = Err(StoreError::LeaseLost(zombie));
    assert_eq!(scene.store.heartbeat(zombie, LEASE, None).await, lost.clone());
    let endings = [
        Ending::Done { result: "mine".into() },
        failed("mine", Some(1)),
        failed("mine", None),
        Ending::Released { wait: Duration::ZERO },
        Ending::Paused,
        Ending::Cancelled,
    ];
    for ending in endings {
        let settled = scene.store.settle(zombie, ending.clone()).await;
        assert_eq!(settled, Err(StoreError::LeaseLost(zombie)), "{ending:?}");
    }
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts, row.result), (State::Running, 2, None));
    let done = Ending::Done { result: "well".into() };
    scene.store.settle(held, done.clone()).await.unwrap();
    assert_eq!(scene.store.settle(held, done).await, Err(StoreError::LeaseLost(held)));
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.result.as_deref()), (State::Done, Some("well")));
}

pub(crate) async fn a_sign_of_life_keeps_the_lease_and_the_progress<S: JobStore>(scene: Scene<S>) {
    let id = scene.put(|_| ()).await;
    let held = scene.claim(1).await[0];
    for second in 0..10 {
        scene.clock.pass(Duration::from_secs(20));
        let progress = (second % 2 == 0).then(|| format!("{second}"));
        assert_eq!(scene.store.heartbeat(held, LEASE, progress).await, Ok(Wish::Go));
        assert_eq!(scene.store.reap().await.unwrap(), 0);
    }
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.progress.as_deref()), (1, Some("8")));
    scene.clock.pass(LEASE + Duration::from_millis(1));
    scene.store.reap().await.unwrap();
    let claimed = scene.store.claim("files", "two", 1, LEASE).await.unwrap();
    assert_eq!(claimed[0].progress.as_deref(), Some("8"), "the next one goes on from there");
}

pub(crate) async fn attempts_end_whether_they_fail_or_kill_their_worker<S: JobStore>(
    scene: Scene<S>,
) {
    let id = scene.put(|job| job.attempts_max = 3).await;
    let held = scene.claim(1).await[0];
    scene.store.settle(held, failed("first", Some(60))).await.unwrap();
    assert!(scene.claim(1).await.is_empty(), "it waits a minute");
    scene.clock.pass(Duration::from_secs(60));
    let _killed = scene.claim(1).await[0];
    scene.clock.pass(LEASE + Duration::from_millis(1));
    scene.store.reap().await.unwrap();
    let held = scene.claim(1).await[0];
    scene.store.settle(held, failed("third", Some(60))).await.unwrap();
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts, row.error.as_deref()), (State::Failed, 3, Some("third")));
    let second = scene.put(|job| job.attempts_max = 1).await;
    scene.claim(1).await;
    scene.clock.pass(LEASE + Duration::from_millis(1));
    scene.store.reap().await.unwrap();
    let row = scene.store.get(second).await.unwrap().unwrap();
    assert_eq!(row.state, State::Failed, "a poison message ends");
    assert!(row.error.unwrap().contains("the lease of one ended"));
    let third = scene.put(|_| ()).await;
    let held = scene.claim(1).await[0];
    scene.store.settle(held, failed("never again", None)).await.unwrap();
    assert_eq!(scene.state(third).await, State::Failed, "without a time it is not tried again");
}

pub(crate) async fn what_was_not_its_fault_costs_no_attempt<S: JobStore>(scene: Scene<S>) {
    let id = scene.put(|job| job.attempts_max = 1).await;
    for _ in 0..5 {
        let held = scene.claim(1).await[0];
        let wait = Duration::from_secs(5);
        scene.store.settle(held, Ending::Released { wait }).await.unwrap();
        assert!(scene.claim(1).await.is_empty());
        scene.clock.pass(wait);
    }
    assert_eq!(scene.store.get(id).await.unwrap().unwrap().attempts, 0);
}

pub(crate) async fn a_failed_job_can_be_cancelled<S: JobStore>(scene: Scene<S>) {
    let id = scene.put(|_| ()).await;
    let held = scene.claim(1).await[0];
    let failed = Ending::Failed { error: "no".to_owned(), retry_after: None };
    scene.store.settle(held, failed).await.unwrap();
    assert_eq!(scene.state(id).await, State::Failed);
    assert_eq!(scene.store.cancel(id).await, Ok(State::Cancelled));
    assert_eq!(scene.store.resume(id).await, Ok(State::Ready), "and begin again");
}

pub(crate) async fn people_pause_resume_and_cancel<S: JobStore>(scene: Scene<S>) {
    let (store, id) = (&scene.store, scene.put(|_| ()).await);
    assert_eq!(store.pause(id).await, Ok(State::Paused));
    assert!(scene.claim(1).await.is_empty());
    assert_eq!(store.resume(id).await, Ok(State::Ready));
    let held = scene.claim(1).await[0];
    assert_eq!(store.pause(id).await, Ok(State::Running), "its worker hears of it");
    assert_eq!(store.heartbeat(held, LEASE, None).await, Ok(Wish::Pause));
    assert_eq!(store.resume(id).await, Ok(State::Running));
    assert_eq!(store.heartbeat(held, LEASE, None).await, Ok(Wish::Go));
    store.pause(id).await.unwrap();
    store.settle(held, Ending::Paused).await.unwrap();
    let row = store.get(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts), (State::Paused, 0));
    store.resume(id).await.unwrap();
    let held = scene.claim(1).await[0];
    assert_eq!(store.heartbeat(held, LEASE, None).await, Ok(Wish::Go), "old wishes are forgotten");
    assert_eq!(store.cancel(id).await, Ok(State::Running));
    assert_eq!(store.heartbeat(held, LEASE, None).await, Ok(Wish::Cancel));
    let refused = StoreError::NotNow { what: "pause", id, state: State::Running };
    assert_eq!(store.pause(id).await, Err(refused), "it is to end");
    store.settle(held, Ending::Cancelled).await.unwrap();
    let refused = StoreError::NotNow { what: "cancel", id, state: State::Cancelled };
    assert_eq!(store.cancel(id).await, Err(refused));
    assert_eq!(store.resume(id).await, Ok(State::Ready), "a cancelled job can begin again");
    assert_eq!(store.cancel(id).await, Ok(State::Cancelled));
    assert_eq!(store.cancel(id + 1).await, Err(StoreError::NoJob(id + 1)));
    let _left = {
        store.resume(id).await.unwrap();
        scene.claim(1).await[0]
    };
    store.cancel(id).await.unwrap();
    scene.clock.pass(LEASE + Duration::from_millis(1));
    store.reap().await.unwrap();
    assert_eq!(scene.state(id).await, State::Cancelled, "its worker died before it heard of it");
}

pub(crate) async fn jobs_are_listed_and_what_happened_is_kept<S: JobStore>(scene: Scene<S>) {
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(scene.put(|job| job.kind = format!("kind-{}", number % 2)).await);
    }
    let store = &scene.store;
    store.pause(ids[1]).await.unwrap();
    let list = async |filter: Filter| {
        let rows = store.list(filter).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list(Filter::default()).await, [ids[4], ids[3], ids[2], ids[1], ids[0]]);
    let paused = Filter { state: Some(State::Paused), ..Filter::default() };
    assert_eq!(list(paused).await, [ids[1]]);
    let odd = Filter { kind: Some("kind-1".into()), limit: Some(1), ..Filter::default() };
    assert_eq!(list(odd).await, [ids[3]]);
    assert!(list(Filter { queue: Some("none".into()), ..Filter::default() }).await.is_empty());
    let older = Filter { before: Some(ids[2]), ..Filter::default() };
    assert_eq!(list(older).await, [ids[1], ids[0]]);

    for _ in 0..70 {
        let held = store.claim("files", "one", 1, LEASE).await.unwrap()[0].held;
        assert_eq!(held.id, ids[0]);
        store.settle(held, Ending::Released { wait: Duration::ZERO }).await.unwrap();
    }
    let happened = store.history(ids[0]).await.unwrap();
    assert_eq!(happened.len(), 100, "a hundred are kept");
    assert_eq!((happened[0].what.as_str(), happened[1].what.as_str()), ("ready", "claimed"));
    let happened = store.history(ids[1]).await.unwrap();
    let what: Vec<_> = happened.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(what, ["paused", "inserted"]);
}

pub(crate) async fn what_ended_long_ago_is_deleted_and_nothing_else<S: JobStore>(scene: Scene<S>) {
    let ended = scene.put(|_| ()).await;
    scene.store.cancel(ended).await.unwrap();
    let ready = scene.put(|_| ()).await;
    scene.clock.pass(Duration::from_secs(3600));
    let young = scene.put(|_| ()).await;
    scene.store.cancel(young).await.unwrap();
    let hour = Duration::from_secs(3599);
    for state in [State::Done, State::Failed, State::Ready] {
        assert_eq!(scene.store.prune(state, hour, 100).await, Ok(0), "{state}");
    }
    assert_eq!(scene.store.prune(State::Cancelled, hour, 100).await, Ok(1));
    assert_eq!(scene.store.get(ended).await, Ok(None));
    assert!(scene.store.history(ended).await.unwrap().is_empty());
    for id in [ready, young] {
        assert!(scene.store.get(id).await.unwrap().is_some());
    }
}

pub(crate) async fn what_is_too_much_is_refused_or_cut<S: JobStore>(scene: Scene<S>) {
    let bad = [
        NewJob::new("", "kind", ""),
        NewJob::new("queue", &"k".repeat(201), ""),
        NewJob::new("queue", "kind", "x".repeat((1 << 20) + 1)),
        NewJob::new("queue", "a\0b", ""),
        NewJob { attempts_max: 0, ..NewJob::new("queue", "kind", "") },
        NewJob { at_once: Some(0), ..NewJob::new("queue", "kind", "") },
        NewJob { tell_queue: Some(String::new()), ..NewJob::new("queue", "kind", "") },
        NewJob { unique_key: Some(String::new()), ..NewJob::new("queue", "kind", "") },
    ];
    for job in bad {
        let refused = scene.store.insert(job).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
    }
    let id = scene.put(|_| ()).await;
    let held = scene.claim(1).await[0];
    scene.store.settle(held, failed(&"\u{e9}\0".repeat(9000), None)).await.unwrap();
    let error = scene.store.get(id).await.unwrap().unwrap().error.unwrap();
    assert!(error.len() <= 4096 + 3 && error.ends_with('…'), "{}", error.len());
}

pub(crate) async fn who_waits_hears_that_something_changed<S: JobStore>(scene: Scene<S>) {
    let wait = Duration::from_secs(20);
    let id = {
        let changed = scene.store.changed();
        let putting = async {
            // A store that others share has to listen first.
            tokio::time::sleep(Duration::from_millis(300)).await;
            scene.put(|_| ()).await
        };
        let (heard, id) = tokio::join!(tokio::time::timeout(wait, changed), putting);
        heard.expect("nothing was heard of a new job");
        id
    };
    scene.claim(1).await;
    let changed = scene.store.changed();
    let (heard, _) = tokio::join!(tokio::time::timeout(wait, changed), scene.store.pause(id));
    heard.expect("nothing was heard of a wish");
}

pub(crate) async fn many_who_claim_at_once_share_the_jobs<S: JobStore>(scene: Scene<S>) {
    for _ in 0..200 {
        scene.put(|_| ()).await;
    }
    let claims = (0..20).map(|worker| {
        let store = &scene.store;
        async move {
            let mut held = Vec::new();
            let name = format!("worker-{worker}");
            loop {
                let claimed = store.claim("files", &name, 3, LEASE).await.unwrap();
                if claimed.is_empty() {
                    return held;
                }
                held.extend(claimed.into_iter().map(|job| job.held.id));
            }
        }
    });
    let claims: FuturesUnordered<_> = claims.collect();
    let mut all = claims.collect::<Vec<_>>().await.concat();
    all.sort_unstable();
    let length = all.len();
    all.dedup();
    assert_eq!((all.len(), length), (200, 200), "each job is claimed once");
}

/// Checks that a store of an earlier version has kept its jobs and can do what it could not.
pub(crate) async fn taken_over(store: &impl JobStore) {
    let rows = store.list(Filter::default()).await.unwrap();
    let payloads: Vec<_> = rows.iter().map(|row| (row.payload.as_str(), row.state)).collect();
    assert_eq!(payloads, [("older", State::Done), ("old", State::Ready)]);
    assert_eq!(store.history(1).await.unwrap().len(), 1);
    store.note(entry("one", 0)).await.unwrap();
    assert_eq!(store.noted("folder", vec!["a.csv".to_owned()]).await.unwrap().len(), 1);
}

/// Makes a test of each, for one store.
macro_rules! conforms {
    ($scene:path) => {
        conforms!($scene;
            a_job_is_kept_as_it_was_put_in,
            the_most_urgent_is_claimed_first_and_none_before_its_time,
            of_a_unique_key_one_job_lives,
            of_an_entry_one_job_is_ever_put_in,
            the_ledger_keeps_what_was_noted,
            nothing_is_noted_of_a_job_that_was_not_put_in,
            only_the_newest_token_changes_a_job,
            a_sign_of_life_keeps_the_lease_and_the_progress,
            attempts_end_whether_they_fail_or_kill_their_worker,
            what_was_not_its_fault_costs_no_attempt,
            a_failed_job_can_be_cancelled,
            people_pause_resume_and_cancel,
            jobs_are_listed_and_what_happened_is_kept,
            what_ended_long_ago_is_deleted_and_nothing_else,
            what_is_too_much_is_refused_or_cut,
            who_waits_hears_that_something_changed,
            many_who_claim_at_once_share_the_jobs,
            of_a_kind_with_a_limit_no_more_run_at_once,
            many_who_claim_at_once_keep_the_limit_of_a_kind,
            an_end_and_the_job_that_tells_of_it_are_one,
        );
    };
    ($scene:path; $($name:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                let (scene, _kept) = $scene().await;
                $crate::conformance::$name(scene).await;
            }
        )+
    };
}
pub(crate) use conforms;
