//! `seawall reload`: makes the running server read its settings again.

use serde_json::json;

use super::Console;
use super::remote::Remote;
use crate::cli::{self, Global};
use crate::exit::Exit;

pub(super) fn reload(global: &Global, flags: &cli::Reload, talk: &Console) -> Exit {
    let wish = json!({ "force": flags.force });
    let said = Remote::find(global, flags.admin, talk)
        .and_then(|remote| remote.ask("POST /reload", Some(&wish), talk));
    let said = match said {
        Ok(said) => said,
        Err(exit) => return exit,
    };
    let document = &said.document;
    if talk.json {
        talk.answer(&document.to_string());
    } else if said.is_done {
        talk.answer(&format!("generation {} in force", document["generation"]));
    }
    for text in ["report", "warnings"].iter().filter_map(|key| document[key].as_str()) {
        if !text.is_empty() {
            talk.note(text.trim_end());
        }
    }
    if let Some(what) = document["restart_needed"].as_str() {
        talk.note(&format!("warning: restart needed: {what}"));
    }
    if said.is_done {
        return Exit::Done;
    }
    talk.error(&format!("refused; still serving generation {}", document["generation"]), None);
    Exit::Settings
}
