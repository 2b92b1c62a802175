//! The commands that need no server.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

const SETTINGS: &str = r#"
[policy.patient]
total_timeout = "2s"

[upstream.weather-api]
url = "http://127.0.0.1:1/base"
policy = "patient"

[[route]]
match = "GET /api/weather/{city}"
upstream = "weather-api"
path = "/v1/forecast?q={city}"
"#;

/// Runs the binary in a folder of its own; returns its code, stdout and stderr.
pub(crate) fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(dir, args).output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(args).current_dir(dir).env_remove("SEAWALL_CONFIG").stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn dir_with(settings: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("seawall.toml"), settings).unwrap();
    dir
}

pub(crate) fn json(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(document["schema"], 1, "{text}");
    document
}

#[test]
fn init_writes_a_file_that_check_finds_fine_and_never_overwrites_it() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = run(dir.path(), &["init", "gateway"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let written = fs::read_to_string(dir.path().join("seawall.toml")).unwrap();
    let schema = fs::read_to_string(dir.path().join("seawall.schema.json")).unwrap();
    assert!(serde_json::from_str::<Value>(&schema).unwrap()["properties"]["server"].is_object());
    let (code, out, _) = run(dir.path(), &["check"]);
    assert_eq!((code, out.as_str()), (0, "seawall.toml: fine (1 route, 1 upstream)\n"));
    let (code, _, err) = run(dir.path(), &["init"]);
    assert_eq!(code, 4);
    assert!(err.starts_with("error: seawall.toml is there already"), "{err}");
    assert_eq!(fs::read_to_string(dir.path().join("seawall.toml")).unwrap(), written);
}

#[test]
fn what_init_calls_minimal_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let (_, minimal, _) = run(dir.path(), &["init", "--minimal"]);
    fs::write(dir.path().join("seawall.toml"), minimal).unwrap();
    assert_eq!(run(dir.path(), &["check", "--strict"]).0, 0);
}

#[test]
fn check_answers_no_with_every_error() {
    let dir = dir_with("[server]\nlisten = 8080\ndrian = \"1s\"\n");
    let (code, out, _) = run(dir.path(), &["check"]);
    assert_eq!(code, 1);
    assert!(out.contains("seawall.toml:2:10") && out.contains("did you mean `drain`?"), "{out}");
    assert!(!out.contains('\u{1b}'), "colour without a terminal");
    let (_, out, _) = run(dir.path(), &["check", "--color", "always"]);
    assert!(out.contains('\u{1b}'), "no colour although asked for");
    let (code, out, _) = run(dir.path(), &["check", "--format", "json"]);
    assert_eq!((code, &json(&out)["errors"]), (1, &Value::from(2)));
    let (_, out, _) = run(dir.path(), &["check", "--format", "github"]);
    assert!(out.starts_with("::error file=seawall.toml,line=2,col=10::`server.listen`"), "{out}");
}

#[test]
fn check_connect_dials_the_upstreams() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let dir = dir_with(&SETTINGS.replace("127.0.0.1:1", &address.to_string()));
    assert_eq!(run(dir.path(), &["check", "--connect"]).0, 0);
    drop(listener);
    let (code, out, _) = run(dir.path(), &["check", "--connect"]);
    assert_eq!(code, 1);
    assert!(out.contains("upstream `weather-api` cannot be reached"), "{out}");
}

