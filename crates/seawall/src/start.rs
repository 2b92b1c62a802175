//! What `seawall`, `run`, `demo` and `reload` do, and what they say.
//!
//! Does not know how a host works. stdout is for answers, stderr for talk.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread::available_parallelism;

use seawall_core::Observers;
use seawall_http::{Simulation, Transport};
use seawall_settings::{Script, Source, USUAL, UpstreamSettings};
use seawall_watch::FlushGuard;
use tracing::warn;

use crate::cli::{self, Global, LogForm};
use crate::commands::Console;
use crate::demo::{self, Traffic};
use crate::exit::Exit;
use crate::host::{Plan, RunningHost, StartError};
use crate::reload;

/// Runs the settings file if there is one, else the demo.
pub fn usual(global: &Global) -> Exit {
    match Source::find(global.config.as_deref()) {
        Some(_) => run(global, cli::Run::default()),
        None => {
            demo_with(global, &cli::Demo::default(), "no seawall.toml here, so this is the demo.")
        }
    }
}

/// Serves what the settings file says; never the demo.
pub fn run(global: &Global, flags: cli::Run) -> Exit {
    let Some(source) = Source::find(global.config.as_deref()) else {
        eprintln!("error: no {USUAL} here");
        eprintln!(
            "help: `seawall init` writes one, `-c FILE` names another, `seawall demo` needs none"
        );
        return Exit::Settings;
    };
    let color = Console::new(global).is_stderr_colored();
    if flags.check_only {
        return check_only(&source, flags.strict, color);
    }
    let _written = match log(flags.log, "info") {
        Ok(written) => written,
        Err(exit) => return exit,
    };
    let plan = Plan {
        source,
        mode: "run",
        listen: flags.listen,
        admin_listen: flags.admin_listen,
        strict: flags.strict,
        replaces: flags.replace,
        workers: cores(),
        talks: false,
        observers: Observers::default(),
        connect: Box::new(UpstreamSettings::way),
    };
    serve(plan, color, |host| {
        for warning in &host.warnings {
            match flags.log {
                LogForm::Text => eprintln!("{}", warning.trim_end()),
                // A log for machines has nothing else on its stream.
                LogForm::Json => warn!(event = "settings.warned", "{}", warning.trim_end()),
            }
        }
        if !global.quiet && flags.log == LogForm::Text {
            eprintln!("Seawall {}", env!("CARGO_PKG_VERSION"));
            for address in &host.addresses {
                eprintln!("  serving  http://{address}/");
            }
            eprintln!("  status   http://{}/", host.admin_listen);
        }
        None
    })
}

/// Serves simulated upstreams with traffic of its own.
pub fn demo(global: &Global, flags: &cli::Demo) -> Exit {
    demo_with(global, flags, "this is the demo.")
}

fn demo_with(global: &Global, flags: &cli::Demo, why: &str) -> Exit {
    let _written = match log(LogForm::Text, "warn") {
        Ok(written) => written,
        Err(exit) => return exit,
    };
    let script = match demo::built_in(flags.scenario, flags.speed) {
        Ok(script) => script,
        Err(error) => {
            eprintln!("error: the scenario `{}` cannot be read: {error}", flags.scenario.as_str());
            return Exit::Bug;
        }
    };
    let simulation = Simulation::new(script.scenario.clone(), SEED);
    let plan = Plan {
        source: demo::source(),
        mode: "demo",
        listen: flags.listen,
        admin_listen: flags.admin_listen,
        strict: false,
        replaces: false,
        workers: cores(),
        talks: true,
        observers: Observers::default(),
        connect: Box::new(move |_| Ok(Transport::simulated(simulation.clone()))),
    };
    let quiet = global.quiet;
    serve(plan, Console::new(global).is_stderr_colored(), |host| {
        if !quiet {
            eprint!("{}", greeting(why, &script, flags, host.addresses[0], host.admin_listen));
        }
        if flags.no_traffic {
            return None;
        }
        match Traffic::start(host.addresses[0]) {
            Ok(traffic) => Some(traffic),
            Err(error) => {
                eprintln!("warning: the demo generates no traffic: {error}");
                None
            }
        }
    })
}

fn greeting(
    why: &str,
    script: &Script,
    flags: &cli::Demo,
    listen: SocketAddr,
    admin: SocketAddr,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let traffic = match flags.no_traffic {
        true => "none of its own.".to_owned(),
        false => format!("{} req/s of its own.", demo::PER_SECOND),
    };
    let story = match script.story.as_str() {
        "" => "weather-api stays as it is".to_owned(),
        story => format!("weather-api: {story}"),
    };
    let (scenario, at_first) = (flags.scenario.as_str(), &script.at_first);
    format!(
        "  Seawall {version}   {why} Nothing leaves this machine.\n\n\
         \x20 status     http://{admin}/\n\
         \x20 try        curl -i http://{listen}/api/weather/oslo\n\
         \x20 upstream   weather-api  simulated, {at_first}\n\
         \x20 scenario   {scenario}.  {story}: watch the page.\n\
         \x20 traffic    {traffic}\n\
         \x20 stop       Ctrl-C          your own: seawall init && seawall\n\n"
    )
}

fn check_only(source: &Source, strict: bool, color: bool) -> Exit {
    match reload::text(source).and_then(|text| reload::read(text, strict)) {
        Ok(loaded) => {
            eprint!("{}", loaded.warnings.human(color));
            println!("{}: ok", source.name());
            Exit::Done
        }
        Err(report) => {
            eprint!("{}", report.human(color));
            Exit::Settings
        }
    }
}

/// Starts a host, lets `begin` greet and start what belongs to it, and serves to the end.
fn serve(plan: Plan, color: bool, begin: impl FnOnce(&RunningHost) -> Option<Traffic>) -> Exit {
    let started = RunningHost::start(plan);
    let host = match started {
        Ok(host) => host,
        Err(error) => {
            eprint!("{}", error.human(color));
            return error.exit();
        }
    };
    let traffic = Mutex::new(begin(&host));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = StartError::System(error);
            eprint!("{}", error.human(color));
            return error.exit();
        }
    };
    let exit = runtime.block_on(host.run());
    drop(traffic);
    exit
}

fn log(form: LogForm, usual: &str) -> Result<FlushGuard, Exit> {
    let form = match form {
        LogForm::Text => seawall_watch::Format::Text,
        LogForm::Json => seawall_watch::Format::Json,
    };
    let filter = std::env::var(LOG_FILTER).unwrap_or_else(|_| usual.to_owned());
    seawall_watch::init(form, &filter).map_err(|error| {
        eprintln!("error: {error}");
        eprintln!("help: {LOG_FILTER}=info, or {LOG_FILTER}=warn,seawall=debug");
        Exit::Usage
    })
}

fn cores() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MAX))
}

/// Every demo has the same luck, so that what people see can be seen again.
const SEED: u64 = 7;
/// The variable that filters the log.
const LOG_FILTER: &str = "SEAWALL_LOG";
/// More threads than this gain nothing on one port.
const WORKERS_MAX: usize = 256;
