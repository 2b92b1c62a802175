//! `seawall breaker`: lists the breakers of a running server, or holds one open or closed.

use seawall_admin::{BreakerAction, BreakerChange};
use serde_json::{Value as Json, json};

use super::Console;
use super::remote::Remote;
use crate::cli::{self, BreakerCommand, Global};
use crate::exit::Exit;

pub(super) fn breaker(global: &Global, flags: &cli::BreakerFlags, console: &Console) -> Exit {
    let remote = match Remote::find(global, flags.admin, console) {
        Ok(remote) => remote,
        Err(exit) => return exit,
    };
    let (upstream, action, for_long) = match &flags.action {
        BreakerCommand::Ls => return list(&remote, console),
        BreakerCommand::Open { upstream, for_long } => {
            (upstream, BreakerAction::Open, Some(for_long))
        }
        BreakerCommand::Close { upstream, for_long } => {
            (upstream, BreakerAction::Close, Some(for_long))
        }
        BreakerCommand::Release { upstream } => (upstream, BreakerAction::Release, None),
    };
    let for_seconds = for_long.map(|for_long| for_long.as_secs_f64());
    let change = BreakerChange { upstream: upstream.clone(), action, for_seconds };
    remote.change("POST /breaker", &json!(change), console)
}

fn list(remote: &Remote, console: &Console) -> Exit {
    let said = match remote.ask("GET /status.json", None, console) {
        Ok(said) => said,
        Err(exit) => return exit,
    };
    let upstreams = said.document["upstreams"].as_array().cloned().unwrap_or_default();
    if console.json {
        let picked: Vec<_> = upstreams.iter().map(document).collect();
        console.document(&json!({ "schema": 1, "breakers": picked }));
        return Exit::Done;
    }
    if upstreams.is_empty() {
        console.note("no upstream was called yet");
    }
    let rows = upstreams.iter().map(|upstream| {
        let text = |key: &str, none: &str| upstream[key].as_str().unwrap_or(none).to_owned();
        let actual = upstream["actual"].as_f64();
        let actual = actual.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0));
        [text("name", ""), text("breaker", "off"), actual, text("last_failure", "none")]
    });
    let heading = ["UPSTREAM", "BREAKER", "ANSWERED WELL", "LAST FAILURE"].map(str::to_owned);
    let rows: Vec<_> = [heading].into_iter().chain(rows).collect();
    console.table(&rows);
    Exit::Done
}

fn document(upstream: &Json) -> Json {
    json!({
        "upstream": upstream["name"],
        "breaker": upstream["breaker"],
        "actual": upstream["actual"],
        "last_failure": upstream["last_failure"],
    })
}
