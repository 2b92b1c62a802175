//! Runs that are put in as they are needed: with a payload, over a file, under a key of their own; so
//! many of a job at once; and those that failed, again.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::fixture::{Exchange, Origin, Seawall, curl, until};

/// A server with one job, and a folder for its files.
struct Scene {
    folder: TempDir,
    server: Seawall,
}

impl Scene {
    async fn start(origin: &Origin, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let settings = format!(
            "[admin]\ntoken = {{ env = \"NOT_SET\", default = \"secret\" }}\n\
             [worker]\nstore = \"{at}/jobs.db\"\nconcurrency = 8\npayload = \"1KiB\"\n\
             [upstream.weather]\nurl = \"{}\"\n\
             [job.cities]\ninput = \"{at}/in\"\noutput = \"{at}/out\"\nanswers = \"raw\"\n\
             each_line = {{ send = \"POST /\", upstream = \"weather\" }}\n{more}\n",
            origin.url()
        );
        let server = Seawall::start(&settings).await;
        Self { folder, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Posts a document; returns the status and what was answered.
    async fn post(&self, path: &str, document: &Json, headers: &[&str]) -> (u16, Json) {
        let url = format!("http://{}{path}", self.server.admin);
        let text = document.to_string();
        let mut arguments = vec![
            "-s",
            "-w",
            "\n%{http_code}",
            "-H",
            "authorization: Bearer secret",
            "-H",
            "content-type: application/json",
            "-d",
            &text,
            &url,
        ];
        headers.iter().for_each(|header| arguments.extend(["-H", header]));
        let answered = curl(&arguments).await;
        let (body, status) = answered.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    async fn put_in(&self, document: Json) -> (u16, Json) {
        self.post("/jobs/cities/runs", &document, &[]).await
    }

    async fn shown(&self, id: &Json) -> Json {
        self.post("/jobs", &json!({ "do": "show", "id": id }), &[]).await.1["run"].clone()
    }

    async fn state_is(&self, id: &Json, wanted: &str) -> Json {
        let began = Instant::now();
        loop {
            let run = self.shown(id).await;
            if run["state"] == wanted {
                return run;
            }
            let log = self.server.log();
            assert!(began.elapsed() < Duration::from_secs(30), "never {wanted}: {run}\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn lines(&self, run: &Json) -> Vec<String> {
        let text = fs::read_to_string(run["output"].as_str().unwrap()).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn echo() -> Origin {
    Origin::start(async |exchange: Exchange| {
        let body = exchange.body.clone();
        exchange.answer(200, body).await
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_put_in_with_a_payload_and_a_key_is_one_run() {
    let origin = echo();
    let scene = Scene::start(&origin, "").await;
    let (status, put) = scene.put_in(json!({ "payload": ["oslo", { "name": "rome" }, 7] })).await;
    assert_eq!((status, &put["is_new"]), (200, &true.into()), "{put}");
    let run = scene.state_is(&put["id"], "done").await;
    assert_eq!(scene.lines(&run), ["7", "oslo", "{\"name\":\"rome\"}"]);
    let output = run["output"].as_str().unwrap().to_owned();
    assert!(output.starts_with(&scene.path("out.").display().to_string()), "{output}");
    let input = PathBuf::from(run["input"].as_str().unwrap());
    assert!(!input.exists(), "the payload is left behind: {}", input.display());

    // The same once more is another run, but under one key it is one, whenever that comes.
    let text = json!({ "payload": "bergen\nvoss\n" });
    let key = ["idempotency-key: order-7"];
    let (_, first) = scene.post("/jobs/cities/runs", &text, &key).await;
    assert_ne!(first["id"], put["id"]);
    let run = scene.state_is(&first["id"], "done").await;
    assert_eq!(scene.lines(&run), ["bergen", "voss"]);
    let (status, again) = scene.post("/jobs/cities/runs", &text, &key).await;
    assert_eq!((status, &again["id"], &again["is_new"]), (200, &first["id"], &false.into()));
    let (_, other) = scene.put_in(json!({ "payload": "bergen\nvoss\n", "key": "order-8" })).await;
    assert_ne!(other["id"], first["id"]);
    scene.state_is(&other["id"], "done").await;
    assert_eq!(origin.seen.requests(), 3 + 2 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_put_in_over_a_file_now_or_later_and_what_cannot_be_is_refused() {
    let origin = echo();
    let scene = Scene::start(&origin, "").await;
    fs::write(scene.path("other"), "oslo\nrome\n").unwrap();
    let other = scene.path("other").display().to_string();
    let (_, put) = scene.put_in(json!({ "path": other })).await;
    let run = scene.state_is(&put["id"], "done").await;
    assert_eq!(scene.lines(&run), ["oslo", "rome"]);
    assert!(scene.path("other").exists(), "a file of others was removed");
    let named = scene.path("named").display().to_string();
    let (_, put) = scene.put_in(json!({ "path": other, "output": named })).await;
    assert_eq!(scene.state_is(&put["id"], "done").await["output"], named.as_str());
    let (_, late) = scene.put_in(json!({ "payload": "voss", "delay": "1h" })).await;
    let late = scene.shown(&late["id"]).await;
    let wait = late["run_at_ms"].as_i64().unwrap() - late["created_ms"].as_i64().unwrap();
    assert!(late["state"] == "ready" && (3_590_000..3_610_000).contains(&wait), "{late}");

    let refused = async |document: Json, why: &str| {
        let (status, said) = scene.put_in(document).await;
        let said = said["error"].as_str().unwrap_or_default().to_owned();
        assert!(status == 422 && said.contains(why), "{status} {said}: {why} is wanted");
    };
    refused(json!({ "path": "other", "payload": "x" }), "a path or a payload").await;
    refused(json!({ "path": "other" }), "begins with /").await;
    refused(json!({ "path": scene.path("none") }), "No such file").await;
    refused(json!({ "path": scene.folder.path() }), "not a regular file").await;
    refused(json!({ "payload": "x".repeat(1025) }), "`worker.payload` allows 1024").await;
    refused(json!({ "payload": ["a\nb"] }), "has a newline").await;
    refused(json!({ "payload": "" }), "has no line").await;
    refused(json!({ "payload": "x", "delay": "soon" }), "delay").await;
    refused(json!({ "payloud": "x" }), "unknown field").await;
    let (status, said) = scene.post("/jobs/towns/runs", &json!({ "payload": "x" }), &[]).await;
    assert!(status == 422 && said["error"].as_str().unwrap().contains("there are: cities"));
    let url = format!("http://{}/jobs/cities/runs", scene.server.admin);
    let arguments = ["-o", "/dev/null", "-w", "%{http_code}", "-d", "{\"payload\":\"x\"}", &url];
    assert_eq!(curl(&arguments).await, "401", "everybody can put runs in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_runs_a_job_over_another_file_here_and_in_the_server() {
    let origin = echo();
    let scene = Scene::start(&origin, "").await;
    fs::write(scene.path("other"), "oslo\nrome\n").unwrap();
    let other = scene.path("other").display().to_string();
    let ask = async |arguments: &[&str]| {
        let mut command = scene.server.command_here(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice::<Json>(&output.stdout), said)
    };
    let (code, summary, said) = ask(&["job", "run", "cities", "--input", &other, "--json"]).await;
    let summary = summary.unwrap();
    assert_eq!((code, &summary["ok"]), (Some(0), &2.into()), "{said}");
    assert_eq!(summary["output"], scene.path("out.other").display().to_string().as_str());
    assert_eq!(scene.lines(&summary), ["oslo", "rome"]);
    let (_, summary, _) = ask(&["job", "run", "cities", "--input", &other, "--json"]).await;
    assert_eq!(summary.unwrap()["status"], "was_finished", "the same command is the same run");
    let (code, put, said) =
        ask(&["job", "run", "cities", "--detach", "--input", &other, "--json"]).await;
    assert_eq!(code, Some(0), "{said}");
    let run = scene.state_is(&put.unwrap()["id"], "done").await;
    assert_eq!((&run["input"], scene.lines(&run).len()), (&other.as_str().into(), 2));
    assert_eq!(origin.seen.requests(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_job_no_more_runs_are_under_way_than_it_allows() {
    let origin =
        Origin::start(|exchange| exchange.answer_after(Duration::from_millis(100), "fine"));
    let scene = Scene::start(&origin, "concurrency = 2").await;
    let mut last = Json::Null;
    for _ in 0..8 {
        last = scene.put_in(json!({ "payload": "one\n" })).await.1["id"].clone();
    }
    scene.state_is(&last, "done").await;
    until("all are sent", || origin.seen.requests() == 8).await;
    assert_eq!(origin.seen.most(), 2, "{}", scene.server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_failed_begin_again_together() {
    let origin = echo();
    let scene = Scene::start(&origin, "attempts = 1").await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        fs::write(scene.path(name), "x\n").unwrap();
        let path = scene.path(name).display().to_string();
        // It waits until the file is gone again.
        let document = json!({ "path": path, "delay": "500ms" });
        ids.push(scene.put_in(document).await.1["id"].clone());
        fs::remove_file(scene.path(name)).unwrap();
    }
    for id in &ids {
        scene.state_is(id, "failed").await;
    }
    for name in ["one", "two", "three"] {
        fs::write(scene.path(name), "x\n").unwrap();
    }
    let again = |job: &'static str| {
        let mut command = scene.server.command_here(&["job", "resume", "--failed", job]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let unknown = again("towns").await.unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let output = again("cities").await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), "3 runs that failed begin again");
    for id in &ids {
        scene.state_is(id, "done").await;
    }
    let output = again("cities").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no run has failed");
}
