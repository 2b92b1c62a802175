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
mod console;
mod init;
mod job;
mod job_remote;
mod map;
mod reload;
mod remote;
mod routes;
mod simulate;
mod version;
mod way;

use seawall_settings::{self as settings, Loaded, Source, USUAL};

use crate::cli::{Command, Global};
use crate::exit::Exit;

pub(crate) use console::Console;

/// Carries out a command that serves nothing itself.
pub fn carry_out(global: &Global, command: &Command) -> Exit {
    let console = Console::new(global);
    match command {
        Command::Init(flags) => init::init(global, flags, &console),
        Command::Check(flags) => check::check(global, flags, &console),
        Command::Config(flags) => config::config(global, &flags.action, &console),
        Command::Routes(flags) => routes::routes(global, flags.action.as_ref(), &console),
        Command::Call(flags) => call::call(global, flags, &console),
        Command::Simulate(flags) => simulate::simulate(global, flags, &console),
        Command::Map(flags) => map::map(global, flags, &console),
        Command::Job(flags) => job::job(global, flags, &console),
        Command::Completions(flags) => version::completions(flags, &console),
        Command::Version => version::version(&console),
        Command::Reload(flags) => reload::reload(global, flags, &console),
        Command::Breaker(flags) => breaker::breaker(global, flags, &console),
        Command::Chaos(flags) => chaos::chaos(global, flags, &console),
        Command::Run(_) | Command::Demo(_) => {
            console.error("this command needs a server", None);
            Exit::Bug
        }
    }
}

/// Returns where the settings are; says so if they are nowhere.
fn source(global: &Global, console: &Console) -> Result<Source, Exit> {
    Source::find(global.config.as_deref()).ok_or_else(|| {
        let help = "`seawall init` writes one, `-c FILE` names another";
        console.error(&format!("no {USUAL} here"), Some(help));
        Exit::Settings
    })
}

/// Returns the settings; says everything that is wrong with them, if they are refused.
fn load(global: &Global, console: &Console) -> Result<Loaded, Exit> {
    settings::load(&source(global, console)?).map_err(|report| {
        console.report(&report);
        Exit::Settings
    })
}
