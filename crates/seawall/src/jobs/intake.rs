//! Puts runs into the store: when their time has come, and when files have appeared.
//!
//! Does not know: who runs them. A file is put in once it has come to rest; one that was read
//! before is not read again, whatever became of it, until it changes.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use seawall_jobs::{Clock, Filter, JobStore, StoreError};
use seawall_worker::Settings;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::errand::Errand;
use super::plan::{Plan, Planned};
use crate::settings::{Begins, JobMeant};

/// Looks at clock and folders, for as long as it is polled.
///
/// # Cancel safety
///
/// Dropping it loses nothing: files are still there the next time.
pub(super) async fn watch(plan: &ArcSwap<Plan>, store: &dyn JobStore) {
    let clock = Clock::System;
    let mut intake = Intake { looked_at: clock.now_ms(), ..Intake::default() };
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let plan = plan.load_full();
        intake.look(&plan, store, clock.now_ms()).await;
    }
}

#[derive(Default)]
struct Intake {
    /// Until when schedules have been looked at.
    looked_at: i64,
    /// What files looked like the last time, and whether they were put in.
    resting: HashMap<(Arc<str>, String), (String, bool)>,
    /// What was told of jobs that could not be put in: once, until it is something else.
    told: HashMap<Arc<str>, String>,
}

impl Intake {
    async fn look(&mut self, plan: &Plan, store: &dyn JobStore, now: i64) {
        for planned in &plan.jobs {
            let done = match &planned.meant.begins {
                Begins::ByHand => Ok(()),
                Begins::At(schedule) => match schedule.after(self.looked_at) {
                    Some(due) if due <= now => begin(planned, store, due).await,
                    _ => Ok(()),
                },
                Begins::WithFiles => self.files(planned, store).await,
            };
            let job = &planned.meant.name;
            match done {
                Ok(()) => {
                    self.told.remove(job);
                }
                Err(why) if self.told.get(job) != Some(&why) => {
                    warn!(event = "job.not_begun", job = &**job, why, "a job could not be put in");
                    self.told.insert(job.clone(), why);
                }
                Err(_) => {}
            }
        }
        self.looked_at = now;
        let is_known = |name: &str| plan.job(name).is_some();
        self.resting.retain(|(job, _), _| is_known(job));
        self.told.retain(|job, _| is_known(job));
    }

    /// Puts in what has appeared in a folder and come to rest.
    async fn files(&mut self, planned: &Planned, store: &dyn JobStore) -> Result<(), String> {
        let (meant, folder) = (&planned.meant, planned.meant.input.clone());
        let listed = spawn_blocking(move || files_of(&folder)).await;
        let listed = listed
            .map_err(|_| "the runtime is stopping".to_owned())?
            .map_err(|error| format!("cannot list {}: {error}", meant.input.display()))?;
        let mut seen = HashMap::new();
        for (name, stamp) in listed {
            let before = self.resting.remove(&(meant.name.clone(), name.clone()));
            let is_put_in = match &before {
                Some((was, true)) if *was == stamp => true,
                Some((was, false)) if *was == stamp => {
                    put_in(meant, store, &name, &stamp).await.map_err(|error| error.to_string())?;
                    true
                }
                _ => false,
            };
            seen.insert((meant.name.clone(), name), (stamp, is_put_in));
        }
        // Those that are gone are forgotten: one that comes back is another file.
        self.resting.retain(|(job, _), _| *job != meant.name);
        self.resting.extend(seen);
        Ok(())
    }
}

/// Puts in the run of a job whose time has come.
async fn begin(planned: &Planned, store: &dyn JobStore, due: i64) -> Result<(), String> {
    let (meant, errand) = (&planned.meant, Errand::at(&planned.meant, due, true));
    let job = &*meant.name;
    // Another machine may have been quicker, and even be done.
    let filter = Filter { kind: Some(job.to_owned()), limit: Some(50), ..Filter::default() };
    let rows = store.list(filter).await.map_err(|error| error.to_string())?;
    let is_there = rows
        .iter()
        .any(|row| Errand::read(&row.payload).is_some_and(|other| other.scheduled_ms == Some(due)));
    if is_there {
        return Ok(());
    }
    let inserted = store.insert(errand.row(meant)).await.map_err(|error| error.to_string())?;
    let id = inserted.id;
    match inserted.is_new {
        true => info!(event = "job.put_in", job, id, "its time has come"),
        false => warn!(
            event = "job.passed_over",
            job, id, "its time has come, and the run before is not over yet"
        ),
    }
    Ok(())
}

/// Puts in the run over a file, unless there was one.
async fn put_in(
    meant: &JobMeant,
    store: &dyn JobStore,
    name: &str,
    stamp: &str,
) -> Result<(), StoreError> {
    let errand = Errand::over(meant, name, stamp.to_owned());
    let settings = Settings::new(&errand.input, &errand.output);
    let kept = spawn_blocking(move || seawall_worker::look(&settings)).await;
    if let Ok(Ok(Some(kept))) = kept
        && kept.is_finished
    {
        return Ok(());
    }
    let filter = Filter { kind: Some(errand.job.clone()), limit: Some(1000), ..Filter::default() };
    let rows = store.list(filter).await?;
    let was_there = rows.iter().any(|row| {
        Errand::read(&row.payload)
            .is_some_and(|other| other.input == errand.input && other.stamp == errand.stamp)
    });
    if was_there {
        return Ok(());
    }
    let inserted = store.insert(errand.row(meant)).await?;
    if inserted.is_new {
        let (job, id) = (&*meant.name, inserted.id);
        info!(event = "job.put_in", job, id, file = name, "a file has appeared");
    }
    Ok(())
}

