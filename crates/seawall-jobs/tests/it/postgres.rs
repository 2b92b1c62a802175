//! Jobs in a real PostgreSQL, started here on a free port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use seawall_jobs::{Clock, JobStore, NewJob, PostgresStore};
use tempfile::TempDir;

use crate::conformance::{BEGIN_MS, LEASE, Scene, conforms};

/// A server of its own, gone with the test.
struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = folder.path().join("data");
        if geteuid().is_root() {
            // It refuses to run as root.
            let own = |path: &Path| Command::new("chown").arg("postgres").arg(path).status();
            assert!(own(folder.path()).unwrap().success(), "there is no user postgres");
        }
        let made = as_postgres("initdb")
            .args(["--no-sync", "--auth=password", "--username=seawall", "--encoding=UTF8"])
            .args(["--locale=C", "--pwfile=/dev/stdin"])
            .arg(&data)
            .stdin(password(folder.path()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let child = Self::run(&data, port);
        Self { child, folder, port }
    }

    fn run(data: &Path, port: u16) -> Child {
        as_postgres("postgres")
            .arg("-D")
            .arg(data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={port}"), "-c", "shared_buffers=16MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn url(&self) -> String {
        format!("postgres://seawall:canary@127.0.0.1:{}/postgres", self.port)
    }

    fn stop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap();
        // Its way to stop at once, with all its children.
        let _already_gone = kill_process(Pid::from_raw(id).unwrap(), Signal::QUIT);
        let _reaped = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn password(folder: &Path) -> std::fs::File {
    let path = folder.join("password");
    std::fs::write(&path, "canary\n").unwrap();
    std::fs::File::open(path).unwrap()
}

/// Makes a command of the server's, as a user that it takes.
fn as_postgres(program: &str) -> Command {
    let path = binaries().join(program);
    let mut command = match geteuid().is_root() {
        false => Command::new(path),
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
            command
        }
    };
    command.current_dir("/");
    command
}

fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("install postgresql");
    let mut found: Vec<_> = versions.map(|one| one.unwrap().path().join("bin")).collect();
    found.retain(|path| path.join("initdb").exists());
    found.sort();
    found.pop().expect("install postgresql")
}

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
    server.child = Server::run(&server.folder.path().join("data"), server.port);
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
