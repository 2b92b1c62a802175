//! The `seawall` binary: reads the command line and ends with one of the codes of `exit`.

use std::panic::catch_unwind;
use std::process::ExitCode;

use seawall::cli::{Cli, Command};
use seawall::exit::Exit;
use seawall::{commands, panics, start};

fn main() -> ExitCode {
    panics::hook();
    // The hook has said where; the code tells scripts that it was our fault.
    let exit = catch_unwind(|| carry_out(Cli::read())).unwrap_or(Exit::Bug);
    exit.into()
}

fn carry_out(Cli { global, command }: Cli) -> Exit {
    match command {
        None => start::usual(&global),
        Some(Command::Run(flags)) => start::run(&global, flags),
        Some(Command::Demo(flags)) => start::demo(&global, &flags),
        Some(command) => commands::carry_out(&global, &command),
    }
}
