//! Who is told that a run has ended: by a call that is signed and repeated until it is heard, also
//! when the server was killed before; or by a command.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::fixture::{Exchange, Origin, Seawall, free_port, until};

/// A call that was heard: its headers that matter, and its body.
#[derive(Clone, Debug)]
struct Told {
    id: String,
    key: String,
    timestamp: String,
    signature: String,
    attempt: String,
    timeout: String,
    body: String,
}

type Heard = Arc<Mutex<Vec<Told>>>;

/// An origin that takes what it is told and answers with the next status.
fn listener(address: SocketAddr, statuses: &'static [u16]) -> (Origin, Heard) {
    let heard = Heard::default();
    let all = heard.clone();
    let origin = Origin::start_at(address, move |exchange: Exchange| {
        let header = |name: &str| exchange.header(name).unwrap_or_default().to_owned();
        let told = Told {
            id: header("webhook-id"),
            key: header("idempotency-key"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            attempt: header("seawall-attempt"),
            timeout: header("seawall-timeout-ms"),
            body: String::from_utf8_lossy(&exchange.body).into_owned(),
        };
        let mut heard = all.lock().unwrap();
        heard.push(told);
        let status = statuses.get(heard.len() - 1).copied().unwrap_or(204);
        exchange.answer(status, "")
    });
    (origin, heard)
}

struct Scene {
    folder: TempDir,
    settings: String,
}

impl Scene {
    fn new(origin: &Origin, hooks: SocketAddr, job: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        fs::write(folder.path().join("in"), "oslo\nbad\nrome\n").unwrap();
        let settings = format!(
            "[worker]\nstore = \"{at}/jobs.db\"\nlease = \"3s\"\n\
             [upstream.weather]\nurl = \"{}\"\n[upstream.hooks]\nurl = \"http://{hooks}\"\n\
             [job.cities]\ninput = \"{at}/in\"\noutput = \"{at}/out\"\n\
             each_line = {{ send = \"POST /\", upstream = \"weather\" }}\n{}\n",
            origin.url(),
            job.replace("AT", &at.to_string())
        );
        Self { folder, settings }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn weather() -> Origin {
    Origin::start(async |exchange: Exchange| {
        let status = if exchange.body == b"bad"[..] { 400 } else { 200 };
        exchange.answer(status, "fine").await
    })
}

fn here() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

const CALL: &str = "on_done = { send = \"POST /told\", upstream = \"hooks\", \
    secret = { env = \"NOT_SET\", default = \"whsec_c2VhLXdhbGw=\" } }\n\
    on_failed = { send = \"POST /failed\", upstream = \"hooks\" }";

async fn run(server: &Seawall) {
    let mut command = server.command_here(&["job", "run", "cities", "--detach"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Signs as the receiver does, with a library that is not ours.
async fn signed(told: &Told) -> String {
    let script = "import base64, hashlib, hmac, sys\n\
        key = base64.b64decode('c2VhLXdhbGw=')\n\
        text = sys.argv[1].encode()\n\
        print('v1,' + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode())";
    let text = format!("{}.{}.{}", told.id, told.timestamp, told.body);
    let output = Command::new("python3").args(["-c", script, &text]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_signed_under_one_name_until_it_is_heard() {
    let (origin, address) = (weather(), here());
    let (_hooks, heard) = listener(address, &[400, 503]);
    let scene = Scene::new(&origin, address, CALL);
    let server = Seawall::start(&scene.settings).await;
    run(&server).await;
    until("it was heard", || heard.lock().unwrap().len() == 3).await;
    let heard = heard.lock().unwrap().clone();
    for told in &heard {
        assert_eq!((&told.id, &told.key), (&heard[0].id, &heard[0].id), "{heard:?}");
        assert_eq!(told.body, heard[0].body);
        assert_eq!(told.signature, signed(told).await);
        assert!(told.attempt.parse::<u32>().is_ok_and(|number| number > 0), "{}", told.attempt);
        assert!(told.timeout.parse::<u64>().is_ok_and(|left| left > 0), "{}", told.timeout);
    }
    let body: Json = serde_json::from_str(&heard[0].body).unwrap();
    let expected = json!({
        "schema": 1, "event": "run.done", "id": heard[0].id, "job": "cities", "run": 1,
        "attempts": 1, "ok": 2, "dead": 1, "filtered": 0, "error": null,
        "input": scene.path("in"), "output": scene.path("out"),
        "dead_letter": scene.path("out.dead"),
        "created_ms": body["created_ms"], "ended_ms": body["ended_ms"],
    });
    assert_eq!(body, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_though_the_server_was_killed_before_it_was_heard() {
    let (origin, address) = (weather(), here());
    let scene = Scene::new(&origin, address, CALL);
    let mut server = Seawall::start(&scene.settings).await;
    run(&server).await;
    // The run is over, and nobody hears it.
    until("it could not be told", || server.log().contains("job.end_not_told")).await;
    server.signal(Signal::KILL);
    server.wait().await;
    let (_hooks, heard) = listener(address, &[]);
    let server = Seawall::start(&scene.settings).await;
    until("it was heard", || server.log().contains("job.end_told")).await;
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(origin.seen.requests(), 3, "the run was over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_told_by_a_command_and_what_nobody_hears_is_listed() {
    let origin = weather();
    let job = "on_failure = { stop_above = \"0\" }\n\
        on_failed = { command = [\"python3\", \"AT/told.py\"] }";
    let scene = Scene::new(&origin, here(), job);
    // It fails until somebody wants to hear.
    let script = "import os, sys\n\
        event = sys.stdin.read()\n\
        folder = os.path.dirname(os.path.abspath(__file__))\n\
        path = os.path.join(folder, 'told.' + os.environ['SEAWALL_EVENT_ID'])\n\
        with open(path, 'a') as file: file.write(event + '\\n')\n\
        sys.exit(0 if os.path.exists(os.path.join(folder, 'hear')) else 7)\n";
    fs::write(scene.path("told.py"), script).unwrap();
    let server = Seawall::start(&scene.settings).await;
    run(&server).await;
    until("it could not be told", || server.log().contains("job.end_not_told")).await;
    let mut command = server.command_here(&["job", "ls"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    fs::write(scene.path("hear"), "").unwrap();
    until("it was told", || server.log().contains("job.end_told")).await;
    let told = fs::read_dir(scene.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let told: Vec<_> = told
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("told.") && !name.ends_with(".py")
        })
        .collect();
    assert_eq!(told.len(), 1, "one event: {told:?}");
    let text = fs::read_to_string(&told[0]).unwrap();
    let events: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() > 1 && events.iter().all(|event| *event == events[0]), "{events:?}");
    assert_eq!(events[0]["event"], "run.failed");
    assert!(events[0]["error"].as_str().unwrap().starts_with("too many lines failed"));
    assert!(
        listed.contains("NOT TOLD") && listed.contains("ended with exit status: 7"),
        "{listed}"
    );
}
