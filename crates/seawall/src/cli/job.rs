//! The flags of `map` and `job`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use seawall_settings::{read_duration, read_rate};

/// The flags of `map`.
#[derive(Clone, Debug, Args)]
pub struct Map {
    /// The file of lines, plain or compressed with gzip or zstd; `-` reads stdin
    pub input: PathBuf,
    /// What to send for each line: `METHOD http://host:port/path`, or `METHOD /path` with
    /// --upstream; {line} stands for the line, {seq} for its number, {NAME} for a member if lines
    /// are JSON objects
    #[arg(long, value_name = "REQUEST")]
    pub to: Option<String>,
    /// An upstream of the settings, with its policy
    #[arg(long, value_name = "NAME", requires = "to")]
    pub upstream: Option<String>,
    /// Uses this policy of the settings [default: the upstream's own, else standard]
    #[arg(long, value_name = "NAME", requires = "to")]
    pub policy: Option<String>,
    /// The body, with places as in --to [default: the line; nothing for GET and DELETE]
    #[arg(short, long, value_name = "TEXT", requires = "to")]
    pub data: Option<String>,
    /// A header to send, as `name: value`; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "HEADER", requires = "to")]
    pub headers: Vec<String>,
    /// Only lines that this regular expression matches somewhere
    #[arg(long, value_name = "REGEX")]
    pub matches: Option<String>,
    /// Only lines that this regular expression matches nowhere
    #[arg(long, value_name = "REGEX")]
    pub matches_not: Option<String>,
    /// Only these members of lines that are JSON objects: `name,address.city`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub fields: Vec<String>,
    /// Where answers go [default: the input's name and .out]; `-` writes them to stdout, and then
    /// the run cannot go on after a crash
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where lines go that failed [default: the output's name and .dead]
    #[arg(long, value_name = "FILE")]
    pub dead: Option<PathBuf>,
    /// How many calls are under way at once
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub concurrency: u32,
    /// How many lines begin in a second [default: as fast as the policy allows]
    #[arg(long, value_name = "RATE", value_parser = read_rate)]
    pub rate: Option<f64>,
    /// How much weight begins in a second
    #[arg(long, value_name = "RATE", value_parser = read_rate)]
    pub weight_rate: Option<f64>,
    /// What a line weighs: its bytes, or the number in this member
    #[arg(long, value_name = "NAME", default_value = "bytes", requires = "weight_rate")]
    pub weight: String,
    /// The input is a dead letter file: sends its lines again, with their own numbers and keys
    #[arg(long, requires = "to")]
    pub letters: bool,
    /// Writes answers in the order of the input
    #[arg(long, visible_alias = "keep-order")]
    pub ordered: bool,
    /// Writes answers as they come, without number and status
    #[arg(long)]
    pub raw: bool,
    /// Never sends a line again that may have been seen
    #[arg(long)]
    pub at_most_once: bool,
    /// Stops when more lines failed: `5%`, or a number
    #[arg(long, value_name = "LIMIT")]
    pub stop_above: Option<String>,
    /// How long a line waits that cannot be sent now: the breaker is open, the budget is spent,
    /// connections are refused, or the upstream says 429 [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = read_duration, requires = "to")]
    pub give_up: Option<Duration>,
    /// When what is written is made durable
    #[arg(long, value_name = "WHEN", default_value = "checkpoint")]
    pub sync: SyncWhen,
    /// How the run is shown and stopped.
    #[command(flatten)]
    pub steer: Steer,
}

/// When what is written is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncWhen {
    /// Once a second.
    Checkpoint,
    /// Each line, before it counts as done.
    Line,
    /// Never by us: a power cut may lose what a killed process does not.
    Never,
}

/// The flags that every run of a job here takes.
#[derive(Clone, Debug, Args)]
pub struct Steer {
    /// How progress is shown, on stderr
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub progress: ProgressForm,
    /// How long the first Ctrl-C or SIGTERM waits for calls under way
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = read_duration)]
    pub grace: Duration,
    /// Shows what would be sent for the first N lines, and sends nothing
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub dry_run: Option<u32>,
    /// Goes on although settings or input are not what they were when the run began
    #[arg(long)]
    pub force_resume: bool,
    /// Forgets the run that began here before, removes what it has written, and begins anew
    #[arg(long, conflicts_with = "force_resume")]
    pub anew: bool,
    /// Writes the summary as JSON to this file, too
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressForm {
    /// A bar on a terminal, else lines.
    Auto,
    /// A bar.
    Bar,
    /// A line every ten seconds.
    Plain,
    /// A JSON object every five seconds.
    Json,
    /// Not at all.
    None,
}

/// What `job` can do.
#[derive(Clone, Debug, Args)]
pub struct JobCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: JobAction,
    /// The admin address of the running server [default: `admin.listen` of the settings]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
}

/// What `job` does.
#[derive(Clone, Debug, Subcommand)]
pub enum JobAction {
    /// List the jobs of the settings, and the last runs of the running server
    Ls {
        /// Only runs in this state: ready, running, paused, done, failed, cancelled
        #[arg(long)]
        state: Option<String>,
        /// Lists so many runs at most
        #[arg(long, value_name = "N", default_value_t = 20,
            value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Run a job of the settings here, and show how it goes
    Run {
        /// The job: NAME of a `[job.NAME]`
        name: String,
        /// Reads this file instead of the job's input; answers go beside those of the job
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// Where answers go [default: the job's output, and the name of --input]
        #[arg(short, long, value_name = "FILE", requires = "input")]
        out: Option<PathBuf>,
        /// Has the running server run it, and does not wait
        #[arg(long, conflicts_with_all = ["progress", "grace", "dry_run", "force_resume", "anew",
            "summary"])]
        detach: bool,
        /// How the run is shown and stopped.
        #[command(flatten)]
        steer: Steer,
    },
    /// Show how far a job is, how it ended, and what happened to it
    Show {
        /// NAME of a `[job.NAME]`, or the number of a run of the running server
        job: String,
    },
    /// Hold a run of the running server; it can be resumed
    Pause {
        /// The number of the run
        id: i64,
    },
    /// Let a run go on that was paused, or begin again where it was if it failed
    Resume {
        /// The number of the run
        #[arg(required_unless_present = "failed", conflicts_with = "failed")]
        id: Option<i64>,
        /// Lets all runs begin again that failed, or those of this job
        #[arg(long, value_name = "NAME", num_args = 0..=1)]
        failed: Option<Option<String>>,
    },
    /// End a run of the running server
    Cancel {
        /// The number of the run
        id: i64,
    },
    /// List the lines of a job that failed
    Failed {
        /// NAME of a `[job.NAME]`, or the number of a run of the running server
        job: String,
        /// Lists so many at most
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
}
