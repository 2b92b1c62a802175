//! The command line: every subcommand, flag and help text, and nothing that they do.
//!
//! Does not know: how a command is carried out. stdout is for answers, stderr for talk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use seawall_settings::{self as settings, read_duration, read_listen, read_percent, read_rate};

use crate::exit;

mod by_hand;
mod job;

pub use by_hand::{BreakerCommand, BreakerFlags, ChaosFlags, Reload};
pub use job::{JobAction, JobCommand, Map, ProgressForm, Steer, SyncWhen};

/// An asynchronous backend that keeps answering when the services behind it do not.
///
/// Without a command: runs ./seawall.toml if there is one, else the demo on loopback.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, max_term_width = 100)]
#[command(after_help = FIRST_STEPS, after_long_help = format!("{FIRST_STEPS}\n\n{}", exit::HELP))]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads the command line, or ends the process with what is wrong with it.
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| explained(error).exit())
    }
}

/// Adds what to write instead, where the parser cannot know it.
fn explained(mut error: clap::Error) -> clap::Error {
    let of = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(of) else { return error };
    let is_file = ["toml", "json", "yaml", "yml", "conf"]
        .iter()
        .any(|end| Path::new(word).extension().is_some_and(|extension| extension == *end));
    let is_command = of == ContextKind::InvalidSubcommand;
    let tip = match word.as_str() {
        _ if is_file => {
            format!(
                "a settings file is named with `-c`: `seawall run -c {word}`, `seawall check -c {word}`"
            )
        }
        "serve" | "server" | "start" | "up" if is_command => "`seawall run` serves".to_owned(),
        "validate" | "verify" | "lint" | "test" if is_command => {
            "`seawall check` checks settings, `seawall routes test` says where a request goes"
                .to_owned()
        }
        "stop" | "quit" | "restart" if is_command => {
            "SIGTERM stops a server, SIGHUP or `seawall reload` makes it read its settings again"
                .to_owned()
        }
        "status" | "stats" | "metrics" | "health" if is_command => {
            "the admin port answers: curl http://127.0.0.1:9090/status.json".to_owned()
        }
        _ => return error,
    };
    let tip = ContextValue::StyledStrs(vec![tip.into()]);
    error.insert(ContextKind::Suggested, tip);
    error
}

/// The flags that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The settings file; `-` reads TOML or JSON from stdin [default: ./seawall.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "SEAWALL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Answers with one JSON document that carries `"schema":1`
    #[arg(long, global = true)]
    pub json: bool,
    /// Prints only the answer, no talk
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour; `NO_COLOR` is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve what the settings file says
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Serve simulated upstreams and generate some traffic; nothing leaves this machine
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Write a commented seawall.toml to start from; never overwrites
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Check a settings file: all errors at once
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Show, explain or describe settings
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(Config),
    /// List the routes, or say what happens to one request
    #[command(after_help = ROUTES_EXAMPLES)]
    Routes(Routes),
    /// Make the running server read its settings again
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(Reload),
    /// List the breakers of the running server, or hold one open or closed
    #[command(after_help = BREAKER_EXAMPLES)]
    Breaker(BreakerFlags),
    /// Inject faults into the attempts of the running server, always with an end
    #[command(after_help = CHAOS_EXAMPLES)]
    Chaos(ChaosFlags),
    /// Make one call to an upstream through its policy, without a server
    #[command(after_help = CALL_EXAMPLES)]
    Call(Call),
    /// Send every line of a file through a policy; survives crashes, loses nothing
    #[command(after_help = MAP_EXAMPLES)]
    Map(Map),
    /// Run a job of the settings, see how far jobs are, or pause, resume and cancel them
    #[command(after_help = JOB_EXAMPLES)]
    Job(JobCommand),
    /// Run policies against a described upstream in virtual time: what will these numbers do?
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(Simulate),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(Completions),
    /// Print the version and how it was built
    Version,
}

