//! `seawall map` and `seawall job`: files of lines against upstreams that fail, hang, come back,
//! and runs that are killed, stopped, refused or have no room left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::fixture::{Exchange, Origin, Seawall, free_port, until};

/// A folder with an input, and runs over it.
struct Scene {
    folder: TempDir,
    to: String,
}

/// How a run ended.
struct Ended {
    code: i32,
    summary: Json,
    said: String,
}

impl Scene {
    fn new(origin: &Origin, lines: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..lines).map(|line| format!("city-{line}\n")).collect();
        fs::write(folder.path().join("in"), text).unwrap();
        Self { folder, to: format!("GET {}/w/{{line}}", origin.url()) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut arguments = vec!["map", "in", "--to", &self.to, "--out", "out", "--json"];
        arguments.extend(more);
        Command::from(Seawall::command(self.folder.path(), &arguments))
    }

    fn start(&self, more: &[&str]) -> Child {
        let mut command = self.command(more);
        let said = fs::File::create(self.path("said")).unwrap();
        command.stdout(Stdio::piped()).stderr(said).kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// Waits for a run that was started to end.
    async fn end(&self, child: Child) -> Ended {
        let ended = ended(child.wait_with_output().await.unwrap());
        Ended { said: self.said(), ..ended }
    }

    /// Returns what a run that was started has said so far.
    fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap()
    }

    async fn run(&self, more: &[&str]) -> Ended {
        ended(self.command(more).output().await.unwrap())
    }

    /// Returns how often each line is in the output.
    fn written(&self) -> BTreeMap<u64, u32> {
        let mut written = BTreeMap::new();
        for line in fs::read_to_string(self.path("out")).unwrap().lines() {
            let line: Json = serde_json::from_str(line).unwrap();
            *written.entry(line["seq"].as_u64().unwrap()).or_default() += 1;
        }
        written
    }

