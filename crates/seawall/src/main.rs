//! The `seawall` binary.

use std::process::ExitCode;

use clap::Parser;
use seawall::cli::{Cli, Command};
use seawall::exit::Exit;

fn main() -> ExitCode {
    let Cli { global: _, command } = Cli::parse();
    let exit = match command {
        None | Some(Command::Run(_) | Command::Demo(_) | Command::Reload(_)) => not_here(),
        Some(_) => not_here(),
    };
    exit.into()
}

fn not_here() -> Exit {
    eprintln!("error: this command is not built yet");
    Exit::Bug
}
