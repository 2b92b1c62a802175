//! Jobs in a real PostgreSQL, started here on a free port.

use std::time::{Duration, Instant};

use seawall_jobs::{Clock, JobStore, NewJob, PostgresStore};

use crate::conformance::{BEGIN_MS, LEASE, Scene, conforms, taken_over};
use crate::older::{INDEXES_1, POSTGRES_1};
use crate::server::Server;

async fn scene() -> (Scene<PostgresStore>, Server) {
    let server = Server::start();
    let clock = Clock::by_hand(BEGIN_MS);
    let store = connect(&server, clock.clone()).await;
    (Scene { store, clock }, server)
}

/// Connects as soon as the server takes connections: it listens before it does.
async fn connect(server: &Server, clock: Clock) -> PostgresStore {
    let began = Instant::now();
    loop {
        match PostgresStore::connect_with(&server.url(), clock.clone()).await {
            Ok(store) => return store,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

conforms!(scene);

#[tokio::test]
async fn b4_a_server_that_was_away_is_used_again_and_nothing_is_lost() {
    let (scene, mut server) = scene().await;
    let put = async || scene.store.insert(NewJob::new("files", "import", "x")).await;
    let before = put().await.unwrap().id;
    server.stop();
    let error = put().await.unwrap_err().to_string();
    assert!(error.starts_with("put a job in PostgreSQL 127.0.0.1:"), "{error}");
    assert!(!error.contains("canary"), "the password is told: {error}");
    server.start_again();
    let began = Instant::now();
    let after = loop {
        match put().await {
            Ok(inserted) => break inserted.id,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let claimed = scene.store.claim("files", "one", 9, LEASE).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|job| job.held.id).collect();
    assert_eq!(ids, [before, after]);
}

#[tokio::test]
async fn the_databases_clock_decides_unless_a_test_does() {
    let server = Server::start();
    let store = connect(&server, Clock::System).await;
    let before = Clock::System.now_ms();
    let id = store.insert(NewJob::new("files", "import", "")).await.unwrap().id;
    let row = store.get(id).await.unwrap().unwrap();
    assert!((before - 1000..before + 30_000).contains(&row.created_ms), "{row:?}");
    assert!(!format!("{store:?}").contains("canary"));
    let error = PostgresStore::connect("postgres://a:canary@[bad").await.unwrap_err().to_string();
    assert!(!error.contains("canary"), "{error}");
}

#[tokio::test]
async fn several_machines_make_the_tables_at_once() {
    let server = Server::start();
    let _first = connect(&server, Clock::System).await;
    let url = server.url();
    let connects = || PostgresStore::connect(&url);
    let (one, two, three) = tokio::join!(connects(), connects(), connects());
    for store in [one, two, three] {
        assert!(store.unwrap().list(seawall_jobs::Filter::default()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn tables_of_an_earlier_version_are_taken_over_with_their_jobs() {
    let server = Server::start();
    let began = Instant::now();
    let (old, connection) = loop {
        match tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await {
            Ok(connected) => break connected,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let connection = tokio::spawn(connection);
    old.batch_execute(POSTGRES_1).await.unwrap();
    old.batch_execute(INDEXES_1).await.unwrap();
    drop(old);
    connection.await.unwrap().unwrap();
    for _ in 0..2 {
        let store = connect(&server, Clock::System).await;
        taken_over(&store).await;
    }
}
