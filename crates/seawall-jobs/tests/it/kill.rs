//! A process that is killed while it puts jobs in and works them off: what was answered is there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use seawall_jobs::{Ending, Filter, JobStore, NewJob, SqliteStore, State};

/// Says what it was answered, one line each, until it is killed. Only what the test below starts.
#[test]
fn victim() {
    let Some(path) = std::env::var_os("SEAWALL_JOBS_VICTIM") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(path).unwrap();
        let lease = Duration::from_secs(600);
        let say = |line: String| {
            let mut out = std::io::stderr().lock();
            out.write_all(line.as_bytes()).unwrap();
        };
        let put = async {
            loop {
                let id = store.insert(NewJob::new("q", "k", "")).await.unwrap().id;
                say(format!("put {id}\n"));
            }
        };
        let work = async || loop {
            for job in store.claim("q", "victim", 2, lease).await.unwrap() {
                let done = Ending::Done { result: "well".into() };
                store.settle(job.held, done).await.unwrap();
                say(format!("done {}\n", job.held.id));
            }
        };
        tokio::join!(put, work(), work());
    });
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs");
    let (mut put, mut done) = (Vec::new(), Vec::new());
    for lines in [50, 170, 300, 90, 230, 400] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::victim", "--nocapture"])
            .env("SEAWALL_JOBS_VICTIM", &path)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        for (number, line) in said.lines().map_while(Result::ok).enumerate() {
            if number == lines {
                child.kill().unwrap();
            }
            match line.split_once(' ') {
                Some(("put", id)) => put.push(id.parse::<i64>().unwrap()),
                Some(("done", id)) => done.push(id.parse::<i64>().unwrap()),
                _ => panic!("the victim said: {line}"),
            }
        }
        child.wait().unwrap();
    }
    assert!(put.len() > 100 && done.len() > 100, "{} put, {} done", put.len(), done.len());
    let store = SqliteStore::open(&path).unwrap();
    for id in put {
        assert!(store.get(id).await.unwrap().is_some(), "job {id} is lost");
    }
    for id in done {
        assert_eq!(store.get(id).await.unwrap().unwrap().state, State::Done, "job {id}");
    }
    let rows = store.list(Filter { limit: Some(1000), ..Filter::default() }).await.unwrap();
    assert!(rows.iter().all(|row| row.attempts <= 1), "a job was claimed twice");
}
