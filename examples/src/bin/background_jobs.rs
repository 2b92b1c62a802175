//! Background jobs that survive a crash: enqueued, run two at a time, tried again.
//!
//!     cargo run -p seawall-examples --bin background_jobs
//!
//! Kill it and start it again: what was not done goes on. Here the store is gone at the end.

use std::error::Error;
use std::time::Duration;

use seawall_jobs::{Claimed, Ending, Filter, JobControl, JobStore, NewJob, SqliteStore, Worker};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("seawall-jobs-{}.db", std::process::id()));
    let store = SqliteStore::open(&path)?;
    for name in ["ada", "grace", "linus"] {
        // Of jobs with the same key one is under way: who clicks twice is written to once.
        let key = Some(format!("welcome {name}"));
        let job = NewJob { unique_key: key, ..NewJob::new("mail", "welcome", name) };
        let first = store.insert(job.clone()).await?;
        let again = store.insert(job).await?;
        println!("{name}: new {}, and then {}", first.is_new, again.is_new);
    }

    let stop = CancellationToken::new();
    let worker = Worker::new("mail", "this-machine");
    let working = worker.run(&store, stop.clone(), send);
    let watching = async {
        while store.list(Filter::default()).await?.iter().any(|job| job.result.is_none()) {
            store.changed().await;
        }
        stop.cancel();
        Ok::<_, seawall_jobs::StoreError>(())
    };
    let ((), watched) = tokio::join!(working, watching);
    watched?;
    for job in store.list(Filter::default()).await?.iter().rev() {
        let result = job.result.as_deref().unwrap_or_default();
        println!("{}: {} after {} attempts, {result}", job.payload, job.state, job.attempts);
    }
    drop(store);
    for end in ["", "-wal", "-shm"] {
        // Those of SQLite are gone by then.
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    Ok(())
}

/// Sends one mail; the post is closed the first time that Grace is written to.
async fn send(job: Claimed, control: JobControl) -> Ending {
    control.set_progress("half written".to_owned());
    if job.payload == "grace" && job.attempt == 1 {
        let error = "the post is closed".to_owned();
        return Ending::Failed { error, retry_after: Some(Duration::from_millis(10)) };
    }
    Ending::Done { result: format!("dear {}", job.payload) }
}
