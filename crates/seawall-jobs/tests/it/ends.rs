//! What every store must do about kinds with a limit, and about telling that a job has ended.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use seawall_jobs::{EndedJob, Ending, Filter, JobStore, NewJob, State};

use crate::conformance::{BEGIN_MS, LEASE, Scene, failed};

pub(crate) async fn of_a_kind_with_a_limit_no_more_run_at_once<S: JobStore>(scene: Scene<S>) {
    let mut limited = Vec::new();
    for priority in [0, 0, 7, 0] {
        limited.push(scene.put(|job| (job.priority, job.at_once) = (priority, Some(2))).await);
    }
    let free = scene.put(|job| job.kind = "export".to_owned()).await;
    let other_queue = scene.put(|job| (job.queue, job.at_once) = ("mail".into(), Some(1))).await;
    let claim = async || {
        let mut held = scene.claim(9).await;
        held.extend(scene.claim(9).await);
        held.extend(scene.claim(9).await);
        held
    };
    let held = claim().await;
    let mut ids: Vec<_> = held.iter().map(|one| one.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [limited[0], limited[2], free], "the most urgent first, and two of them");
    let one = *held.iter().find(|one| one.id == limited[2]).unwrap();
    scene.store.settle(one, Ending::Done { result: String::new() }).await.unwrap();
    let held = claim().await;
    assert_eq!(held.iter().map(|one| one.id).collect::<Vec<_>>(), [limited[1]]);
    assert!(claim().await.is_empty());
    // Those whose worker died have their lease for as long as it is one.
    scene.clock.pass(LEASE + Duration::from_millis(1));
    scene.store.reap().await.unwrap();
    assert_eq!(claim().await.len(), 3);
    let mail = scene.store.claim("mail", "one", 9, LEASE).await.unwrap();
    assert_eq!(mail[0].held.id, other_queue, "each queue counts its own");
}

pub(crate) async fn many_who_claim_at_once_keep_the_limit_of_a_kind<S: JobStore>(scene: Scene<S>) {
    for priority in 0..20 {
        scene.put(|job| (job.priority, job.at_once) = (priority % 3, Some(3))).await;
    }
    let (store, running) = (&scene.store, std::cell::Cell::new(0));
    let workers = (0..8).map(|worker| {
        let running = &running;
        async move {
            let (name, mut ended) = (format!("worker-{worker}"), 0);
            for _ in 0..200 {
                for job in store.claim("files", &name, 2, LEASE).await.unwrap() {
                    running.set(running.get() + 1);
                    assert!(running.get() <= 3, "{} at once", running.get());
                    tokio::task::yield_now().await;
                    running.set(running.get() - 1);
                    let done = Ending::Done { result: String::new() };
                    store.settle(job.held, done).await.unwrap();
                    ended += 1;
                }
                let left = Filter { state: Some(State::Ready), ..Filter::default() };
                if store.list(left).await.unwrap().is_empty() {
                    break;
                }
            }
            ended
        }
    });
    let workers: FuturesUnordered<_> = workers.collect();
    assert_eq!(workers.collect::<Vec<_>>().await.iter().sum::<u32>(), 20);
}

pub(crate) async fn an_end_and_the_job_that_tells_of_it_are_one<S: JobStore>(scene: Scene<S>) {
    let told = |job: &mut NewJob| job.tell_queue = Some("ends".to_owned());
    let ends = async || {
        let ends = scene.store.claim("ends", "teller", 9, LEASE).await.unwrap();
        ends.into_iter().map(|end| EndedJob::read(&end.payload).unwrap()).collect::<Vec<_>>()
    };
    let id = scene.put(told).await;
    let held = scene.claim(1).await[0];
    scene.store.settle(held, failed("not yet", Some(0))).await.unwrap();
    assert!(ends().await.is_empty(), "it is tried again");
    let held = scene.claim(1).await[0];
    scene.store.settle(held, Ending::Done { result: "{\"ok\":3}".into() }).await.unwrap();
    let done = ends().await.pop().unwrap();
    assert_eq!((done.id, done.kind.as_str(), done.state.as_str()), (id, "import", "done"));
    assert_eq!((done.result.as_deref(), done.error, done.attempts), (Some("{\"ok\":3}"), None, 2));
    assert_eq!((done.created_ms, done.ended_ms), (BEGIN_MS, BEGIN_MS));
    assert_eq!(done.token, held.token);

    let again = scene.store.settle(held, Ending::Done { result: String::new() }).await;
    assert!(again.is_err() && ends().await.is_empty(), "an end is told once");
    let failing = scene.put(told).await;
    let held = scene.claim(1).await[0];
    scene.store.settle(held, failed("no", None)).await.unwrap();
    let first = ends().await.pop().unwrap();
    assert_eq!((first.id, first.error.as_deref(), first.has_failed()), (failing, Some("no"), true));
    // Resumed, it ends once more, and that is another end.
    scene.store.resume(failing).await.unwrap();
    let held = scene.claim(1).await[0];
    scene.store.settle(held, Ending::Done { result: String::new() }).await.unwrap();
    let second = ends().await.pop().unwrap();
    assert!(!second.has_failed() && second.key() != first.key(), "{second:?}");

    // Its worker died too often: nobody settles it, and it has failed all the same.
    scene.put(|job| (job.attempts_max, job.tell_queue) = (1, Some("ends".into()))).await;
    scene.claim(1).await;
    scene.clock.pass(LEASE + Duration::from_millis(1));
    scene.store.reap().await.unwrap();
    let ends_now = ends().await;
    // Those that were not told of by then are told of again.
    let errors: Vec<_> = ends_now.iter().filter_map(|end| end.error.as_deref()).collect();
    assert!(errors.iter().any(|error| error.contains("the lease of one ended")), "{errors:?}");
    for (ending, why) in [(Ending::Cancelled, "cancelled"), (Ending::Paused, "paused")] {
        scene.put(told).await;
        let held = scene.claim(1).await[0];
        scene.store.settle(held, ending).await.unwrap();
        assert!(ends().await.is_empty(), "{why} is no end to tell of");
    }
    scene.put(|_| ()).await;
    let held = scene.claim(1).await[0];
    scene.store.settle(held, Ending::Done { result: String::new() }).await.unwrap();
    assert!(ends().await.is_empty(), "nobody is to be told");
}
