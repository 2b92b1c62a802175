//! Jobs in the server: begun by hand and by files, held and ended by people, continued after the
//! server was stopped or killed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::fixture::{Origin, PATIENCE, Seawall, curl, get, until};
use crate::server::Server;

/// A folder with an input, a store, and settings of one job over it.
struct Scene {
    folder: TempDir,
    settings: String,
}

impl Scene {
    fn new(origin: &Origin, lines: u64, job: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..lines).map(|line| format!("city-{line}\n")).collect();
        fs::write(folder.path().join("in"), text).unwrap();
        fs::create_dir(folder.path().join("incoming")).unwrap();
        let at = folder.path().display();
        let settings = format!(
            "[worker]\nstore = \"{at}/jobs.db\"\nlease = \"3s\"\n\
             [upstream.weather]\nurl = \"{}\"\n[job.cities]\n{}\n\
             each_line = {{ send = \"GET /{{line}}\", upstream = \"weather\" }}\n",
            origin.url(),
            job.replace("AT", &at.to_string())
        );
        Self { folder, settings }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lines_done(&self) -> usize {
        fs::read(self.path("out")).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
    }

    /// Checks that each line is in the output once.
    fn assert_once_each(&self, lines: u64) {
        let text = fs::read_to_string(self.path("out")).unwrap();
        let mut numbers: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap()["seq"].as_u64().unwrap())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..lines).collect::<Vec<_>>());
    }
}