/// The flags of `run`.
#[derive(Clone, Debug, Default, Args)]
pub struct Run {
    /// Listens here instead of at the listeners of the settings; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", value_parser = read_listen)]
    pub listen: Option<SocketAddr>,
    /// Listens here for status and metrics instead of at `admin.listen`
    #[arg(long, value_name = "ADDRESS", value_parser = read_listen)]
    pub admin_listen: Option<SocketAddr>,
    /// Takes the ports over from the running server of this settings file, which then finishes
    /// what it has and stops; no client notices
    #[arg(long, conflicts_with = "check_only")]
    pub replace: bool,
    /// Checks the settings and stops
    #[arg(long)]
    pub check_only: bool,
    /// Refuses settings that only earn a warning
    #[arg(long)]
    pub strict: bool,
    /// How logs are written
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub log: LogForm,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One line for people per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// The flags of `demo`.
#[derive(Clone, Debug, Default, Args)]
pub struct Demo {
    /// What the simulated upstream goes through
    #[arg(long, value_name = "NAME", default_value = "storm")]
    pub scenario: DemoScenario,
    /// How many times faster than real time the scenario runs
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub speed: f64,
    /// Listens here; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", value_parser = read_listen)]
    pub listen: Option<SocketAddr>,
    /// Listens here for status and metrics
    #[arg(long, value_name = "ADDRESS", value_parser = read_listen)]
    pub admin_listen: Option<SocketAddr>,
    /// Generates no traffic
    #[arg(long)]
    pub no_traffic: bool,
}

/// Names a scenario of the demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DemoScenario {
    /// A healthy upstream with a few errors.
    Calm,
    /// Slow, then down, then back.
    #[default]
    Storm,
    /// Down for a long while.
    Outage,
}

impl DemoScenario {
    /// Returns the word for this scenario.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Storm => "storm",
            Self::Outage => "outage",
        }
    }
}

/// The flags of `init`.
#[derive(Clone, Debug, Args)]
pub struct Init {
    /// What to start from
    #[arg(default_value = "gateway")]
    pub kind: InitKind,
    /// Prints the three lines that are enough to start, and writes nothing
    #[arg(long)]
    pub minimal: bool,
}

/// Names what `init` can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InitKind {
    /// Routes that call HTTP services.
    Gateway,
    /// A file of lines that is sent to one.
    Job,
}

/// The flags of `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// How problems are printed
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub format: CheckFormat,
    /// Also opens a connection to every upstream
    #[arg(long)]
    pub connect: bool,
    /// Answers no to settings that only earn a warning, too
    #[arg(long)]
    pub strict: bool,
}

/// How `check` prints problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// With the lines of the file, for people.
    Human,
    /// As one JSON document.
    Json,
    /// As annotations of a GitHub workflow.
    Github,
}

/// What `config` can do.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What `config` does.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// Print every setting in force, defaults included; secrets as ***
    Show {
        /// Says for each where it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON schema of settings files, for editors
    Schema,
    /// Explain one setting: what, default, range, who changes it and when, what shows it works
    Explain {
        /// The setting, such as `policy.retry.budget`; without one, lists all
        key: Option<String>,
    },
    /// Print the reference page of all settings (Markdown)
    Reference,
}

/// What `routes` can do.
#[derive(Clone, Debug, Args)]
pub struct Routes {
    /// What to do; without it, lists the routes.
    #[command(subcommand)]
    pub action: Option<RoutesAction>,
}

/// What `routes` does.
#[derive(Clone, Debug, Subcommand)]
pub enum RoutesAction {
    /// Say which route a request takes, under which policy, and what the upstream will be sent
    Test {
        /// The request: a method and a path
        #[arg(value_name = "METHOD PATH", num_args = 1..=2, required = true)]
        request: Vec<String>,
        /// The request's Host header
        #[arg(long)]
        host: Option<String>,
    },
}

/// The flags of `call`.
#[derive(Clone, Debug, Args)]
pub struct Call {
    /// The upstream: a name in the settings, or `http://host:port[/base]`, or `sim:NAME`
    pub upstream: String,
    /// The method
    pub method: String,
    /// The path and query at the upstream
    pub path: String,
    /// Uses this policy instead of the upstream's own
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// A header to send, as `name: value`; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// A body to send; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT")]
    pub data: Option<String>,
}

