//! Commands that need no server: what they write, and what they never show.

use crate::fixture::Seawall;

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
    std::fs::write(folder.path().join("seawall.toml"), settings).unwrap();

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