#[test]
fn settings_come_from_stdin_as_toml_or_json() {
    let dir = tempfile::tempdir().unwrap();
    let check = |settings: &str| -> Output {
        let mut command = command(dir.path(), &["check", "-c", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(settings.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(check(SETTINGS).status.code(), Some(0));
    let output = check(r#"{ "server": { "listen": "8080" } }"#);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("<stdin>:1:25"), "{}", text(&output.stdout));
}

#[test]
fn no_settings_and_refused_settings_end_with_3() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["check"][..], &["config", "show"], &["routes"], &["run", "-c", "none.toml"]] {
        let (code, out, err) = run(dir.path(), args);
        assert_eq!((code, out.as_str()), (3, ""), "{args:?}");
        assert!(err.starts_with("error: "), "{err}");
    }
    let dir = dir_with("[server]\nlisten = 8080\n");
    for args in [&["config", "show"][..], &["routes"], &["run"]] {
        let (code, _, err) = run(dir.path(), args);
        assert_eq!(code, 3, "{args:?}");
        assert!(err.contains("seawall.toml:2:10"), "{err}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let dir = dir_with(SETTINGS);
    for args in
        [&["chek"][..], &["config", "explain", "policy.retry.bugdet"], &["routes", "test", "x"]]
    {
        assert_eq!(run(dir.path(), args).0, 2, "{args:?}");
    }
    let (_, _, err) = run(dir.path(), &["config", "explain", "policy.retry.bugdet"]);
    assert!(err.contains("did you mean `policy.retry.budget`?"), "{err}");
}

#[test]
fn config_show_says_where_each_value_comes_from() {
    let dir = dir_with(SETTINGS);
    let (code, out, _) = run(dir.path(), &["config", "show", "--origin"]);
    assert_eq!(code, 0);
    let line = out.lines().find(|line| line.starts_with("total_timeout = \"2s\"")).unwrap();
    assert!(line.ends_with("# seawall.toml:3"), "{line}");
    let (_, out, _) = run(dir.path(), &["config", "show", "--json"]);
    let settings = json(&out)["settings"].as_array().unwrap().clone();
    let drain = settings.iter().find(|setting| setting["key"] == "server.drain").unwrap();
    assert_eq!((&drain["value"], &drain["origin"]), (&"10s".into(), &"default".into()));
}

#[test]
fn config_explains_keys_with_and_without_names() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(dir.path(), &["config", "explain", "policy.patient.retry.budget"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out);
    json(&run(dir.path(), &["config", "explain", "--json"]).1);
}

#[test]
fn routes_test_says_what_happens_to_a_request() {
    let dir = dir_with(SETTINGS);
    let (code, out, _) = run(dir.path(), &["routes", "test", "GET /api/weather/S%C3%A3o Paulo"]);
    assert_eq!(code, 1, "{out}");
    let (code, out, _) = run(dir.path(), &["routes", "test", "GET /api/weather/a%26b"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out);
    let (code, out, _) =
        run(dir.path(), &["routes", "test", "POST", "/api/weather/oslo", "--json"]);
    assert_eq!((code, &json(&out)["status"]), (1, &Value::from(405)));
    let (code, out, _) = run(dir.path(), &["routes", "test", "GET /api/%2e%2e/admin"]);
    assert_eq!(code, 1);
    assert!(out.contains("refused before any route: a dot segment"), "{out}");
    insta::assert_snapshot!(run(dir.path(), &["routes"]).1);
}

#[test]
fn call_makes_one_call_through_a_policy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nno oslo").unwrap();
        text(&head)
    });
    let dir = dir_with(&SETTINGS.replace("127.0.0.1:1", &address.to_string()));
    let (code, out, err) =
        run(dir.path(), &["call", "weather-api", "GET", "/v1?q=1", "-H", "x-a: b"]);
    assert_eq!((code, out.as_str()), (0, "no os"), "{err}");
    assert!(err.contains("404 Not Found") && err.contains("fate ok, attempts 1"), "{err}");
    let head = upstream.join().unwrap();
    assert!(head.starts_with("GET /base/v1?q=1 HTTP/1.1\r\n") && head.contains("x-a: b"), "{head}");
    assert!(head.contains("seawall-attempt: 1\r\n"), "{head}");
    assert!(head.contains("seawall-timeout-ms: "), "{head}");
}

#[test]
fn a_call_that_fails_answers_no() {
    let dir = dir_with(SETTINGS);
    let (code, out, _) = run(dir.path(), &["call", "weather-api", "GET", "/", "--json"]);
    assert_eq!(code, 1);
    let document = json(&out);
    assert_eq!((&document["fate"], &document["attempts"]), (&"failed".into(), &Value::from(3)));
    assert_eq!(run(dir.path(), &["call", "nobody", "GET", "/"]).0, 2);
}

#[test]
fn version_and_completions_answer_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(dir.path(), &["version", "--json"]);
    assert_eq!((code, &json(&out)["version"]), (0, &env!("CARGO_PKG_VERSION").into()));
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(dir.path(), &["completions", shell]);
        assert!(code == 0 && out.contains("seawall"), "{shell}");
    }
}