/// The flags of `simulate`.
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// A scenario file; `--example` prints one
    #[arg(value_name = "SCENARIO")]
    pub file: Option<PathBuf>,
    /// A scenario of the binary instead of a file
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub scenario: Option<String>,
    /// Lists the scenarios of the binary, and what to look for in each
    #[arg(long)]
    pub list: bool,
    /// Prints a commented scenario file
    #[arg(long)]
    pub example: bool,
    /// A policy of the settings, or `none`; more than one are compared [default: standard]
    #[arg(long, value_name = "NAME")]
    pub policy: Vec<String>,
    /// Takes the policy of this upstream of the settings
    #[arg(long, value_name = "NAME", conflicts_with = "policy")]
    pub upstream: Option<String>,
    /// What is simulated without a scenario.
    #[command(flatten)]
    pub simple: Simple,
    /// How many servers share the upstream, each with its own state
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub gateways: Option<u16>,
    /// The seed of all chance; with more than one the worst is shown
    #[arg(long, value_name = "N")]
    pub seed: Vec<u64>,
    /// Writes a page with charts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Answers no if this does not hold: `goodput>=95%`, `over:p99<=200ms`
    #[arg(long, value_name = "RULE")]
    pub expect: Vec<String>,
}

/// What is simulated without a scenario: one upstream, one rate.
#[derive(Clone, Debug, Args)]
#[group(id = "simple", multiple = true, conflicts_with_all = ["file", "scenario"])]
pub struct Simple {
    /// How many requests the upstream works on at once [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub capacity: Option<u32>,
    /// How long the work takes: `20ms`, or `20ms..80ms` for median and p99 [default: 20ms..80ms]
    #[arg(long, value_name = "TIME", value_parser = settings::latency)]
    pub latency: Option<(Duration, Duration)>,
    /// How many calls begin in a second [default: 500/s]
    #[arg(long, value_name = "RATE", value_parser = read_rate)]
    pub rate: Option<f64>,
    /// The share of requests that is answered with 503
    #[arg(long, value_name = "SHARE", value_parser = read_percent)]
    pub errors: Option<f64>,
    /// How long a client waits before it leaves [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = read_duration)]
    pub timeout: Option<Duration>,
    /// How many times a client tries again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20))]
    pub retries: Option<u32>,
    /// How long it goes on, in virtual time [default: 60s]
    #[arg(long = "for", value_name = "TIME", value_parser = read_duration)]
    pub lasts: Option<Duration>,
}

/// The flags of `completions`.
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

const FIRST_STEPS: &str = "\
First steps:
  seawall                                   the demo, on loopback
  seawall init && seawall check && seawall  your own upstream
  seawall config explain policy.retry       what a setting means";

const RUN_EXAMPLES: &str = "\
Examples:
  seawall run
  seawall run -c /etc/seawall.toml --strict --log json
  seawall run --listen 127.0.0.1:0        any free port
  seawall run --replace                   in the place of the one that runs

SIGTERM or Ctrl-C: stops accepting and finishes what is in flight within `server.drain`, after
`server.lame_duck` if that is set; a second one stops at once. SIGHUP or a changed file: reads the settings again.";

const DEMO_EXAMPLES: &str = "\
Examples:
  seawall demo
  seawall demo --scenario outage --speed 5";

const INIT_EXAMPLES: &str = "\
Examples:
  seawall init              seawall.toml and seawall.schema.json, here
  seawall init job          the same for a job: a file of lines that is sent
  seawall init --minimal    print the three lines that are enough";

const CHECK_EXAMPLES: &str = "\
Examples:
  seawall check
  seawall check -c staging.toml --connect
  seawall check --format github           in a workflow

Answers 0 if the file would run, 1 if not.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  seawall config show --origin
  seawall config explain policy.retry.budget
  seawall config schema > seawall.schema.json";

const ROUTES_EXAMPLES: &str = "\
Examples:
  seawall routes
  seawall routes test \"GET /api/weather/oslo\"

`test` answers 1 if no route takes the request.";

const RELOAD_EXAMPLES: &str = "\
Examples:
  seawall reload
  seawall reload --force                 settings that serve far less than before
  seawall reload --admin 127.0.0.1:9090

Answers 3 if the server refused its settings (it goes on with the old ones), 5 if none runs.";

const BREAKER_EXAMPLES: &str = "\
Examples:
  seawall breaker ls
  seawall breaker open weather-api --for 10m     while it is being repaired
  seawall breaker close weather-api              whatever fails, for 5 minutes
  seawall breaker release weather-api

Answers 1 if it was refused, 5 if no server runs.";

const CHAOS_EXAMPLES: &str = "\
Examples:
  seawall chaos weather-api --latency 2s --fail 30% --for 5m
  seawall chaos weather-api --hang 5% --key 192.0.2.7
  seawall chaos weather-api --clear

