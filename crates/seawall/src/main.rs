//! The `seawall` binary: reads the command line and ends with one of the codes of `exit`.

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use seawall::cli::{Cli, Command};
use seawall::exit::Exit;
use seawall::{commands, panics, start};

// Many small allocations by many threads: the C library's allocator costs a tenth of the
// throughput and keeps twice the memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    panics::hook();
    // The allocator asks for huge pages, and a huge page counts as used once one byte of it is:
    // a third of what a request in flight holds. Where the kernel refuses, it only costs memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // The hook has said where; the code tells scripts that it was our fault.
    let exit = catch_unwind(|| carry_out(Cli::parse())).unwrap_or(Exit::Bug);
    exit.into()
}

fn carry_out(Cli { global, command }: Cli) -> Exit {
    match command {
        None => start::usual(&global),
        Some(Command::Run(flags)) => start::run(&global, flags),
        Some(Command::Demo(flags)) => start::demo(&global, &flags),
        Some(Command::Reload(flags)) => start::ask_reload(&global, &flags),
        Some(command) => commands::carry_out(&global, &command),
    }
}
