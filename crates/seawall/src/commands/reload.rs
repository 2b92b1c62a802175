//! `seawall reload`: makes the running server read its settings again.

use serde_json::json;

use super::Console;
use super::remote::Remote;
use crate::cli::{self, Global};
use crate::exit::Exit;

pub(super) fn reload(global: &Global, flags: &cli::Reload, console: &Console) -> Exit {
    let wish = json!({ "force": flags.force });
    let said = Remote::find(global, flags.admin, console)
        .and_then(|remote| remote.ask("POST /reload", Some(&wish), console));
    let said = match said {
        Ok(said) => said,
        Err(exit) => return exit,
    };
    let document = &said.document;
    if console.json {
        console.answer(&document.to_string());
    } else if said.is_done {
        console.answer(&format!("generation {} in force", document["generation"]));
    }
    for text in ["report", "warnings"].iter().filter_map(|key| document[key].as_str()) {
        if !text.is_empty() {
            console.note(text.trim_end());
        }
    }
    if let Some(what) = document["restart_needed"].as_str() {
        console.note(&format!("warning: restart needed: {what}"));
    }
    if said.is_done {
        return Exit::Done;
    }
    console.error(&format!("refused; still serving generation {}", document["generation"]), None);
    Exit::Settings
}