/// Asks a server on a thread of its own: the upstream of the test goes on meanwhile.
async fn ask(server: &Seawall, arguments: &[&str]) -> (i32, String) {
    let mut command = server.command_here(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

async fn state(server: &Seawall, id: u64) -> String {
    let (code, said) = ask(server, &["job", "show", &id.to_string(), "--json"]).await;
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<Json>(&said).unwrap()["run"]["state"].as_str().unwrap().to_owned()
}

async fn wait_for(server: &Seawall, id: u64, wanted: &str) {
    let began = std::time::Instant::now();
    while state(server, id).await != wanted {
        assert!(began.elapsed() < Duration::from_secs(30), "never {wanted}: {}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a server runs jobs.
async fn wait_for_jobs(server: &Seawall) {
    let began = std::time::Instant::now();
    while ask(server, &["job", "ls"]).await.0 != 0 {
        assert!(began.elapsed() < PATIENCE, "no jobs are run: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the status is as it should be, and returns it.
async fn status_when(server: &Seawall, what: &str, holds: impl Fn(&Json) -> bool) -> Json {
    let began = std::time::Instant::now();
    loop {
        let status = get(server.admin, "/status.json").await.json();
        if holds(&status) {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "never {what}: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const JOB: &str = "input = \"AT/in\"\noutput = \"AT/out\"";

fn slow() -> Origin {
    Origin::start(|exchange| exchange.answer_after(Duration::from_millis(10), "fine"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_begin_hold_and_end_runs_and_see_them() {
    let origin = slow();
    let scene = Scene::new(&origin, 3000, JOB);
    let server = Seawall::start(&scene.settings).await;
    let (code, said) = ask(&server, &["job", "run", "cities", "--detach"]).await;
    assert_eq!((code, said.trim()), (0, "job `cities` queued as run 1"));
    let (code, said) = ask(&server, &["job", "run", "cities", "--detach"]).await;
    assert_eq!((code, said.trim()), (0, "job `cities` is already queued or running, as run 1"));
    until("lines are written", || scene.lines_done() >= 100).await;
    let (code, said) = ask(&server, &["job", "ls"]).await;
    assert!(code == 0 && said.contains("by hand") && said.contains("running"), "{said}");

    assert_eq!(ask(&server, &["job", "pause", "1"]).await.0, 0);
    wait_for(&server, 1, "paused").await;
    let sent = origin.seen.requests();
    assert!(origin.seen.gone().is_empty(), "calls under way were dropped");
    assert_eq!(ask(&server, &["job", "resume", "1"]).await.0, 0);
    until("it goes on", || origin.seen.requests() > sent + 100).await;
    assert_eq!(ask(&server, &["job", "cancel", "1"]).await.0, 0);
    wait_for(&server, 1, "cancelled").await;
    let (code, said) = ask(&server, &["job", "cancel", "1"]).await;
    assert!(code == 1 && said.contains("it is cancelled"), "{said}");
    assert_eq!(ask(&server, &["job", "resume", "1"]).await.0, 0);
    wait_for(&server, 1, "done").await;
    scene.assert_once_each(3000);
    assert_eq!(origin.seen.requests(), 3000, "a line was sent twice");
    let counted = async |name: &str, part: &str| server.metric(name, &["cities", part]).await;
    assert_eq!(counted("seawall_worker_lines_ended_total", "\"ok\"").await, 3000.0);
    assert_eq!(counted("seawall_worker_runs_started_total", "").await, 3.0);
    assert_eq!(counted("seawall_worker_runs_ended_total", "\"done\"").await, 1.0);
    assert_eq!(counted("seawall_worker_runs_ended_total", "\"cancelled\"").await, 1.0);
    let (_, said) = ask(&server, &["job", "show", "1"]).await;
    for expected in ["100 %", "3000", "resume by hand", "pause by hand"] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    let (code, said) = ask(&server, &["job", "run", "citys", "--detach"]).await;
    assert!(code == 1 && said.contains("there are: cities"), "{said}");
    let (code, said) = ask(&server, &["job", "show", "99"]).await;
    assert!(code == 1 && said.contains("there is no run 99"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_in_the_next_server_after_a_stop_and_after_a_kill() {
    let origin = slow();
    let scene = Scene::new(&origin, 3000, JOB);
    let mut server = Seawall::start(&scene.settings).await;
    ask(&server, &["job", "run", "cities", "--detach"]).await;
    until("lines are written", || scene.lines_done() >= 300).await;
    server.signal(Signal::TERM);
    assert_eq!(server.wait().await.code(), Some(0), "{}", server.log());
    let sent = origin.seen.requests();
    assert!(origin.seen.gone().is_empty(), "calls under way were dropped");

    let mut server = Seawall::start(&scene.settings).await;
    until("it goes on", || origin.seen.requests() > sent + 300).await;
    server.signal(Signal::KILL);
    server.wait().await;

    let server = Seawall::start(&scene.settings).await;
    wait_for(&server, 1, "done").await;
    scene.assert_once_each(3000);
    let sent = origin.seen.requests();
    assert!(sent <= 3000 + 128, "{sent} calls: more than one kill explains");
    let (_, said) = ask(&server, &["job", "show", "1", "--json"]).await;
    let shown: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["run"]["attempts"], 2, "a stop costs no attempt, a kill one: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_appear_are_read_once() {
    let origin = Origin::saying("fine");
    let job = "folder = \"AT/incoming\"\noutput = \"AT/outgoing\"";
    let scene = Scene::new(&origin, 0, job);
    let server = Seawall::start(&scene.settings).await;
    fs::write(scene.path("incoming/b.txt.part"), "half").unwrap();
    fs::write(scene.path("incoming/a.txt"), "oslo\nrome\n").unwrap();
    let output = scene.path("outgoing/a.txt.out");
    until("it is read", || fs::read(&output).is_ok_and(|bytes| bytes.ends_with(b"\n"))).await;
    wait_for(&server, 1, "done").await;
    drop(server);
    let server = Seawall::start(&scene.settings).await;
    fs::write(scene.path("incoming/c.txt"), "paris\n").unwrap();
    until("it is read", || scene.path("outgoing/c.txt.out").exists()).await;
    wait_for(&server, 2, "done").await;
    assert_eq!(origin.seen.requests(), 3, "a file was read twice");
    let (_, said) = ask(&server, &["job", "ls", "--json"]).await;
    let listed: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_read_is_moved_and_is_not_read_again_when_it_comes_back() {
    let origin = Origin::saying("fine");
    let job = "folder = \"AT/incoming\"\noutput = \"AT/outgoing\"\nwhen_done = \"move\"";
    let scene = Scene::new(&origin, 0, job);
    let server = Seawall::start(&scene.settings).await;
    fs::write(scene.path("incoming/a.txt"), "oslo\n").unwrap();
    let moved = scene.path("incoming/done/a.txt");
    until("it is moved", || moved.exists()).await;
    wait_for(&server, 1, "done").await;
    drop(server);
    // Outputs were collected, and the same file comes once more, then another one.
    fs::remove_dir_all(scene.path("outgoing")).unwrap();
    let server = Seawall::start(&scene.settings).await;
    fs::write(scene.path("incoming/a.txt"), "oslo\n").unwrap();
    until("it is seen", || server.log().contains("job.file_known")).await;
    fs::write(scene.path("incoming/a.txt"), "rome\n").unwrap();
    until("the new content is moved", || !scene.path("incoming/a.txt").exists()).await;
    wait_for(&server, 2, "done").await;
    assert_eq!(origin.seen.requests(), 2, "a file was read twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_go_on_says_why_and_can_be_resumed() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 10, "input = \"AT/later\"\noutput = \"AT/out\"");
    let server = Seawall::start(&scene.settings).await;
    ask(&server, &["job", "run", "cities", "--detach"]).await;
    let began = std::time::Instant::now();
    loop {
        let (_, said) = ask(&server, &["job", "show", "1"]).await;
        if said.contains("later: No such file") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{said}");
    }
    assert_eq!(state(&server, 1).await, "ready", "it is tried again");
    fs::copy(scene.path("in"), scene.path("later")).unwrap();
    wait_for(&server, 1, "done").await;
    scene.assert_once_each(10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_changed_by_a_reload_and_only_with_the_token() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 5, JOB);
    let server = Seawall::start(&scene.settings).await;
    server.write_settings(&scene.settings.replace("[job.cities]", "[job.towns]"));
    let (code, said) = ask(&server, &["reload"]).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = ask(&server, &["job", "run", "cities", "--detach"]).await;
    assert!(code == 1 && said.contains("there are: towns"), "{said}");
    let (code, said) = ask(&server, &["job", "run", "towns", "--detach"]).await;
    assert_eq!(code, 0, "{said}");
    wait_for(&server, 1, "done").await;

    let url = format!("http://{}/jobs", server.admin);
    let arguments = ["-o", "/dev/null", "-w", "%{http_code}", "-d", "{\"do\":\"list\"}", &url];
    let answered = curl(&arguments).await;
    assert_eq!(answered, "401", "jobs are told to everybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_opened_stops_the_start() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 5, JOB);
    fs::write(scene.path("jobs.db"), "this is no database".repeat(100)).unwrap();
    fs::write(scene.path("seawall.toml"), &scene.settings).unwrap();
    let mut command = Seawall::command(scene.folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    command.args(["--admin-listen", "127.0.0.1:0"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("jobs.db") && said.contains("not a database"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_the_work_and_one_goes_on_with_what_the_other_has_left() {
    let database = Server::start();
    let origin = slow();
    let scene = Scene::new(&origin, 2000, JOB);
    let store = format!("store = \"{}/jobs.db\"", scene.folder.path().display());
    let postgres = format!("postgres = {{ env = \"NOT_SET\", default = \"{}\" }}", database.url());
    let settings = scene.settings.replace(&store, &postgres);
    let one = Seawall::start(&settings).await;
    let two = Seawall::start(&settings).await;
    wait_for_jobs(&one).await;
    wait_for_jobs(&two).await;
    ask(&one, &["job", "run", "cities", "--detach"]).await;
    wait_for(&two, 1, "running").await;
    until("lines are written", || scene.lines_done() >= 300).await;
    // Whichever has it is killed.
    let (_, said) = ask(&two, &["job", "show", "1", "--json"]).await;
    let shown: Json = serde_json::from_str(&said).unwrap();
    let worker = shown["run"]["worker"].as_str().unwrap().to_owned();
    let has_it = |server: &Seawall| worker.ends_with(&format!(":{}", server.id()));
    let (mut holder, other) = if has_it(&one) { (one, two) } else { (two, one) };
    assert!(has_it(&holder), "nobody has it: {worker}");
    holder.signal(Signal::KILL);
    holder.wait().await;
    wait_for(&other, 1, "done").await;
    scene.assert_once_each(2000);
    assert!(!other.log().contains("canary"), "the password is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_keeps_no_request_waiting_and_jobs_begin_when_it_comes() {
    let mut database = Server::start();
    database.stop();
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 5, JOB);
    let store = format!("store = \"{}/jobs.db\"", scene.folder.path().display());
    let postgres = format!("postgres = {{ env = \"NOT_SET\", default = \"{}\" }}", database.url());
    let route = "\n[[route]]\nmatch = \"GET /{name}\"\nupstream = \"weather\"\n";
    let settings = scene.settings.replace(&store, &postgres) + route;
    let server = Seawall::start(&settings).await;
    assert_eq!(server.get("/x").await.text(), "fine");
    let is_down = async || server.metric("seawall_worker_store_is_down", &[]).await;
    let status = status_when(&server, "told", |status| {
        status["attention"].to_string().contains("Connection refused")
    });
    let attention = status.await["attention"].to_string();
    assert!(attention.contains("no jobs are run: could not open the jobs in"), "{attention}");
    assert_eq!(is_down().await, 1.0);
    let ready = get(server.admin, "/readyz").await;
    assert_eq!((ready.status, ready.text()), (200, "ready\nno jobs are run\n"));
    let (code, said) = ask(&server, &["job", "run", "cities", "--detach"]).await;
    assert!(code == 1 && said.contains("could not open the jobs in"), "{said}");
    assert!(!server.log().contains("canary") && !attention.contains("canary"), "a password");

    database.start_again();
    wait_for_jobs(&server).await;
    ask(&server, &["job", "run", "cities", "--detach"]).await;
    wait_for(&server, 1, "done").await;
    let status = status_when(&server, "well", |status| status["jobs"]["store_error"].is_null());
    assert_eq!(status.await["attention"].to_string(), "[]");
    assert_eq!(get(server.admin, "/readyz").await.text(), "ready\n");
    assert_eq!(is_down().await, 0.0);

    // One that goes while the server runs is told as well.
    database.stop();
    status_when(&server, "lost", |status| status["jobs"]["store_error"].is_string()).await;
    assert_eq!(server.get("/x").await.text(), "fine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_shows_jobs_and_a_failed_one_until_somebody_has_seen_to_it() {
    let origin = Origin::saying("fine");
    let job = "input = \"AT/later\"\noutput = \"AT/out\"\nattempts = 1\n\
        schedule = \"0 3 1 1 * UTC\"";
    let scene = Scene::new(&origin, 5, job);
    let server = Seawall::start(&scene.settings).await;
    let status = status_when(&server, "listed", |status| status["jobs"]["jobs"][0].is_object());
    let listed = status.await["jobs"]["jobs"][0].clone();
    assert_eq!((&listed["name"], &listed["last"]), (&"cities".into(), &Json::Null));
    assert!(listed["next_seconds"].is_u64(), "{listed}");

    ask(&server, &["job", "run", "cities", "--detach"]).await;
    let is_failed = |status: &Json| status["attention"].to_string().contains("run 1 failed");
    let status = status_when(&server, "failed", is_failed).await;
    let attention = status["attention"].to_string();
    assert!(attention.contains("job cities: run 1 failed: could not"), "{attention}");
    assert_eq!(status["jobs"]["jobs"][0]["last"]["state"], "failed");
    let page = get(server.admin, "/").await;
    for part in ["<h2>Jobs</h2>", "class=\"bad\">failed</td>", "run 1 failed", "0 3 1 1 *"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }

    let (code, said) = ask(&server, &["job", "cancel", "1"]).await;
    assert_eq!(code, 0, "{said}");
    let is_well = |status: &Json| status["attention"].as_array().is_some_and(Vec::is_empty);
    status_when(&server, "seen to", is_well).await;
    ask(&server, &["job", "resume", "1"]).await;
    status_when(&server, "failed again", is_failed).await;
    fs::copy(scene.path("in"), scene.path("later")).unwrap();
    ask(&server, &["job", "resume", "1"]).await;
    let status = status_when(&server, "done", |status| {
        status["jobs"]["jobs"][0]["last"]["state"] == "done" && is_well(status)
    });
    let last = status.await["jobs"]["jobs"][0]["last"].clone();
    assert_eq!((&last["lines_ok"], &last["done"]), (&5.into(), &1.0.into()));
}
