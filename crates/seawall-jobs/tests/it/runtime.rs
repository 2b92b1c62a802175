//! The job worker.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use seawall_jobs::{Ending, Filter, JobStore, NewJob, SqliteStore, State, Worker};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    store: SqliteStore,
    stop: CancellationToken,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("jobs")).unwrap();
        Self { store, stop: CancellationToken::new(), folder }
    }

    async fn put(&self, kind: &str) -> i64 {
        let job = NewJob { attempts_max: 2, ..NewJob::new("q", kind, "") };
        self.store.insert(job).await.unwrap().id
    }

    async fn wait_for(&self, id: i64, state: State) {
        let until = async {
            while self.store.get(id).await.unwrap().unwrap().state != state {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let row = || async { self.store.get(id).await };
        if timeout(PATIENCE, until).await.is_err() {
            panic!("never {state}: {:?}", row().await);
        }
    }
}

fn done() -> Ending {
    Ending::Done { result: String::new() }
}

#[tokio::test]
async fn jobs_are_worked_off_so_many_at_once_and_new_ones_at_once() {
    let scene = Scene::new();
    let (now, most) = (Cell::new(0), Cell::new(0));
    for _ in 0..20 {
        scene.put("a").await;
    }
    let worker = Worker { concurrency: 3, ..Worker::new("q", "me") };
    let work = worker.run(&scene.store, scene.stop.clone(), async |_, _| {
        now.set(now.get() + 1);
        most.set(most.get().max(now.get()));
        sleep(Duration::from_millis(5)).await;
        now.set(now.get() - 1);
        done()
    });
    let watch = async {
        let is_ready = Filter { state: Some(State::Done), ..Filter::default() };
        while scene.store.list(is_ready.clone()).await.unwrap().len() < 20 {
            sleep(Duration::from_millis(5)).await;
        }
        let began = std::time::Instant::now();
        let id = scene.put("a").await;
        scene.wait_for(id, State::Done).await;
        let took = began.elapsed();
        assert!(took < Duration::from_millis(900), "it waited for the next look: {took:?}");
        scene.stop.cancel();
    };
    timeout(PATIENCE, async { tokio::join!(work, watch) }).await.unwrap();
    assert_eq!(most.get(), 3);
}

#[tokio::test]
async fn a_job_that_panics_or_fails_is_tried_again_and_then_failed() {
    let scene = Scene::new();
    let id = scene.put("panics").await;
    let attempts = Cell::new(0);
    let worker = Worker::new("q", "me");
    let work = worker.run(&scene.store, scene.stop.clone(), async |job, _| {
        attempts.set(job.attempt);
        if job.attempt == 1 {
            panic!("on purpose");
        }
        Ending::Failed { error: "no more".into(), retry_after: Some(Duration::ZERO) }
    });
    let watch = async {
        scene.wait_for(id, State::Failed).await;
        scene.stop.cancel();
    };
    timeout(PATIENCE, async { tokio::join!(work, watch) }).await.unwrap();
    assert_eq!(attempts.get(), 2);
    let happened = scene.store.history(id).await.unwrap();
    assert!(happened.iter().any(|one| one.detail == "it panicked: on purpose"), "{happened:?}");
}

#[tokio::test]
async fn wishes_reach_a_job_soon_and_its_progress_others() {
    let scene = Scene::new();
    let id = scene.put("a").await;
    let worker = Worker { lease: Duration::from_secs(600), ..Worker::new("q", "me") };
    let work = worker.run(&scene.store, scene.stop.clone(), async |_, control| {
        control.set_progress("half".into());
        tokio::select! {
            () = control.pause.cancelled() => Ending::Paused,
            () = control.cancel.cancelled() => Ending::Cancelled,
        }
    });
    let watch = async {
        scene.wait_for(id, State::Running).await;
        scene.store.pause(id).await.unwrap();
        scene.wait_for(id, State::Paused).await;
        let progress = scene.store.get(id).await.unwrap().unwrap().progress;
        assert_eq!(progress.as_deref(), Some("half"));
        scene.store.resume(id).await.unwrap();
        scene.wait_for(id, State::Running).await;
        scene.store.cancel(id).await.unwrap();
        scene.wait_for(id, State::Cancelled).await;
        scene.stop.cancel();
    };
    timeout(PATIENCE, async { tokio::join!(work, watch) }).await.unwrap();
}

#[tokio::test]
async fn a_lease_is_kept_while_the_worker_stops() {
    let scene = Scene::new();
    let id = scene.put("slow").await;
    let lease = Duration::from_secs(1);
    let (one, two) = (Worker { lease, ..Worker::new("q", "one") }, Worker::new("q", "two"));
    let begun = RefCell::new(Vec::new());
    let first = one.run(&scene.store, scene.stop.clone(), async |job, _| {
        begun.borrow_mut().push(job.attempt);
        scene.stop.cancel();
        // Longer than two leases: without a sign of life the other one would take it.
        sleep(Duration::from_millis(2500)).await;
        done()
    });
    let stop = CancellationToken::new();
    let second = async {
        scene.wait_for(id, State::Running).await;
        let work = two.run(&scene.store, stop.clone(), async |job, _| {
            begun.borrow_mut().push(job.attempt);
            done()
        });
        work.await;
    };
    let watch = async {
        first.await;
        stop.cancel();
    };
    timeout(PATIENCE, async { tokio::join!(watch, second) }).await.unwrap();
    assert_eq!(*begun.borrow(), [1]);
    assert_eq!(scene.store.get(id).await.unwrap().unwrap().state, State::Done);
}

#[tokio::test]
async fn a_job_whose_lease_was_lost_is_dropped_and_what_it_came_to_is_not_told() {
    struct Gone<'a>(&'a Cell<bool>);
    impl Drop for Gone<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let scene = Scene::new();
    let id = scene.put("slow").await;
    let dropped = Cell::new(false);
    let worker = Worker { lease: Duration::from_millis(150), ..Worker::new("q", "one") };
    let path = scene.folder.path().join("jobs");
    let work = worker.run(&scene.store, scene.stop.clone(), async |_, _| {
        let _gone = Gone(&dropped);
        // Holds the thread, and with it every sign of life, until another process has taken it:
        // what a job must never do.
        let path = path.clone();
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(taken_by_another(&path))
        });
        other.join().unwrap();
        scene.stop.cancel();
        std::future::pending().await
    });
    timeout(PATIENCE, work).await.unwrap();
    assert!(dropped.get());
    let row = scene.store.get(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.worker.as_deref()), (State::Running, Some("two")));
}

/// Waits until the lease of a job has ended, and takes it.
async fn taken_by_another(path: &std::path::Path) {
    let store = SqliteStore::open(path).unwrap();
    loop {
        store.reap().await.unwrap();
        if !store.claim("q", "two", 1, Duration::from_secs(600)).await.unwrap().is_empty() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
}
