//! What people see of a run: how fast it is right after it went on, what is in flight, whether the
//! summary adds up, and what others see of it meanwhile and afterwards.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::fixture::{Exchange, Origin, Seawall, until};

/// A folder with an input of many lines.
struct Scene(TempDir);

impl Scene {
    fn new(lines: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..lines).map(|line| format!("city-{line:06}\n")).collect();
        fs::write(folder.path().join("in"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        Command::from(Seawall::command(self.path(), arguments))
    }

    /// Begins a run that tells its state as JSON.
    fn start(&self, arguments: &[&str]) -> Child {
        let said = fs::File::create(self.path().join("said")).unwrap();
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(said).kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// Asks a run for its state, until it is what is waited for.
    async fn state_when(&self, child: &Child, what: &str, holds: impl Fn(&Json) -> bool) -> Json {
        let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let states = || -> Vec<Json> {
            let said = fs::read_to_string(self.path().join("said")).unwrap();
            said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        let mut seen = 0;
        until(what, || {
            let states = states();
            if states.len() > seen || seen == 0 {
                seen = states.len();
                kill_process(id, Signal::USR1).unwrap();
            }
            states.iter().any(&holds)
        })
        .await;
        states().into_iter().find(|state| holds(state)).unwrap()
    }

    fn done(&self) -> usize {
        fs::read(self.path().join("out"))
            .map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
    }
}

fn to(origin: &Origin) -> String {
    format!("GET {}/w/{{line}}", origin.url())
}

#[tokio::test]
async fn right_after_it_goes_on_speed_and_time_left_are_those_of_this_run() {
    let scene = Scene::new(20_000);
    let origin = Origin::saying("fine");
    let to = to(&origin);
    let run = |more: &[&'static str]| {
        let usual = ["map", "in", "--to", &to, "--out", "out", "--progress", "json", "--json"];
        scene.start(&[&usual, more].concat())
    };
    let mut child = run(&["--concurrency", "64"]);
    until("half is written", || scene.done() >= 8000).await;
    child.kill().await.unwrap();
    let before = scene.done();
    let child = run(&["--rate", "100/s"]);
    // From then on it listens to signals.
    until("it goes on", || scene.done() > before).await;
    let before = before as f64;
    let state =
        scene.state_when(&child, "the speed is known", |state| state["eta_s"].as_f64().is_some());
    let state = state.await;
    let speed = state["lines_per_second"].as_f64().unwrap();
    assert!((20.0..250.0).contains(&speed), "{state}");
    // At a hundred a second what is left takes some hundred seconds: not none, and not hours.
    let left = (20_000.0 - before) / 100.0;
    let eta = state["eta_s"].as_f64().unwrap();
    assert!((left / 3.0..left * 5.0).contains(&eta), "{eta} s for {left} s: {state}");
    let share = state["share"].as_f64().unwrap();
    assert!(share >= before / 20_000.0 - 0.01, "{share}");
}

#[tokio::test]
async fn in_flight_is_what_the_upstream_has_and_not_what_waits_for_its_turn() {
    let scene = Scene::new(100);
    let origin = Origin::start(async |exchange: Exchange| exchange.wait_until_gone().await);
    let to = to(&origin);
    let child = scene.start(&[
        "map",
        "in",
        "--to",
        &to,
        "--rate",
        "3/m",
        "--concurrency",
        "16",
        "--progress",
        "json",
    ]);
    until("a call is under way", || origin.seen.now() == 1).await;
    let state = scene.state_when(&child, "it is told", |state| state["in_flight"] == 1).await;
    assert_eq!(state["in_flight"], 1, "{state}");
    assert_eq!(origin.seen.most(), 1);
}

#[tokio::test]
async fn the_summary_adds_up_also_when_a_run_goes_on() {
    let scene = Scene::new(3000);
    let origin = Origin::start(async |exchange: Exchange| match exchange.target().ends_with("7") {
        true => exchange.answer(400, "no").await,
        false => exchange.answer_after(Duration::from_millis(2), "fine").await,
    });
    let to = to(&origin);
    let arguments = ["map", "in", "--to", &to, "--out", "out", "--matches-not", "5$", "--json"];
    let mut child = scene.start(&arguments);
    until("some are written", || scene.done() >= 700).await;
    child.kill().await.unwrap();
    let output = scene.command(&arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary: Json = serde_json::from_slice(&output.stdout).unwrap();
    let number = |of: &Json, key: &str| of[key].as_u64().unwrap_or_else(|| panic!("{key}: {of}"));
    let sum = |of: &Json| number(of, "ok") + number(of, "dead") + number(of, "filtered");
    assert_eq!((sum(&summary), number(&summary, "lines")), (3000, 3000), "{summary}");
    let session = &summary["session"];
    assert_eq!(sum(session), number(session, "lines"), "{summary}");
    let before = number(&summary, "resumed_from");
    // Those that were done beyond the first that was not are not done again.
    assert!((1..=3000 - before).contains(&number(session, "lines")), "{summary}");
    let text = format!("{} lines in", grouped(number(session, "lines")));
    assert!(said.contains(&text) && said.contains("3,000 with those before"), "{said}");
    // What was finished before and refused has no numbers of its own.
    let refused = [&arguments[..], &["--raw"]].concat();
    let refused = scene.command(&refused).output().await.unwrap();
    let summary: Json = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((refused.status.code(), &summary["ok"]), (Some(3), &Json::Null), "{summary}");
}

fn grouped(number: u64) -> String {
    match number {
        1000.. => format!("{},{:03}", number / 1000, number % 1000),
        _ => number.to_string(),
    }
}

#[tokio::test]
async fn a_bar_fits_into_a_terminal_that_becomes_narrower() {
    let scene = Scene::new(100);
    let origin = Origin::start(async |exchange: Exchange| exchange.wait_until_gone().await);
    let script = scene.path().join("terminal.py");
    fs::write(&script, TERMINAL).unwrap();
    let command = Seawall::command(scene.path(), &["map", "in", "--to", &to(&origin)]);
    let mut python = Command::new("python3");
    python.arg(&script).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            python.env(name, value);
        }
    }
    python.current_dir(scene.path()).env("TERM", "xterm").kill_on_drop(true);
    let output = python.output().await.unwrap();
    let frames: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |which: &str| frames[which].as_str().unwrap().to_owned();
    assert!(text("wide").contains("16 in flight, eta ?"), "{frames}");
    // The first frame of the narrow terminal takes away what the wide one has left.
    let narrow = text("narrow");
    let frames: Vec<&str> = narrow.split("\u{1b}[J").skip(1).collect();
    assert!(frames.len() > 3, "{narrow:?}");
    for frame in &frames[1..] {
        let frame = frame.split('\r').next().unwrap();
        let widest = frame.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest < 20, "{widest} characters on 20 columns: {frame:?}");
    }
    assert!(narrow.contains("0.0%, 0 ok, eta ?"), "{narrow:?}");
}

/// Runs a command on a terminal of 120 columns, and then of 20.
const TERMINAL: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
child, terminal = pty.fork()
def size(columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
if child == 0:
    time.sleep(0.3)
    os.execv(sys.argv[1], sys.argv[1:])
def read(enough):
    text, until = "", time.time() + 30
    while not enough(text) and time.time() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
    return text
size(120)
wide = read(lambda text: "16 in flight" in text)
size(20)
narrow = read(lambda text: text.count("\x1b[J") > 12)
os.kill(child, 9)
os.waitpid(child, 0)
print(json.dumps({"wide": wide, "narrow": narrow}))
"#;

#[tokio::test]
async fn a_run_that_failed_or_runs_right_now_is_shown_with_and_without_a_server() {
    let scene = Scene::new(500);
    let origin = Origin::start(async |exchange: Exchange| match exchange.target() {
        target if target.starts_with("/bad") => exchange.answer(400, "no").await,
        _ => exchange.wait_until_gone().await,
    });
    let job = |name: &str, path: &str, more: &str| {
        format!(
            "[job.{name}]\ninput = \"in\"\noutput = \"{name}.out\"\n{more}\n\
             each_line = {{ send = \"GET /{path}/{{line}}\", upstream = \"weather\" }}\n"
        )
    };
    let settings = format!(
        "version = 1\n[admin]\nlisten = \"127.0.0.1:1\"\n[upstream.weather]\nurl = \"{}\"\n{}{}{}",
        origin.url(),
        job("bad", "bad", "on_failure = { stop_above = \"3\" }"),
        job("slow", "slow", ""),
        job("new", "new", "")
    );
    fs::write(scene.path().join("seawall.toml"), settings).unwrap();
    let ask = async |arguments: &[&str]| {
        let output = scene.command(arguments).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(ask(&["job", "run", "bad"]).await.0, 6);
    let _slow = scene.start(&["job", "run", "slow"]);
    until("calls are under way", || origin.seen.now() > 0).await;
    let state = async |job: &str| {
        let (_, said, _) = ask(&["job", "show", job, "--json"]).await;
        serde_json::from_str::<Json>(&said).unwrap()
    };
    let bad = state("bad").await;
    assert_eq!(bad["state"], "failed", "{bad}");
    assert!(bad["why"].as_str().unwrap().starts_with("too many lines failed: "), "{bad}");
    assert_eq!(state("slow").await["state"], "running");
    let (code, said, note) = ask(&["job", "ls"]).await;
    assert_eq!(code, 0, "{note}");
    let row = |job: &str| said.lines().find(|line| line.starts_with(job)).unwrap().to_owned();
    assert!(row("bad").contains("failed") && row("bad").contains("too many lines"), "{said}");
    assert!(row("slow").contains("running") && row("new").contains("not begun"), "{said}");
    assert!(note.contains("no server is running"), "{note}");
    // What only a server knows is not answered without one.
    assert_eq!(ask(&["job", "ls", "--state", "failed"]).await.0, 5);
    assert_eq!(ask(&["job", "ls", "--admin", "127.0.0.1:1"]).await.0, 5);
}
