//! The way to a running server: which one is meant, and what it says.
//!
//! Does not know: what is asked for.

use std::net::SocketAddr;

use seawall_admin::{self as running, CannotAsk, RunningServer, ServerAnswer};
use seawall_settings::{self as settings, Source};
use serde_json::Value as Json;

use super::Console;
use crate::cli::Global;
use crate::exit::Exit;

/// Which running server is asked.
pub(super) struct Remote(RunningServer);

impl Remote {
    /// Finds the server: the one that a flag names, the one that serves the settings file, or the
    /// one at the address that the file says, which must serve the file, too.
    pub(super) fn find(
        global: &Global,
        admin: Option<SocketAddr>,
        console: &Console,
    ) -> Result<Self, Exit> {
        let usual = SocketAddr::from(([127, 0, 0, 1], 9090));
        let Some(source) = Source::find(global.config.as_deref()) else {
            let admin = admin.unwrap_or(usual);
            return Ok(Self(RunningServer { admin, token: None, file: None }));
        };
        let text = source.read().map_err(|unreadable| {
            console.error(&unreadable.to_string(), None);
            Exit::Settings
        })?;
        let file = source.file();
        // A server that was told another port by a flag is found by the file that it serves.
        let found = admin.or_else(|| file.as_deref().and_then(running::find));
        let environment = |name: &str| std::env::var(name).ok();
        let loaded = settings::load_text(text.clone(), &environment);
        // The file may be the very one that will be refused: it is asked, not needed.
        let (written, token) = match loaded {
            Ok(loaded) => {
                let written = loaded.settings.admin;
                (Some(written.listen), written.token)
            }
            Err(report) => match settings::admin_of(text, &environment) {
                (None, _) if found.is_none() => {
                    console.report(&report);
                    let name = source.name();
                    let what =
                        format!("no server of yours serves {name}, and it does not say where");
                    console.error(&what, Some("`--admin ADDRESS` names the server"));
                    return Err(Exit::Settings);
                }
                said => said,
            },
        };
        // Whoever names the server means that one, whatever it serves.
        let file = file.filter(|_| admin.is_none());
        Ok(Self(RunningServer { admin: found.or(written).unwrap_or(usual), token, file }))
    }

    /// Asks for jobs; that there is no server is an answer as well.
    pub(super) fn ask_unless_none(
        &self,
        document: &Json,
        console: &Console,
    ) -> Result<Result<Json, NoServer>, Exit> {
        match running::ask(&self.0, "POST /jobs", Some(document)) {
            Ok(said) if said.is_done => Ok(Ok(said.document)),
            Ok(said) => {
                console.error(said.document["error"].as_str().unwrap_or("it was refused"), None);
                Err(Exit::No)
            }
            Err(error @ CannotAsk::NoServer { .. }) => Ok(Err(NoServer(error))),
            Err(error) => Err(NoServer(error).tell(console)),
        }
    }

    /// Asks for something: `POST /reload`; says so if there is no server to ask.
    pub(super) fn ask(
        &self,
        what: &str,
        document: Option<&Json>,
        console: &Console,
    ) -> Result<ServerAnswer, Exit> {
        running::ask(&self.0, what, document).map_err(|error| NoServer(error).tell(console))
    }

    /// Asks for a change, and answers with what was done.
    pub(super) fn change(&self, what: &str, document: &Json, console: &Console) -> Exit {
        let said = match self.ask(what, Some(document), console) {
            Ok(said) => said,
            Err(exit) => return exit,
        };
        if console.json {
            console.document(&said.document);
        } else if let Some(done) = said.document["done"].as_str() {
            console.answer(done);
        }
        if said.is_done {
            return Exit::Done;
        }
        console.error(said.document["error"].as_str().unwrap_or("it was refused"), None);
        Exit::No
    }
}

/// Why no server answered.
pub(super) struct NoServer(CannotAsk);

impl NoServer {
    /// Tells people, and returns the code for it.
    pub(super) fn tell(self, console: &Console) -> Exit {
        let help = match &self.0 {
            CannotAsk::NoServer { .. } => {
                Some("`--admin ADDRESS` names another server's admin port".to_owned())
            }
            CannotAsk::Another { admin, .. } => {
                Some(format!("`--admin {admin}` if that server is meant"))
            }
            CannotAsk::NoToken { .. } | CannotAsk::Odd { .. } => None,
        };
        console.error(&self.0.to_string(), help.as_deref());
        Exit::NoServer
    }
}
