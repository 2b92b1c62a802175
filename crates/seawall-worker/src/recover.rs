//! From what is on the disk to a run that can go on.
//!
//! Does not know: calls, tokio; it blocks. Invariants: nothing is changed before all that can be
//! refused has been; what stands in the output afterwards is exactly what the journal proves; what
//! is proven is written once more, so that a `sync` that failed before the crash is made good.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use crate::bits::Bits;
use crate::checkpoint::{Checkpoint, LineCounts, Unreadable, write_bits};
use crate::disk::{Disk, DiskFile};
use crate::error::{Context, RunError};
use crate::files::{Paths, SPILL, Tail, directory, generation, read};
use crate::finished::Finished;
use crate::identity::{IdentityChange, changes};
use crate::replay::Replay;
use crate::settings::{Settings, Sync};
use crate::spill;
use crate::writer::{Buffers, Spill, Writer, look_for};

/// Is where a run goes on.
pub(crate) struct Resumed<D: Disk> {
    pub(crate) writer: Writer<D>,
    /// What the next checkpoint begins from.
    pub(crate) checkpoint: Checkpoint,
    pub(crate) done: Bits,
    /// Lines that may have been sent and have no outcome.
    pub(crate) intended: Bits,
    /// Outcomes that wait for lines before them.
    pub(crate) spilled: HashMap<u64, Finished>,
    /// Whether it went on from an earlier session.
    pub(crate) is_resumed: bool,
    /// What was found damaged, and made good by sending lines again.
    pub(crate) damage: Option<String>,
    /// What is not what it was, if it went on nevertheless.
    pub(crate) changed: Vec<IdentityChange>,
}

/// Is what a directory says about a run.
pub(crate) enum Found {
    /// Nothing: it begins.
    Nothing,
    /// It ended.
    Finished(Checkpoint),
    /// It can go on.
    Resumed(Checkpoint, Replay, Option<String>, Vec<IdentityChange>),
}

/// Says how a run begins.
pub(crate) enum Begun<D: Disk> {
    /// It goes on, or is a new one.
    Open(Box<Resumed<D>>),
    /// It has ended before.
    WasFinished(LineCounts),
}

/// Begins a run, or goes on with one.
pub(crate) fn begin<D: Disk>(
    disk: D,
    settings: &Settings,
    identity: BTreeMap<String, String>,
    run: &str,
) -> Result<Begun<D>, RunError> {
    let paths = Paths::new(settings);
    disk.create_directory(&paths.state).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            let path = directory(&paths.state).to_owned();
            RunError::Open { path, source }
        }
        _ => RunError::Disk { what: "make", path: paths.state.clone(), source },
    })?;
    let lock = paths.lock();
    let Some(held) = disk.lock(&lock).context("take", &lock)? else {
        return Err(RunError::Locked { path: lock });
    };
    let sync = if settings.is_at_most_once && settings.sync != Sync::Never {
        Sync::Record
    } else {
        settings.sync
    };
    let mut names = disk.list(&paths.state).context("list", &paths.state)?;
    if settings.is_anew && names.iter().any(|name| name.starts_with("checkpoint.")) {
        forget(&disk, &paths, &names)?;
        names.clear();
    }
    let generations: Vec<u64> = names.iter().filter_map(|name| generation(name)).collect();
    let newest = generations.iter().copied().max().unwrap_or(0);
    let found = find(&disk, &paths, &names, &identity, settings)?;
    let is_resumed = !matches!(found, Found::Nothing);
    let (mut checkpoint, replay, damage, changed) = match found {
        Found::Finished(checkpoint) => {
            return Ok(Begun::WasFinished(checkpoint.counts));
        }
        Found::Resumed(checkpoint, replay, damage, changed) => {
            (checkpoint, replay, damage, changed)
        }
        Found::Nothing => {
            let checkpoint = first(run, identity.clone());
            let replay = Replay::nothing(&checkpoint);
            (checkpoint, replay, None, Vec::new())
        }
    };
    let output = tail(&disk, &paths.output, checkpoint.output_bytes, replay.output, is_resumed)?;
    let dead = tail(&disk, &paths.dead, checkpoint.dead_bytes, replay.dead, is_resumed)?;
    let journal = {
        // Taken by the first checkpoint, which comes before any record.
        let path = paths.unfinished();
        Tail { file: disk.create(&path).context("make", &path)?, path, length: 0 }
    };
    // Also if it goes on: the session before may not have cared.
    if sync != Sync::Never {
        for path in [&paths.output, &paths.dead, &paths.state] {
            let directory = directory(path);
            disk.sync_directory(directory).context("make durable", directory)?;
        }
    }
    let run = checkpoint.run_number();
    let spills: Vec<_> = names.iter().filter(|name| name.starts_with(SPILL)).collect();
    let mut spilled = HashMap::new();
    for name in &spills {
        let path = paths.state.join(name);
        let bytes = read(&disk, &path).context("read", &path)?.unwrap_or_default();
        spill::read(&bytes, run, &mut spilled);
    }
    spilled.retain(|number, _| *number >= replay.start.sequence && !replay.done.contains(*number));
    let mut entries = Vec::new();
    spilled.values().for_each(|finished| spill::write(finished, &mut entries));
    let (buffers, _lock) = (Buffers::default(), held);
    let (generation, spill) = (newest, None);
    let mut writer =
        Writer { disk, paths, sync, output, dead, journal, spill, generation, run, buffers, _lock };
    checkpoint.identity = identity;
    checkpoint.sequence = replay.start.sequence;
    checkpoint.offset = replay.start.offset;
    checkpoint.counts = replay.counts;
    checkpoint.done = write_bits(&replay.done);
    checkpoint.intended = write_bits(&replay.intended);
    // All that waits stands in one spill from here on.
    let spill = if spilled.is_empty() { Spill::Done } else { Spill::Anew(entries) };
    let kept = matches!(spill, Spill::Anew(_)).then(|| writer.paths.spill(newest + 1));
    writer.checkpoint(checkpoint.clone(), spill)?;
    for name in spills {
        let path = writer.paths.state.join(name);
        if Some(&path) != kept.as_ref() {
            writer.disk.remove(&path).context("remove", &path)?;
        }
    }
    for old in generations.iter().filter(|&&old| old + 1 < writer.generation) {
        writer.remove(*old)?;
    }
    let (done, intended) = (replay.done, replay.intended);
    let resumed =
        Resumed { writer, checkpoint, done, intended, spilled, is_resumed, damage, changed };
    Ok(Begun::Open(Box::new(resumed)))
}

