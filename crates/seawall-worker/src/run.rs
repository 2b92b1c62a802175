//! A run: every line of the input through a call, each outcome written exactly once.
//!
//! Does not know: HTTP, policies, the command line. It is one future that starts no task: calls
//! are polled in it, and what blocks is lent to the pool. Invariant: whatever happens to the
//! future, to the process or to the machine, another run with the same settings goes on from
//! there; no outcome is lost, and none is written twice.

use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::task::Poll;

use futures_util::stream::{FuturesUnordered, StreamExt};
use seawall_lines::{LineReader, OnLong, Position};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::checkpoint::LineCounts;
use crate::control::{Control, RunConclusion};
use crate::disk::{Disk, FileSystem};
use crate::engine::Engine;
use crate::error::{RunError, stopped};
use crate::file_location;
use crate::identity::{IdentityChange, Input, identity};
use crate::job::{Job, LineOutcome};
use crate::overview::note_failed;
use crate::recover::{Begun, Resumed, begin};
use crate::select::Select;
use crate::selecting;
use crate::settings::Settings;

/// The summary of a run.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// How it ended.
    pub ended: RunConclusion,
    /// How lines ended, in all sessions.
    pub counts: LineCounts,
    /// Where it went on, if it did not begin.
    pub resumed_from: Option<Position>,
    /// What was found damaged, and made good by sending lines again.
    pub damage: Option<String>,
    /// What is not what it was when the run began; nothing unless [`Settings::is_forced`].
    pub changed: Vec<IdentityChange>,
}

/// Sends every line of a file through `call`.
///
/// If a run with the same settings has begun before and not finished, it goes on.
///
/// # Errors
///
/// Says why it could not begin, or why it had to stop. It can go on when the cause is gone.
///
/// # Cancel safety
///
/// Dropping the future is like a crash of the process: nothing is lost or doubled, and calls that
/// were under way are made again. What is being written at that moment is written to its end, and
/// holds the lock until then.
pub async fn run<C>(settings: &Settings, control: &Control, call: C) -> Result<RunSummary, RunError>
where
    C: AsyncFn(&Job) -> LineOutcome,
{
    noting(settings, Box::pin(run_on(FileSystem, settings, control, call))).await
}

/// Looks at the files before a run, and writes down why it stopped before its end, if it does.
async fn noting(
    settings: &Settings,
    run: impl Future<Output = Result<RunSummary, RunError>>,
) -> Result<RunSummary, RunError> {
    let owned = settings.clone();
    let checked = spawn_blocking(move || {
        note_failed(&owned, None);
        file_location::check(&owned)
    });
    checked.await.map_err(stopped)??;
    let ended = run.await;
    if let Some(why) = failed(&ended) {
        let owned = settings.clone();
        spawn_blocking(move || note_failed(&owned, Some(&why))).await.map_err(stopped)?;
    }
    ended
}

/// Says why a run stopped before its end, if it was not told to.
fn failed(ended: &Result<RunSummary, RunError>) -> Option<String> {
    match ended {
        Ok(RunSummary { ended: RunConclusion::TooManyFailures, counts, .. }) => {
            Some(counts.too_many())
        }
        Ok(_) | Err(RunError::Locked { .. }) => None,
        Err(error) => Some(format!("could not {error}")),
    }
}

/// Does the same as [`run`] on another disk.
///
/// # Errors
///
/// As [`run`].
///
/// # Cancel safety
///
/// As [`run`].
pub async fn run_on<D, C>(
    disk: D,
    settings: &Settings,
    control: &Control,
    call: C,
) -> Result<RunSummary, RunError>
where
    D: Disk,
    C: AsyncFn(&Job) -> LineOutcome,
{
    let opened = match open(disk, settings).await? {
        Opened::WasFinished(summary) => return Ok(summary),
        Opened::Open(opened) => *opened,
    };
    let Open { reader, input, resumed, resumed_from } = opened;
    let Resumed { writer, checkpoint, done, intended, spilled, damage, changed, .. } = resumed;
    let known = (done, intended, spilled);
    let engine = Engine::new(settings, control, reader, writer, checkpoint, known);
    let (ended, counts) = drive(engine, control, settings, input, &call).await?;
    Ok(RunSummary { ended, counts, resumed_from, damage, changed })
}

/// Selects from every line of a file, and sends nothing. It goes on as [`run`] does, and its output
/// has the order of the input; since nobody sees a line twice, none has a record of its own.
///
/// # Errors
///
/// As [`run`].
///
/// # Cancel safety
///
/// As [`run`].
pub async fn run_select(
    settings: &Settings,
    control: &Control,
    select: &Select,
) -> Result<RunSummary, RunError> {
    let run = Box::pin(run_select_on(FileSystem, settings, control, select));
    noting(settings, run).await
}

/// Does the same as [`run_select`] on another disk.
///
/// # Errors
///
/// As [`run`].
///
/// # Cancel safety
///
/// As [`run`].
pub async fn run_select_on<D: Disk>(
    disk: D,
    settings: &Settings,
    control: &Control,
    select: &Select,
) -> Result<RunSummary, RunError> {
    let opened = match open(disk, settings).await? {
        Opened::WasFinished(summary) => return Ok(summary),
        Opened::Open(opened) => *opened,
    };
    let Open { reader, input, resumed, resumed_from } = opened;
    let Resumed { writer, checkpoint, done, damage, changed, .. } = resumed;
    let begun = (writer, checkpoint, done);
    let (ended, counts, mut failed, last) =
        selecting::drive(select, control, settings, reader, begun).await?;
    let is_read = ended == RunConclusion::Finished && failed.is_none();
    if is_read && let Some(error) = changed_input(input, settings).await? {
        failed = Some(error);
    }
    last.make(ended == RunConclusion::Finished && failed.is_none()).await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(RunSummary { ended, counts, resumed_from, damage, changed }),
    }
}

