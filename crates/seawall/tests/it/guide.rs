//! The pages: every piece of settings in them is one that the binary takes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::{Table, Value};

#[test]
fn every_piece_of_settings_in_the_pages_is_sound() {
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
    assert!(checked >= 15, "{checked} pieces");
}

/// Returns every page, in order.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    let mut open = vec![root.join("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(end) if end == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    pages.sort();
    pages
}

/// Asks the binary about a piece, with what a whole file has beside it.
#[track_caller]
fn check(page: &Path, piece: &str) {
    let settings = format!("{piece}\n{}", missing(page, piece));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("seawall.toml"), &settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(["check", "--strict"]).current_dir(dir.path()).env_remove("SEAWALL_CONFIG");
    command.env("SEAWALL_ADMIN_TOKEN", "a token").env("SEAWALL_JOBS_URL", "postgres://127.0.0.1/a");
    command.env("SEAWALL_HOOKS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}:\n{settings}\n{said}", page.display());
}

/// Returns what a piece names and does not say, and what uses what it says.
fn missing(page: &Path, piece: &str) -> String {
    let table: Table =
        piece.parse().unwrap_or_else(|error| panic!("{}: {piece}{error}", page.display()));
    let named = |key: &str| table.get(key).and_then(Value::as_table).cloned().unwrap_or_default();
    let (upstreams, policies, jobs) = (named("upstream"), named("policy"), named("job"));
    let routes = table.get("route").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let mut called: Vec<String> = Vec::new();
    for route in &routes {
        called.extend(text(route, "upstream"));
        called.extend(route.get("fallback").and_then(|fallback| text(fallback, "upstream")));
    }
    for job in jobs.values() {
        let calls = ["each_line", "on_done", "on_failed"].map(|key| job.get(key));
        called.extend(calls.into_iter().flatten().filter_map(|call| text(call, "upstream")));
    }
    let mut file = String::new();
    for name in called.iter().filter(|name| !upstreams.contains_key(*name)) {
        if !file.contains(&format!("[upstream.{name}]")) {
            let _ = writeln!(file, "[upstream.{name}]\nurl = \"http://127.0.0.1:1\"");
        }
    }
    for name in upstreams.keys().filter(|name| !called.contains(name)) {
        let _ = writeln!(file, "[[route]]\nmatch = \"GET /to-{name}\"\nupstream = \"{name}\"");
    }
    let users = routes.iter().chain(upstreams.values());
    let mut used: Vec<String> = users.filter_map(|user| text(user, "policy")).collect();
    used.extend(policies.values().filter_map(|policy| text(policy, "extends")));
    for name in policies.keys().filter(|name| *name != "standard" && !used.contains(name)) {
        let _ = writeln!(
            file,
            "[upstream.of-{name}]\nurl = \"http://127.0.0.1:1\"\npolicy = \"{name}\"\n\
             [[route]]\nmatch = \"GET /of-{name}\"\nupstream = \"of-{name}\""
        );
    }
    let is_idle = routes.is_empty() && jobs.is_empty() && !file.contains("[[route]]");
    if is_idle {
        file += "[upstream.any]\nurl = \"http://127.0.0.1:1\"\n\
                 [[route]]\nmatch = \"GET /any\"\nupstream = \"any\"\n";
    }
    file
}
