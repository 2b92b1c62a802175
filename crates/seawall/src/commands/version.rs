//! `seawall version` and `seawall completions`.

use clap::CommandFactory;
use serde_json::json;

use super::Console;
use crate::cli::{Cli, Completions};
use crate::exit::Exit;

pub(super) fn version(console: &Console) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("SEAWALL_COMMIT").unwrap_or("unknown");
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if console.json {
        console.document(&json!({
            "schema": 1,
            "version": version,
            "commit": commit,
            "platform": platform,
            "profile": profile,
        }));
    } else {
        console.answer(&format!("seawall {version} ({platform}, {profile}, commit {commit})"));
    }
    Exit::Done
}

pub(super) fn completions(flags: &Completions, console: &Console) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "seawall", &mut script);
    console.answer_bytes(&script);
    Exit::Done
}