    fn letters(&self) -> Vec<Json> {
        let text = fs::read_to_string(self.path("out.dead")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns how many lines the files of the run say have ended.
    fn lines_done(&self) -> usize {
        fs::read(self.path("out")).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
    }
}

fn ended(output: std::process::Output) -> Ended {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ended { code: output.status.code().unwrap_or(-1), summary, said }
}

fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

fn once_each(lines: u64) -> BTreeMap<u64, u32> {
    (0..lines).map(|line| (line, 1)).collect()
}

fn slow(wait: Duration) -> Origin {
    Origin::start(move |exchange| exchange.answer_after(wait, "fine"))
}

#[tokio::test]
async fn every_line_is_sent_and_its_answer_written_with_its_number() {
    let origin = Origin::start(async |exchange: Exchange| {
        let body = format!("{{\"at\":\"{}\"}}", exchange.target());
        exchange.answer(200, body).await
    });
    let scene = Scene::new(&origin, 300);
    let run = scene.run(&["--ordered"]).await;
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!(scene.written(), once_each(300));
    let text = fs::read_to_string(scene.path("out")).unwrap();
    let expected = r#"{"seq":7,"status":200,"answer":{"at":"/w/city-7"}}"#;
    assert_eq!(text.lines().nth(7), Some(expected));
    assert_eq!((&run.summary["ok"], &run.summary["status"]), (&300.into(), &"finished".into()));
    assert!(origin.seen.most() <= 16, "{} calls at once", origin.seen.most());

    let again = scene.run(&["--ordered"]).await;
    assert_eq!((again.code, &again.summary["status"]), (0, &"was_finished".into()));
    assert_eq!(origin.seen.requests(), 300, "a run that is finished sends nothing");
}

#[tokio::test]
async fn p2_a_run_that_is_killed_goes_on_and_writes_every_line_once() {
    let origin = slow(Duration::from_millis(2));
    let scene = Scene::new(&origin, 3000);
    let mut kills = 0;
    for wanted in [200, 900, 1700, 2400] {
        let mut child = scene.start(&["--sync", "never"]);
        until("lines are written", || scene.lines_done() >= wanted).await;
        child.kill().await.unwrap();
        kills += 1;
    }
    let run = scene.run(&["--sync", "never"]).await;
    assert_eq!(run.code, 0, "{}", run.said);
    assert!(run.summary["resumed_from"].as_u64().unwrap() >= 2000, "{}", run.summary);
    assert_eq!(scene.written(), once_each(3000));
    let sent = origin.seen.requests();
    // Those in flight, and those whose answers had not been written: far fewer than begin anew.
    assert!(sent <= 3000 + kills * 128, "{sent} calls for 3000 lines and {kills} kills");
}

#[tokio::test]
async fn a_signal_lets_calls_end_and_the_same_command_goes_on() {
    let origin = slow(Duration::from_millis(5));
    let scene = Scene::new(&origin, 2000);
    let child = scene.start(&[]);
    until("lines are written", || scene.lines_done() >= 100).await;
    signal(&child, Signal::TERM);
    let stopped = scene.end(child).await;
    assert_eq!((stopped.code, &stopped.summary["status"]), (6, &"stopped".into()));
    assert!(stopped.said.contains("run the same command again to resume"), "{}", stopped.said);
    let sent = origin.seen.requests();
    assert!(origin.seen.gone().is_empty(), "a call was dropped");
    let run = scene.run(&[]).await;
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!(run.summary["resumed_from"].as_u64().unwrap() as usize, sent);
    assert_eq!((scene.written(), origin.seen.requests()), (once_each(2000), 2000));
}

#[tokio::test]
async fn a_signal_does_not_wait_for_lines_that_have_not_begun() {
    // Nobody listens: the breaker opens, and lines wait until the upstream is back.
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let origin = Origin::saying("fine");
    let mut scene = Scene::new(&origin, 500);
    scene.to = format!("GET http://{address}/w/{{line}}");
    let child = scene.start(&["--progress", "json"]);
    until("the breaker opens", || scene.said().contains("the breaker is open")).await;
    let began = std::time::Instant::now();
    signal(&child, Signal::TERM);
    let stopped = scene.end(child).await;
    assert_eq!((stopped.code, &stopped.summary["status"]), (6, &"stopped".into()));
    assert!(began.elapsed() < Duration::from_secs(5), "it waited {:?}", began.elapsed());
    let dead = stopped.summary["dead"].as_u64().unwrap();

    let _origin = Origin::start_at(address, |exchange| exchange.answer(200, "fine"));
    // One a minute: it would take hours, and stops at once.
    let child = scene.start(&["--rate", "1/m"]);
    until("it has begun", || scene.said().contains("in flight") || scene.lines_done() > 0).await;
    let began = std::time::Instant::now();
    signal(&child, Signal::TERM);
    assert_eq!(scene.end(child).await.code, 6);
    assert!(began.elapsed() < Duration::from_secs(5), "it waited {:?}", began.elapsed());

    let run = scene.run(&[]).await;
    assert_eq!(run.summary["ok"].as_u64().unwrap() + dead, 500, "{}", run.said);
    assert_eq!(scene.written().values().max(), Some(&1));
}

#[tokio::test]
async fn a_second_signal_drops_calls_and_they_are_made_again() {
    let port = free_port();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let origin = Origin::start_at(address, async |exchange| exchange.wait_until_gone().await);
    let scene = Scene::new(&origin, 20);
    let child = scene.start(&[]);
    until("calls are under way", || origin.seen.now() == 16).await;
    signal(&child, Signal::INT);
    until("the first is heard", || scene.said().contains("stopping: no new lines")).await;
    signal(&child, Signal::USR1);
    until("the state is told", || scene.said().contains("0 ok, 16 in flight")).await;
    signal(&child, Signal::INT);
    let stopped = scene.end(child).await;
    assert_eq!(stopped.code, 6, "{}", stopped.said);
    assert!(stopped.said.contains("calls in flight are dropped"), "{}", stopped.said);
    drop(origin);
    until("the port is free", || std::net::TcpListener::bind(address).is_ok()).await;
    let _origin = Origin::start_at(address, |exchange| exchange.answer(200, "fine"));
    let run = scene.run(&[]).await;
    assert_eq!((run.code, scene.written()), (0, once_each(20)), "{}", run.said);
}

#[tokio::test]
async fn lines_that_fail_are_told_with_their_reason_and_the_run_can_give_up() {
    let origin = Origin::start(async |exchange: Exchange| {
        let is_odd = exchange.target().ends_with(['1', '3', '5', '7', '9']);
        exchange.answer(if is_odd { 422 } else { 200 }, "so it is").await
    });
    let scene = Scene::new(&origin, 200);
    let run = scene.run(&["--stop-above", "20"]).await;
    assert_eq!((run.code, &run.summary["status"]), (6, &"too_many_failures".into()));
    let dead = run.summary["dead"].as_u64().unwrap();
    assert!((21..=21 + 16).contains(&dead), "{dead}");
    let run = scene.run(&["--stop-above", "60%"]).await;
    assert_eq!((run.code, &run.summary["dead"]), (1, &100.into()), "{}", run.said);
    assert_eq!(scene.written().len(), 100);
    let letters = scene.letters();
    assert_eq!(letters.len(), 100);
    assert!(
        letters.iter().all(|one| one["status"] == 422 && one["reason"] == "status 422: so it is")
    );
}

#[tokio::test]
async fn lines_that_failed_are_sent_again_with_their_own_numbers_and_keys() {
    let keys = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::<String, Vec<String>>::new()));
    let seen = keys.clone();
    let origin = Origin::start(move |exchange: Exchange| {
        let key = exchange.header("idempotency-key").unwrap().to_owned();
        let line = exchange.target().to_owned();
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(line.clone()).or_default();
        times.push(key);
        // Those with a 7 fail once, and those with a 77 twice.
        let fails = line.matches('7').count() >= times.len();
        exchange.answer(if fails { 422 } else { 200 }, "fine")
    });
    let scene = Scene::new(&origin, 100);
    assert_eq!(scene.run(&[]).await.code, 1);
    assert_eq!(scene.letters().len(), 19);
    let again = async |input: &str, output: &str| {
        let arguments = ["map", input, "--letters", "--to", &scene.to, "--out", output, "--json"];
        let command = Seawall::command(scene.folder.path(), &arguments);
        ended(Command::from(command).output().await.unwrap())
    };
    let run = again("out.dead", "again").await;
    assert_eq!((run.code, &run.summary["ok"]), (1, &18.into()), "{}", run.said);
    let run = again("again.dead", "third").await;
    assert_eq!((run.code, &run.summary["ok"]), (0, &1.into()), "{}", run.said);
    let all = ["out", "again", "third"].map(|name| fs::read_to_string(scene.path(name)).unwrap());
    fs::write(scene.path("out"), all.concat()).unwrap();
    assert_eq!(scene.written(), once_each(100));
    for (line, keys) in keys.lock().unwrap().iter() {
        assert!(keys.iter().all(|key| *key == keys[0]), "{line} was sent with {keys:?}");
    }
    let run = again("in", "wrong").await;
    assert_eq!((run.code, &run.summary["dead"]), (3, &Json::Null), "no line of it is a letter");
    assert!(run.said.contains("none of the first 100 lines can be sent"), "{}", run.said);
}

