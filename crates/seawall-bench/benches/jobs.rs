//! How many jobs a second the stores put in, claim and complete, durably; beside what the disk can
//! do, and SQLite with a transaction for each.
//!
//! The disk is the same in all rows, and it is what decides: compare the rows, not the days.

#![expect(clippy::unwrap_used, reason = "a benchmark whose fixture is not as expected has failed")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use seawall_jobs::{Ending, JobStore, Lease, NewJob, PostgresStore, SqliteStore};
use tokio::runtime::Builder;

#[path = "../../seawall-jobs/tests/it/server.rs"]
mod server;

const LEASE: Duration = Duration::from_secs(600);
const ROUNDS: usize = 3;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("200 bytes of payload, {ROUNDS} rounds, medians\n");
    println!("| jobs a second | put in | claimed | completed |");
    println!("|---|---|---|---|");
    let row = |name: &str, each: [f64; 3]| {
        let [put, claimed, completed] = each.map(|rate| match rate {
            0.0 => String::new(),
            rate => format!("{rate:.0}"),
        });
        println!("| {name} | {put} | {claimed} | {completed} |");
    };
    let disk = median(|| [appended(folder.path(), 1000), 0.0, 0.0]);
    row("limit: 200 bytes and an `fdatasync` each", disk);
    let single = median(|| [single(folder.path(), 1000), 0.0, 0.0]);
    row("SQLite, a transaction for each, one at a time", single);
    for (at_once, jobs) in [(1, 1000), (64, 20_000), (256, 40_000)] {
        let rates = median(|| {
            let path = folder.path().join("jobs");
            let store = SqliteStore::open(&path).unwrap();
            let rates = runtime.block_on(worked(&store, at_once, jobs));
            drop(store);
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", path.display()));
            }
            rates
        });
        row(&format!("**SQLite store**, {at_once} at once"), rates);
    }
    let server = server::Server::start();
    for (at_once, jobs) in [(1, 500), (8, 2000), (64, 4000)] {
        let rates = median(|| {
            runtime.block_on(async {
                let store = loop {
                    match PostgresStore::connect(&server.url()).await {
                        Ok(store) => break store,
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                };
                worked(&store, at_once, jobs).await
            })
        });
        row(&format!("**PostgreSQL store**, {at_once} at once, 8 connections"), rates);
    }
}

fn median(mut round: impl FnMut() -> [f64; 3]) -> [f64; 3] {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    std::array::from_fn(|column| {
        let mut rates: Vec<_> = rounds.iter().map(|rates| rates[column]).collect();
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    })
}

fn appended(folder: &Path, times: u32) -> f64 {
    let mut file = File::create(folder.join("append")).unwrap();
    rate(times, || {
        file.write_all(&[b'x'; 200]).unwrap();
        file.sync_data().unwrap();
    })
}

fn single(folder: &Path, times: u32) -> f64 {
    let connection = rusqlite::Connection::open(folder.join("single")).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    connection
        .execute_batch("create table if not exists jobs (id integer primary key, payload text)")
        .unwrap();
    let payload = "x".repeat(200);
    rate(times, || {
        connection.execute("insert into jobs (payload) values (?1)", [&payload]).unwrap();
    })
}

fn rate(times: u32, mut each: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..times).for_each(|_| each());
    f64::from(times) / began.elapsed().as_secs_f64()
}

/// Puts in, claims one by one and completes, so many at once.
async fn worked(store: &dyn JobStore, at_once: usize, jobs: usize) -> [f64; 3] {
    let payload = "x".repeat(200);
    let job = NewJob::new("bench", "work", &payload);
    let (put, _) = many(at_once, jobs, || {
        let job = job.clone();
        async { store.insert(job).await.unwrap().id }
    })
    .await;
    let (claimed, held) = many(at_once, jobs, || async {
        let claimed = store.claim("bench", "me", 1, LEASE).await.unwrap();
        claimed.first().expect("there are as many as were put in").held
    })
    .await;
    let mut held = held.into_iter();
    let (completed, _) = many(at_once, jobs, || {
        let held: Lease = held.next().unwrap();
        let done = Ending::Done { result: String::new() };
        async move { store.settle(held, done).await.unwrap() }
    })
    .await;
    [put, claimed, completed]
}

async fn many<F: Future>(
    at_once: usize,
    times: usize,
    mut each: impl FnMut() -> F,
) -> (f64, Vec<F::Output>) {
    let (began, mut done) = (Instant::now(), Vec::with_capacity(times));
    let mut running = FuturesUnordered::new();
    for _ in 0..at_once.min(times) {
        running.push(each());
    }
    while let Some(one) = running.next().await {
        done.push(one);
        if done.len() + running.len() < times {
            running.push(each());
        }
    }
    (times as f64 / began.elapsed().as_secs_f64(), done)
}
