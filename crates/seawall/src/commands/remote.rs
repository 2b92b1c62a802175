//! The way to a running server: which one is meant, and what it says.
//!
//! Does not know: what is asked for.

use std::net::SocketAddr;

use serde_json::Value as Json;

use super::Talk;
use crate::admin::{self, CannotAsk, Said};
use crate::cli::Global;
use crate::exit::Exit;
use crate::settings::{self, Secret, Source};

/// Holds where a running server is asked.
pub(super) struct Remote {
    admin: SocketAddr,
    token: Option<Secret>,
}

impl Remote {
    /// Finds the server: the one that a flag names, the one that serves the settings file, or the
    /// one at the address that the file says.
    pub(super) fn find(global: &Global, admin: Option<SocketAddr>) -> Self {
        let source = Source::find(global.config.as_deref());
        // The file may be the very one that will be refused: it is asked, not needed.
        let meant = source.as_ref().and_then(|source| settings::load(source).ok()).map(|l| l.meant);
        let usual = SocketAddr::from(([127, 0, 0, 1], 9090));
        // A server that was told another port by a flag is found by the file that it serves.
        let serving = source.as_ref().and_then(|source| match source {
            Source::File(path) => admin::find(path),
            Source::Stdin | Source::Text { .. } => None,
        });
        let written = meant.as_ref().map(|meant| meant.admin.listen);
        let admin = admin.or(serving).or(written).unwrap_or(usual);
        Self { admin, token: meant.and_then(|meant| meant.admin.token) }
    }

    /// Asks for something: `POST /reload`; says so if there is no server to ask.
    pub(super) fn ask(
        &self,
        what: &str,
        document: Option<&Json>,
        talk: &Talk,
    ) -> Result<Said, Exit> {
        admin::ask(self.admin, self.token.as_ref(), what, document).map_err(|error| {
            let help = match error {
                CannotAsk::NoServer { .. } => {
                    Some("`--admin ADDRESS` names another server's admin port")
                }
                CannotAsk::NoToken { .. } | CannotAsk::Odd { .. } => None,
            };
            talk.error(&error.to_string(), help);
            Exit::NoServer
        })
    }

    /// Asks for a change, and answers with what was done.
    pub(super) fn change(&self, what: &str, document: &Json, talk: &Talk) -> Exit {
        let said = match self.ask(what, Some(document), talk) {
            Ok(said) => said,
            Err(exit) => return exit,
        };
        if talk.json {
            talk.document(&said.document);
        } else if let Some(done) = said.document["done"].as_str() {
            talk.answer(done);
        }
        if said.is_done {
            return Exit::Done;
        }
        talk.error(said.document["error"].as_str().unwrap_or("it was refused"), None);
        Exit::No
    }
}
