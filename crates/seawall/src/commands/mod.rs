//! The commands: those that need no running server (`init`, `check`, `config`, `routes`, `call`,
//! `simulate`, `map`, `job run`, `completions`, `version`), and those that ask one (`reload`, `breaker`, `chaos`).
//!
//! Does not know: sockets that listen, signals. Each command answers on stdout and ends with one
//! of the codes of `exit`.

mod breaker;
mod call;
mod chaos;
mod check;
mod config;
mod init;
mod job;
mod job_remote;
mod map;
mod reload;
mod remote;
mod routes;
mod simulate;
mod talk;
mod version;
mod way;

use seawall_settings::{self as settings, Loaded, Source, USUAL};

use crate::cli::{Command, Global};
use crate::exit::Exit;

pub(crate) use talk::Console;

/// Carries out a command that serves nothing itself.
pub fn carry_out(global: &Global, command: &Command) -> Exit {
    let talk = Console::new(global);
    match command {
        Command::Init(flags) => init::init(global, flags, &talk),
        Command::Check(flags) => check::check(global, flags, &talk),
        Command::Config(flags) => config::config(global, &flags.action, &talk),
        Command::Routes(flags) => routes::routes(global, flags.action.as_ref(), &talk),
        Command::Call(flags) => call::call(global, flags, &talk),
        Command::Simulate(flags) => simulate::simulate(global, flags, &talk),
        Command::Map(flags) => map::map(global, flags, &talk),
        Command::Job(flags) => job::job(global, flags, &talk),
        Command::Completions(flags) => version::completions(flags, &talk),
        Command::Version => version::version(&talk),
        Command::Reload(flags) => reload::reload(global, flags, &talk),
        Command::Breaker(flags) => breaker::breaker(global, flags, &talk),
        Command::Chaos(flags) => chaos::chaos(global, flags, &talk),
        Command::Run(_) | Command::Demo(_) => {
            talk.error("this command needs a server", None);
            Exit::Bug
        }
    }
}

/// Returns where the settings are; says so if they are nowhere.
fn source(global: &Global, talk: &Console) -> Result<Source, Exit> {
    Source::find(global.config.as_deref()).ok_or_else(|| {
        let help = "`seawall init` writes one, `-c FILE` names another";
        talk.error(&format!("no {USUAL} here"), Some(help));
        Exit::Settings
    })
}

/// Returns the settings; says everything that is wrong with them, if they are refused.
fn load(global: &Global, talk: &Console) -> Result<Loaded, Exit> {
    settings::load(&source(global, talk)?).map_err(|report| {
        talk.report(&report);
        Exit::Settings
    })
}