Needs `admin.chaos = true` in the settings. Answers 1 if it was refused, 5 if no server runs.";

const CALL_EXAMPLES: &str = "\
Examples:
  seawall call weather-api GET /v1/forecast?q=oslo
  seawall call sim:slow GET / --policy patient
  seawall call http://127.0.0.1:7001 POST /v1/cities -d '{\"name\":\"oslo\"}'

The body goes to stdout, the rest to stderr. Answers 1 if the call failed.";

const MAP_EXAMPLES: &str = "\
Examples:
  seawall map cities.txt --to 'GET http://127.0.0.1:8080/api/weather/{line}' \\
      --concurrency 16 --rate 100/s --out weather.ndjson
  seawall map orders.ndjson.zst --upstream orders --to 'PUT /v1/orders/{id}' --ordered
  seawall map log.ndjson --matches '\"level\":\"error\"' --fields time,message --out errors.ndjson
  seawall map cities.txt --to 'POST /v1/cities' --upstream weather-api --dry-run

Killed or stopped, the same command goes on where it was: no line is lost, and none is written
twice. Ctrl-C lets calls under way end, a second one drops them. SIGUSR1 tells how far it is.
Answers 0 if every line has an answer, 1 if some are in the dead letter file, 3 if settings or
input are not what they were, 4 if it cannot open or another process has the run, 6 if it
stopped and can be resumed.";

const JOB_EXAMPLES: &str = "\
Examples:
  seawall job run import-cities
  seawall job run import-cities --dry-run
  seawall job run import-cities --detach     in the running server
  seawall job ls --state failed
  seawall job show import-cities
  seawall job pause 17 && seawall job resume 17
  seawall job failed import-cities --limit 5

Exit codes of `run` are those of `seawall map`; the others answer 1 if it was refused, 5 if no
server runs.";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  seawall simulate --capacity 50 --latency 20ms --rate 3000/s
  seawall simulate --scenario overload --policy standard --policy none
  seawall simulate --example > mine.toml && seawall simulate mine.toml --html mine.html
  seawall simulate mine.toml --upstream weather-api --expect 'goodput>=95%'

Answers 1 if an expectation is missed.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  seawall completions bash > ~/.local/share/bash-completion/completions/seawall
  seawall completions zsh > ~/.zfunc/_seawall";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Returns what is said of a command line that is refused.
    fn refused(line: &str) -> String {
        let words = std::iter::once("seawall").chain(line.split(' '));
        explained(Cli::try_parse_from(words).expect_err(line)).to_string()
    }

    #[test]
    fn an_address_that_is_none_is_told_what_to_write() {
        for flag in ["run --listen", "run --admin-listen", "demo --listen", "reload --admin"] {
            for (address, help) in [
                ("80", "127.0.0.1:80 for this machine only, 0.0.0.0:80 for everyone"),
                (":80", "127.0.0.1:80 for this machine only, 0.0.0.0:80 for everyone"),
                ("0.0.0.0", "write 0.0.0.0:8080"),
                ("::1", "write [::1]:8080"),
                ("http://0.0.0.0:80/", "write 0.0.0.0:80"),
                ("everywhere", "127.0.0.1:8080 for this machine only"),
            ] {
                let said = refused(&format!("{flag} {address}"));
                assert!(said.contains(help), "{flag} {address}: {said}");
            }
        }
        let Some(Command::Run(run)) =
            Cli::parse_from(["seawall", "run", "--listen", "localhost:80"]).command
        else {
            panic!("it runs");
        };
        assert_eq!(run.listen, Some(SocketAddr::from(([127, 0, 0, 1], 80))));
    }

    #[test]
    fn a_file_without_its_flag_is_told_where_it_goes() {
        for line in ["run foo.toml", "check foo.toml", "foo.toml", "reload etc/foo.yaml"] {
            let file = line.split(' ').next_back().expect("a word");
            let said = refused(line);
            assert!(said.contains(&format!("`seawall run -c {file}`")), "{line}: {said}");
        }
        assert!(refused("serve").contains("`seawall run`"));
        assert!(refused("validate").contains("`seawall check`"));
        assert!(refused("stop").contains("SIGTERM"));
        assert!(refused("chek").contains("check"));
    }
}