#[tokio::test]
async fn what_changed_since_a_run_began_is_named() {
    let origin = slow(Duration::from_millis(5));
    let scene = Scene::new(&origin, 500);
    let child = scene.start(&[]);
    until("lines are written", || scene.lines_done() >= 50).await;
    signal(&child, Signal::TERM);
    scene.end(child).await;

    let other = scene.run(&["-H", "authorization: Bearer canary"]).await;
    assert_eq!((other.code, &other.summary["status"]), (3, &"changed".into()));
    assert!(other.said.contains("setting headers was  ("), "{}", other.said);
    assert!(!other.said.contains("canary"), "a secret is told: {}", other.said);
    let input = fs::read_to_string(scene.path("in")).unwrap();
    fs::write(scene.path("in"), format!("{input}one more\n")).unwrap();
    let other = scene.run(&[]).await;
    assert_eq!(other.code, 3);
    assert!(other.said.contains("input bytes was") && other.said.contains("--force-resume"));
    fs::write(scene.path("in"), input).unwrap();
    assert_eq!(scene.run(&[]).await.code, 0);
    assert_eq!(scene.written(), once_each(500));
}

#[tokio::test]
async fn two_runs_at_once_are_refused_and_so_is_an_output_of_somebody_else() {
    let origin = Origin::silent();
    let scene = Scene::new(&origin, 10);
    let _child = scene.start(&[]);
    until("calls are under way", || origin.seen.now() == 10).await;
    let second = scene.run(&[]).await;
    assert_eq!((second.code, &second.summary["status"]), (4, &"locked".into()));
    assert!(second.said.contains("another process has this run"), "{}", second.said);

    fs::write(scene.path("mine"), "precious\n").unwrap();
    let run = scene.run(&["--out", "mine"]).await;
    assert_eq!(run.code, 2, "twice the same flag");
    let arguments = ["map", "in", "--to", &scene.to, "--out", "mine"];
    let run = Command::from(Seawall::command(scene.folder.path(), &arguments)).output().await;
    let run = ended(run.unwrap());
    assert_eq!(run.code, 4, "{}", run.said);
    assert_eq!(fs::read_to_string(scene.path("mine")).unwrap(), "precious\n");
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_send_and_connects_to_nobody() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 1000);
    let arguments = [
        "map",
        "in",
        "--to",
        &scene.to,
        "-H",
        "authorization: Bearer canary",
        "--rate",
        "100/s",
        "--dry-run",
        "2",
    ];
    let output = Command::from(Seawall::command(scene.folder.path(), &arguments)).output().await;
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0));
    for expected in [
        "1,000",
        "GET /w/city-0",
        "GET /w/city-1",
        "authorization: ***",
        "at least 00:00:10 at 100/s",
        "nothing was sent",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(!text.contains("city-2\n") && !text.contains("canary"), "{text}");
    assert_eq!(origin.seen.connections(), 0);
    assert_eq!(fs::read_dir(scene.folder.path()).unwrap().count(), 1, "it wrote something");
}