/// Lists the files of a folder that may be read, with what they look like; blocks.
fn files_of(folder: &std::path::Path) -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_odd =
            name.starts_with('.') || [".part", ".tmp"].iter().any(|end| name.ends_with(end));
        // Of the entry itself: a link leads who knows where.
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !is_odd && metadata.file_type().is_file() {
            let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
            files.push((name, format!("{} {seconds}.{nanos}", metadata.len())));
        }
    }
    // The same order on every machine.
    files.sort();
    Ok(files)
}

/// How often clock and folders are looked at: a file rests when two looks see the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many entries of a folder are looked at.
const ENTRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use seawall_gateway::Target;
    use seawall_jobs::{JobRow, SqliteStore};

    use super::*;
    use crate::settings::{Text, load_text};

    fn plan(settings: &str) -> Plan {
        let text = Text { name: "test".into(), text: settings.into() };
        let loaded = load_text(text, &|_| None).unwrap_or_else(|report| panic!("{report:?}"));
        Plan::new(&loaded.meant, &Vec::<Arc<Target>>::new())
    }

    async fn rows(store: &SqliteStore) -> Vec<JobRow> {
        let mut rows = store.list(Filter::default()).await.expect("it is open");
        rows.reverse();
        rows
    }

    #[tokio::test]
    async fn a_job_begins_at_its_time_once_whoever_looks() {
        let folder = tempfile::tempdir().expect("there is room");
        let store = SqliteStore::open(folder.path().join("jobs")).expect("it is new");
        let plan = plan(
            "[job.night]\ninput = \"in\"\noutput = \"out\"\nschedule = \"0 3 * * *\"\n\
             keep = { matches = \"x\" }\n",
        );
        let (three, second) = (3 * 3_600_000, 1000);
        let (mut one, mut two) = (Intake::default(), Intake::default());
        for now in [three - second, three + second, three + 2 * second] {
            one.look(&plan, &store, now).await;
            two.look(&plan, &store, now + 1).await;
        }
        let all = rows(&store).await;
        assert_eq!(all.len(), 1, "{all:?}");
        let errand = Errand::read(&all[0].payload).expect("it was just written");
        assert_eq!(errand.output, Path::new("out.10800"));
        assert_eq!(errand.scheduled_ms, Some(three));
        let tomorrow = three + 24 * 3_600_000 + second;
        one.look(&plan, &store, tomorrow).await;
        assert_eq!(rows(&store).await.len(), 1, "the run before is not over yet");
        store.cancel(all[0].id).await.expect("it is ready");
        one.look(&plan, &store, tomorrow + 24 * 3_600_000).await;
        assert_eq!(rows(&store).await.len(), 2);
    }

    #[tokio::test]
    async fn files_are_put_in_once_when_they_have_come_to_rest() {
        let folder = tempfile::tempdir().expect("there is room");
        let incoming = folder.path().join("incoming");
        fs::create_dir(&incoming).expect("it is new");
        let store = SqliteStore::open(folder.path().join("jobs")).expect("it is new");
        let plan = plan(&format!(
            "[job.drop]\nfolder = {:?}\noutput = \"out\"\nkeep = {{ matches = \"x\" }}\n",
            incoming.display().to_string()
        ));
        let mut intake = Intake::default();
        let write = |name: &str, text: &str| {
            fs::write(incoming.join(name), text).expect("there is room");
        };
        write("a", "1\n");
        for odd in [".hidden", "b.part", "c.tmp"] {
            write(odd, "1\n");
        }
        fs::create_dir(incoming.join("folder")).expect("it is new");
        std::os::unix::fs::symlink("/etc/passwd", incoming.join("link")).expect("it is new");
        intake.look(&plan, &store, 1).await;
        assert!(rows(&store).await.is_empty(), "it may still be written");
        write("a", "1\n2\n");
        intake.look(&plan, &store, 2).await;
        assert!(rows(&store).await.is_empty(), "it was still written");
        for now in 3..6 {
            intake.look(&plan, &store, now).await;
        }
        let all = rows(&store).await;
        let inputs: Vec<_> =
            all.iter().filter_map(|row| Errand::read(&row.payload)).map(|one| one.input).collect();
        assert_eq!(inputs, [incoming.join("a")]);
        // Failed, and looked at by a process that has just begun: it is the same file.
        store.cancel(all[0].id).await.expect("it is ready");
        let mut other = Intake::default();
        for now in 6..9 {
            intake.look(&plan, &store, now).await;
            other.look(&plan, &store, now).await;
        }
        assert_eq!(rows(&store).await.len(), 1);
        write("a", "another file of the same name\n");
        for now in 9..12 {
            intake.look(&plan, &store, now).await;
        }
        assert_eq!(rows(&store).await.len(), 2);
    }
}