/// What a run goes on from.
struct Open<D: Disk> {
    reader: LineReader,
    input: Input,
    resumed: Resumed<D>,
    resumed_from: Option<Position>,
}

enum Opened<D: Disk> {
    Open(Box<Open<D>>),
    WasFinished(RunSummary),
}

/// Opens the files of a run.
async fn open<D: Disk>(disk: D, settings: &Settings) -> Result<Opened<D>, RunError> {
    let owned = settings.clone();
    let begun = spawn_blocking(move || {
        let path = &owned.input;
        let failed = |source| RunError::Open { path: path.clone(), source };
        let input = Input::open(&owned).map_err(failed)?;
        let file = input.file().map_err(failed)?;
        let identity = identity(&owned, &input).map_err(failed)?;
        let name = owned.name.clone().unwrap_or_else(name);
        Ok::<_, RunError>((begin(disk, &owned, identity, &name)?, input, file))
    });
    let (begun, input, file) = begun.await.map_err(stopped)??;
    let resumed = match begun {
        Begun::Open(resumed) => resumed,
        Begun::WasFinished(counts) => {
            let (ended, resumed_from, damage) = (RunConclusion::WasFinished, None, None);
            let changed = Vec::new();
            let summary = RunSummary { ended, counts, resumed_from, damage, changed };
            return Ok(Opened::WasFinished(summary));
        }
    };
    let checkpoint = &resumed.checkpoint;
    let start = Position { sequence: checkpoint.sequence, offset: checkpoint.offset };
    let opening = LineReader::from_file(file, &settings.input)
        .line_bytes_max(settings.line_bytes_max)
        .on_long(OnLong::Cut)
        .start(start);
    let reader = opening.await?;
    let resumed_from = resumed.is_resumed.then_some(start);
    let resumed = *resumed;
    Ok(Opened::Open(Box::new(Open { reader, input, resumed, resumed_from })))
}

/// Says what became of the input meanwhile, if it is not what it was.
async fn changed_input(input: Input, settings: &Settings) -> Result<Option<RunError>, RunError> {
    let change = spawn_blocking(move || input.change()).await.map_err(stopped)?;
    let why = change.unwrap_or_else(|error| Some(format!("it cannot be looked at: {error}")));
    let path = settings.input.clone();
    Ok(why.map(|why| RunError::InputChanged { path, why }))
}

async fn drive<D, C>(
    mut engine: Engine<'_, D>,
    control: &Control,
    settings: &Settings,
    input: Input,
    call: &C,
) -> Result<(RunConclusion, LineCounts), RunError>
where
    D: Disk,
    C: AsyncFn(&Job) -> LineOutcome,
{
    let mut calls = FuturesUnordered::new();
    let every = settings.checkpoint_every;
    let mut checkpoints = interval_at(Instant::now() + every, every);
    checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut landed = Vec::with_capacity(LANDED_MAX);
    loop {
        engine.take_lines(calls.len());
        calls.extend(engine.callable().map(|job| carry_out(call, job)));
        engine.write();
        if engine.is_over(calls.len()) {
            break;
        }
        tokio::select! {
            biased;
            // Their outcomes are lost; the lines are sent again another time.
            () = control.halt.cancelled(), if !engine.is_halted() => {
                engine.halt();
                calls.clear();
            }
            () = control.drain.cancelled(), if !engine.is_draining() => engine.drain(RunConclusion::Stopped),
            // What was written or read is kept for the next time if another arm wins.
            step = engine.next() => engine.take(step)?,
            // Before the calls: of those one may always be ready.
            _ = checkpoints.tick() => engine.checkpoint_is_due(),
            // Ends with what is ready; nothing is taken out before it does.
            () = ended(&mut calls, &mut landed), if !calls.is_empty() => {
                landed.drain(..).for_each(|(job, outcome)| engine.finish(job, outcome));
            }
        }
    }
    if engine.is_finished()
        && let Some(error) = changed_input(input, settings).await?
    {
        engine.fail(error);
    }
    engine.end().await
}

async fn carry_out<C: AsyncFn(&Job) -> LineOutcome>(call: &C, job: Job) -> (Job, LineOutcome) {
    let outcome = call(&job).await;
    (job, outcome)
}

/// Waits for a call to end, and takes all that have ended, up to a bound.
async fn ended<F: Future>(calls: &mut FuturesUnordered<F>, landed: &mut Vec<F::Output>) {
    poll_fn(|cx| {
        while landed.len() < LANDED_MAX
            && let Poll::Ready(Some(one)) = calls.poll_next_unpin(cx)
        {
            landed.push(one);
        }
        if landed.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

/// How many calls are taken note of before lines, disk and clock are looked at again.
const LANDED_MAX: usize = 256;

/// Names a new run. No secret: it has to be another one each time, and no more.
fn name() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}