#[tokio::test]
async fn stdin_is_copied_so_that_a_killed_run_goes_on() {
    let origin = slow(Duration::from_millis(5));
    let scene = Scene::new(&origin, 1000);
    let start = |with_input: bool| {
        let arguments = ["map", "-", "--to", &scene.to, "--out", "out"];
        let mut command = Command::from(Seawall::command(scene.folder.path(), &arguments));
        if with_input {
            command.stdin(fs::File::open(scene.path("in")).unwrap());
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    };
    let mut child = start(true);
    until("lines are written", || scene.lines_done() >= 100).await;
    child.kill().await.unwrap();
    let run = ended(start(false).wait_with_output().await.unwrap());
    assert_eq!(run.code, 0, "{}", run.said);
    assert!(run.said.contains("stdin is not read"), "{}", run.said);
    assert_eq!(scene.written(), once_each(1000));
    assert!(!scene.path("out.stdin").exists(), "the copy is left");
}

#[tokio::test]
async fn u6_an_upstream_that_says_when_is_asked_again_then() {
    let origin = Origin::start(async |mut exchange: Exchange| {
        if exchange.number <= 5 {
            exchange.answer_with(429, "retry-after: 1\r\n", b"slowly").await;
            return Some(exchange);
        }
        exchange.answer(200, "fine").await
    });
    let scene = Scene::new(&origin, 100);
    let began = std::time::Instant::now();
    let run = scene.run(&["--concurrency", "4"]).await;
    assert_eq!((run.code, scene.written()), (0, once_each(100)), "{}", run.said);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(origin.seen.requests() <= 100 + 5 + 4, "{} calls", origin.seen.requests());
}

#[tokio::test]
async fn an_upstream_that_dies_in_the_middle_costs_no_line() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let answer = |exchange: Exchange| exchange.answer_after(Duration::from_millis(2), "fine");
    let origin = Origin::start_at(address, answer);
    let scene = Scene::new(&origin, 2000);
    let child = scene.start(&["--concurrency", "8"]);
    until("lines are written", || scene.lines_done() >= 300).await;
    drop(origin);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _origin = Origin::start_at(address, answer);
    let run = scene.end(child).await;
    let dead = run.summary["dead"].as_u64().unwrap();
    // Those that were under way when it died may have failed; the breaker holds the others back.
    assert!(dead <= 100, "{dead} lines failed: {}", run.said);
    assert_eq!(run.summary["ok"].as_u64().unwrap() + dead, 2000);
    assert_eq!(scene.written().len() + scene.letters().len(), 2000);
}

