//! The guide: every piece of settings in its pages on policies is one that the binary takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn every_piece_of_settings_in_the_pages_on_policies_is_sound() {
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for piece in text.split("```toml\n").skip(1) {
            let piece = piece.split("```").next().unwrap();
            check(&page, piece);
            checked += 1;
        }
    }
    // As many as there are strategies with settings: a page whose pieces are not found says nothing.
    assert!(checked >= 10, "{checked} pieces");
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/policy");
    let mut pages: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

/// Asks the binary about a policy and an upstream that uses it.
#[track_caller]
fn check(page: &Path, piece: &str) {
    let name = piece.split("[policy.").nth(1).unwrap().split([']', '.']).next().unwrap();
    let upstream = format!(
        "[upstream.one]\nurl = \"http://127.0.0.1:1\"\npolicy = \"{name}\"\n\
         [[route]]\nmatch = \"GET /\"\nupstream = \"one\"\n"
    );
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("seawall.toml"), format!("{piece}{upstream}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.arg("check").current_dir(dir.path()).env_remove("SEAWALL_CONFIG");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {piece}{said}", page.display());
    assert!(!said.contains("warning"), "{}: {piece}{said}", page.display());
}
