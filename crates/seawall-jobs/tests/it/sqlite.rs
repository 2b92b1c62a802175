//! Jobs in a file of SQLite.

use std::os::unix::fs::PermissionsExt;

use seawall_jobs::{Clock, JobStore, NewJob, SqliteStore};
use tempfile::TempDir;

use crate::conformance::{BEGIN_MS, Scene, conforms, taken_over};
use crate::older::{INDEXES_1, SQLITE_1};

async fn scene() -> (Scene<SqliteStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::by_hand(BEGIN_MS);
    let store = SqliteStore::open_with(folder.path().join("jobs.db"), clock.clone()).unwrap();
    (Scene { store, clock }, folder)
}

conforms!(scene);

#[tokio::test]
async fn what_was_answered_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::open(&path).unwrap();
    let id = store.insert(NewJob::new("files", "import", "x")).await.unwrap().id;
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.get(id).await.unwrap().unwrap().payload, "x");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read it");
}

#[tokio::test]
async fn two_processes_can_have_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (one, two) = (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    let put = async |store: &SqliteStore| {
        for _ in 0..50 {
            store.insert(NewJob::new("files", "import", "")).await.unwrap();
        }
    };
    tokio::join!(put(&one), put(&two));
    let lease = std::time::Duration::from_secs(30);
    let take = async |store: &SqliteStore| {
        let mut taken = 0;
        loop {
            match store.claim("files", "me", 7, lease).await.unwrap().len() {
                0 => return taken,
                more => taken += more,
            }
        }
    };
    let (first, second) = tokio::join!(take(&one), take(&two));
    assert_eq!(first + second, 100);
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_taken_over_with_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(SQLITE_1).unwrap();
    old.execute_batch(INDEXES_1).unwrap();
    drop(old);
    for _ in 0..2 {
        let store = SqliteStore::open(&path).unwrap();
        taken_over(&store).await;
    }
}

#[tokio::test]
async fn what_is_no_store_of_ours_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "this is no database, and long enough to be seen as none".repeat(99))
        .unwrap();
    let error = SqliteStore::open(&text).unwrap_err().to_string();
    assert!(error.contains("text") && error.contains("not a database"), "{error}");
    let newer = folder.path().join("newer");
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = SqliteStore::open(&newer).unwrap_err().to_string();
    assert!(error.contains("newer: it is of version 7"), "{error}");
    let error = SqliteStore::open(folder.path().join("none/jobs")).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn what_could_not_be_committed_was_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::open(&path).unwrap();
    store.insert(NewJob::new("files", "import", "before")).await.unwrap();
    // Another process holds the file for longer than anybody waits.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let error = store.insert(NewJob::new("files", "import", "meanwhile")).await.unwrap_err();
    assert!(error.to_string().contains("put a job in"), "{error}");
    assert!(error.to_string().contains("locked"), "{error}");
    other.execute_batch("rollback").unwrap();
    store.insert(NewJob::new("files", "import", "after")).await.unwrap();
    let rows = store.list(seawall_jobs::Filter::default()).await.unwrap();
    let payloads: Vec<_> = rows.iter().map(|row| row.payload.as_str()).collect();
    assert_eq!(payloads, ["after", "before"]);
}