#[tokio::test]
async fn d1_a_full_disk_stops_the_run_and_with_room_it_goes_on() {
    let origin = Origin::saying("a rather long answer, so that the disk is full soon");
    let scene = Scene::new(&origin, 4000);
    fs::create_dir(scene.path("small")).unwrap();
    let seawall = Seawall::command(scene.folder.path(), &[]);
    let run = format!(
        "{} map in --to '{}' --out small/out --json --quiet",
        Path::new(seawall.get_program()).display(),
        scene.to
    );
    let script = format!(
        "set -e; mount -t tmpfs -o size=200k none small\n\
         {run} > first.json 2> first.txt && exit 90 || echo $? > first.code\n\
         mount -o remount,ro small\n\
         {run} > second.json 2> second.txt && exit 91 || echo $? > second.code\n\
         mount -o remount,rw,size=16m small\n\
         {run} > third.json 2> third.txt || exit 92\n\
         cp small/out out"
    );
    let mut command = std::process::Command::new("unshare");
    let is_root = rustix::process::geteuid().is_root();
    command.args(if is_root { &["-m"][..] } else { &["-rm"][..] });
    command.args(["sh", "-c", &script]).current_dir(scene.folder.path());
    let output = Command::from(command).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| fs::read_to_string(scene.path(name)).unwrap();
    for (code, said, why) in
        [("first.code", "first.txt", "No space left"), ("second.code", "second.txt", "Read-only")]
    {
        assert_eq!(read(code).trim(), "6", "{}", read(said));
        assert!(read(said).contains(why), "{}", read(said));
        assert!(read(said).contains("small/out"), "the file is not named: {}", read(said));
    }
    assert_eq!(scene.written(), once_each(4000));
}

#[tokio::test]
async fn lines_are_filtered_and_projected_without_an_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let text = "# cities\n{\"name\":\"Oslo\",\"at\":{\"lat\":59.910000000000000001,\"x\":1}}\n\
                {\"at\":{},\"name\":\"Nowhere\"}\nno json\n";
    fs::write(folder.path().join("in"), text).unwrap();
    let arguments =
        ["map", "in", "--matches-not", "^#", "--fields", "name,at.lat", "--ordered", "--json"];
    let output = Command::from(Seawall::command(folder.path(), &arguments)).output().await.unwrap();
    let run = ended(output);
    assert_eq!(run.code, 1, "{}", run.said);
    let counts = ["ok", "dead", "filtered"].map(|key| run.summary[key].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1]);
    let text = fs::read_to_string(folder.path().join("in.out")).unwrap();
    let expected = "{\"name\":\"Oslo\",\"at.lat\":59.910000000000000001}\n{\"name\":\"Nowhere\"}\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_job_of_the_settings_is_run_and_shown_and_its_failures_listed() {
    let origin = Origin::start(async |exchange: Exchange| {
        let is_bad = exchange.body == br#"{"city":"city-3"}"#;
        exchange.answer(if is_bad { 400 } else { 201 }, "").await
    });
    let scene = Scene::new(&origin, 20);
    let settings = format!(
        "version = 1\n[upstream.weather]\nurl = \"{}\"\n[job.cities]\ninput = \"in\"\n\
         output = \"out\"\neach_line = {{ send = \"POST /v1\", upstream = \"weather\", \
         body = '{{\"city\":{{line:json}}}}', content_type = \"application/json\" }}\n",
        origin.url()
    );
    fs::write(scene.path("seawall.toml"), settings).unwrap();
    let ask = async |arguments: &[&str]| {
        let command = Seawall::command(scene.folder.path(), arguments);
        ended(Command::from(command).output().await.unwrap())
    };
    assert_eq!(ask(&["job", "show", "cities", "--json"]).await.summary["state"], "not begun");
    let run = ask(&["job", "run", "cities", "--json"]).await;
    assert_eq!((run.code, &run.summary["ok"]), (1, &19.into()), "{}", run.said);
    let shown = ask(&["job", "show", "cities", "--json"]).await.summary;
    assert_eq!((&shown["state"], &shown["dead"]), (&"finished".into(), &1.into()));
    let failed = ask(&["job", "failed", "cities", "--json"]).await.summary;
    assert_eq!(failed["failed"][0]["line"], "city-3");
    assert_eq!(failed["failed"][0]["status"], 400);
    let unknown = ask(&["job", "run", "citys"]).await;
    assert_eq!(unknown.code, 2);
    assert!(unknown.said.contains("there are: cities"), "{}", unknown.said);
}
