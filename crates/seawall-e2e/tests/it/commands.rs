//! Commands: what they write, what they never show, and which server they ask.

use std::fs;
use std::path::Path;

use crate::fixture::{Seawall, free_port};

#[tokio::test]
async fn what_init_writes_passes_check() {
    let folder = tempfile::tempdir().unwrap();

    let init = Seawall::command(folder.path(), &["init", "gateway"]).output().unwrap();
    assert_eq!(init.status.code(), Some(0), "{init:?}");
    let check = Seawall::command(folder.path(), &["check", "-c", "seawall.toml"]).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{check:?}");

    let again = Seawall::command(folder.path(), &["init", "gateway"]).output().unwrap();
    assert_ne!(again.status.code(), Some(0), "it would overwrite: {again:?}");
}

#[tokio::test]
async fn a12_a_secret_in_the_settings_is_shown_nowhere() {
    let canary = "canary-5f2c9a";
    let folder = tempfile::tempdir().unwrap();
    let settings = "version = 1\n[admin]\ntoken = { env = \"SEAWALL_TEST_TOKEN\" }\n\
        [upstream.x]\nurl = \"http://127.0.0.1:1\"\n\
        [[route]]\nmatch = \"GET /x\"\nupstream = \"x\"\n";
    fs::write(folder.path().join("seawall.toml"), settings).unwrap();

    let said = |arguments: &[&str]| {
        let output = Seawall::command(folder.path(), arguments)
            .env("SEAWALL_TEST_TOKEN", canary)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };

    let shown = said(&["config", "show", "--origin", "-c", "seawall.toml"]);
    assert!(!shown.contains(canary), "{shown}");
    assert!(shown.contains("***"), "{shown}");
    for arguments in [&["check", "-c", "seawall.toml"][..], &["routes", "-c", "seawall.toml"]] {
        let text = said(arguments);
        assert!(!text.contains(canary), "{arguments:?}: {text}");
    }
}

/// Every command that asks a server, or changes one.
const ASKING: [&[&str]; 9] = [
    &["reload"],
    &["breaker", "ls"],
    &["breaker", "open", "x"],
    &["chaos", "x", "--fail", "50%"],
    &["job", "ls"],
    &["job", "show", "1"],
    &["job", "cancel", "1"],
    &["job", "run", "nightly", "--detach"],
    &["job", "failed", "1"],
];

const ROUTE: &str = "[upstream.x]\nurl = \"http://127.0.0.1:1\"\n\
    [[route]]\nmatch = \"GET /x\"\nupstream = \"x\"\n";

/// Runs a command; returns its exit code and what it said on stderr.
fn said(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Seawall::command(folder, arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_command_for_one_server_never_reaches_another_at_its_address() {
    let chaos = format!("[admin]\nchaos = true\n{ROUTE}");
    let other = Seawall::start(&chaos).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("version = 1\n[admin]\nlisten = \"{}\"\n{ROUTE}", other.admin);
    fs::write(folder.path().join("mine.toml"), settings).unwrap();
    let mine = folder.path().join("mine.toml").display().to_string();
    for asking in ASKING {
        let (code, words) = said(folder.path(), &[asking, &["-c", &mine]].concat());
        assert_eq!(code, 5, "{asking:?}: {words}");
        let serves = format!("at {} serves {}, not {mine}", other.admin, other.file().display());
        assert!(words.contains(&serves), "{asking:?}: {words}");
    }
    // Without what the other server wrote down, it is the server that refuses.
    let runtime = tempfile::tempdir().unwrap();
    let settings = "[admin]\ntoken = { env = \"NOT_SET\", default = \"canary\" }\n";
    let guarded = Seawall::start(&format!("{settings}{ROUTE}")).await;
    let listen = format!("[admin]\nlisten = \"{}\"", guarded.admin);
    let text = format!("version = 1\n{settings}{ROUTE}").replace("[admin]", &listen);
    fs::write(folder.path().join("mine.toml"), text).unwrap();
    let output = Seawall::command(folder.path(), &["reload", "-c", &mine])
        .env("XDG_RUNTIME_DIR", runtime.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let serves = format!("serves {}, not {mine}", guarded.file().display());
    assert!(output.status.code() == Some(5) && words.contains(&serves), "{words}");
    assert_eq!(other.metric("seawall_config_loaded_total", &[]).await, 1.0);
    // Whoever names the server means it.
    let admin = other.admin.to_string();
    let (code, words) = said(folder.path(), &["reload", "-c", &mine, "--admin", &admin]);
    assert_eq!(code, 0, "{words}");
}

#[tokio::test]
async fn a_server_is_found_by_its_file_whatever_name_leads_there() {
    let server = Seawall::start(ROUTE).await;
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(server.file(), &link).unwrap();
    let (code, words) = said(folder.path(), &["reload", "-c", link.to_str().unwrap()]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(server.ask(&["reload"]).0, 0, "by the file of the folder it was started in");
}

#[tokio::test]
async fn a_settings_file_that_cannot_be_read_is_exit_3_and_no_server_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    for asking in ASKING {
        let (code, words) = said(folder.path(), &[asking, &["-c", "gone.toml"]].concat());
        assert_eq!(code, 3, "{asking:?}: {words}");
        assert!(words.contains("cannot read gone.toml"), "{asking:?}: {words}");
    }
    // One that is read and refused does not say where its server is.
    fs::write(folder.path().join("bad.toml"), "listen = 3\n").unwrap();
    let (code, words) = said(folder.path(), &["reload", "-c", "bad.toml"]);
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("no server of yours serves bad.toml"), "{words}");
    let nowhere = format!("127.0.0.1:{}", free_port());
    let (code, words) = said(folder.path(), &["reload", "-c", "bad.toml", "--admin", &nowhere]);
    assert_eq!(code, 5, "the flag says where: {words}");
}

#[tokio::test]
async fn a_refused_file_is_told_as_refused_though_the_token_stands_in_it() {
    let settings = "[admin]\ntoken = { env = \"NOT_SET\", default = \"canary\" }\n";
    let server = Seawall::start(&format!("{settings}{ROUTE}")).await;
    server.write_settings(&format!("{settings}{ROUTE}odd = 1\n"));
    let (code, words) = server.ask(&["reload"]);
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("unknown key `route.odd`"), "{words}");
}

#[tokio::test]
async fn an_emptied_file_is_refused_by_reload_and_taken_by_force() {
    let server = Seawall::start(ROUTE).await;
    server.write_settings("version = 1\n");
    let (code, words) = server.ask(&["reload"]);
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("only 0 of 1 routes would be left"), "{words}");
    assert!(words.contains("`seawall reload --force` takes it"), "{words}");
    assert_eq!(server.ask(&["reload", "--force"]).0, 0);
    assert_eq!(server.get("/x").await.status, 404);
}