/// Removes a run and what it has written. The bodies first: as long as there is a checkpoint they
/// are known to be of the run.
fn forget<D: Disk>(disk: &D, paths: &Paths, names: &[String]) -> Result<(), RunError> {
    let is_ours = |name: &&String| generation(name).is_some() || name.starts_with(SPILL);
    let state = names.iter().filter(is_ours).map(|name| paths.state.join(name));
    for path in [paths.output.clone(), paths.dead.clone()].into_iter().chain(state) {
        disk.remove(&path).context("remove", &path)?;
    }
    Ok(())
}

fn first(run: &str, identity: BTreeMap<String, String>) -> Checkpoint {
    Checkpoint {
        version: crate::checkpoint::VERSION,
        run: run.to_owned(),
        generation: 0,
        identity,
        sequence: 0,
        offset: 0,
        done: String::new(),
        intended: String::new(),
        output_bytes: 0,
        dead_bytes: 0,
        counts: LineCounts::default(),
        is_finished: false,
    }
}

/// Looks for a run, changes nothing, and refuses what cannot be trusted.
pub(crate) fn find<D: Disk>(
    disk: &D,
    paths: &Paths,
    names: &[String],
    identity: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Found, RunError> {
    let damaged = |why: String| RunError::Damaged { state: paths.state.clone(), why };
    let mut generations: Vec<u64> = names
        .iter()
        .filter(|name| name.starts_with("checkpoint."))
        .filter_map(|name| generation(name))
        .collect();
    generations.sort_unstable_by(|one, other| other.cmp(one));
    if generations.is_empty() {
        for path in [&paths.output, &paths.dead] {
            let file = disk.open(path).context("open", path)?;
            let length = file.map_or(Ok(0), |file| file.length()).context("look at", path)?;
            if length > 0 {
                return Err(RunError::InTheWay { path: path.clone() });
            }
        }
        return Ok(Found::Nothing);
    }
    let mut damage = Vec::new();
    for &number in &generations {
        let path = paths.checkpoint(number);
        let bytes = read(disk, &path).context("read", &path)?.unwrap_or_default();
        let checkpoint = match Checkpoint::decode(&bytes) {
            Ok(checkpoint) if checkpoint.generation == number => checkpoint,
            Ok(other) => {
                let is = other.generation;
                damage.push(format!("{} is checkpoint {is} under another name", path.display()));
                continue;
            }
            Err(Unreadable::Version(version)) => {
                let name = path.display();
                return Err(damaged(format!("{name} is of version {version}, which is not ours")));
            }
            Err(Unreadable::Damaged) => {
                damage.push(format!("{} is not what was written", path.display()));
                continue;
            }
        };
        let was = crate::identity::read(checkpoint.identity.clone(), settings)
            .context("look at", &settings.dead)?;
        let changed = changes(&was, identity);
        if !changed.is_empty() && !settings.is_forced {
            return Err(RunError::Changed { state: paths.state.clone(), changes: changed });
        }
        if checkpoint.is_finished {
            look_for(disk, &paths.output, checkpoint.output_bytes)?;
            look_for(disk, &paths.dead, checkpoint.dead_bytes)?;
            return Ok(Found::Finished(checkpoint));
        }
        let last = generations[0];
        let once = settings.is_at_most_once;
        let replay = Replay::read(disk, paths, &checkpoint, last, once, &mut damage)?;
        let damage = (!damage.is_empty()).then(|| damage.join("; "));
        return Ok(Found::Resumed(checkpoint, replay, damage, changed));
    }
    Err(damaged(damage.join("; ")))
}

/// Opens the output or the dead letter file, cuts off what is not proven, and writes what is once
/// more.
fn tail<D: Disk>(
    disk: &D,
    path: &Path,
    durable: u64,
    proven: u64,
    is_resumed: bool,
) -> Result<Tail<D::File>, RunError> {
    let mut file = match disk.open(path).context("open", path)? {
        Some(file) => file,
        None => disk.create(path).context("make", path)?,
    };
    if is_resumed {
        file.truncate(proven).context("cut", path)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = durable;
        while at < proven {
            // Fits: it is at most the buffer's length.
            let wanted = (proven - at).min(BUFFER_BYTES as u64) as usize;
            file.read_exact_at(&mut buffer[..wanted], at).context("read", path)?;
            file.write_all_at(&buffer[..wanted], at).context("write", path)?;
            at += wanted as u64;
        }
    }
    Ok(Tail { file, path: path.to_owned(), length: proven })
}

const BUFFER_BYTES: usize = 256 * 1024;
