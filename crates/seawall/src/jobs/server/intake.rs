//! Puts in runs over files that have appeared in folders.
//!
//! Does not know: who runs them. A file is put in once it has come to rest, and each content of it
//! once, on however many machines and whatever became of the run: the ledger of the store knows.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::stream::{FuturesUnordered, StreamExt};
use seawall_jobs::{Entry, Filter, JobStore, Noted, StoreError};
use seawall_settings::{Begins, JobSettings};
use seawall_worker::{FileLocation, has_finished};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::folder::{self, Appeared, Listed, Look};
use super::payload::JobPayload;
use super::plan::{Plan, Planned};

/// Looks at folders, for as long as it is polled. One that takes long holds up no other.
///
/// # Cancel safety
///
/// Dropping it loses nothing: files are still there the next time.
pub(super) async fn watch(plan: &ArcSwap<Plan>, store: &dyn JobStore) {
    let mut folders: HashMap<Arc<str>, Folder> = HashMap::new();
    let mut looked_at: HashSet<Arc<str>> = HashSet::new();
    let mut looking = FuturesUnordered::new();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let plan = plan.load_full();
                folders.retain(|job, _| plan.job(job).is_some());
                for planned in plan.jobs.iter().filter(|one| one.settings.begins == Begins::WithFiles) {
                    let job = planned.settings.name.clone();
                    let is_due = folders.get(&job).is_none_or(|one| Instant::now() >= one.next_look);
                    if !is_due || !looked_at.insert(job.clone()) {
                        continue;
                    }
                    let mut folder = folders.remove(&job).unwrap_or_default();
                    let planned = planned.clone();
                    looking.push(async move {
                        folder.look(&planned, store).await;
                        (job, folder)
                    });
                }
            }
            Some((job, folder)) = looking.next(), if !looking.is_empty() => {
                looked_at.remove(&job);
                folders.insert(job, folder);
            }
        }
    }
}

/// What is known of the folder of one job.
struct Folder {
    /// Files that need no look until they change.
    settled: HashSet<Look>,
    /// What the others looked like the last time.
    resting: HashMap<OsString, String>,
    /// What version 1 put in, by path: it knew files by what they looked like.
    old: Option<HashMap<PathBuf, String>>,
    next_look: Instant,
    /// What was told of why nothing could be put in: once, until it is something else.
    told: Option<String>,
}

impl Default for Folder {
    fn default() -> Self {
        let (settled, resting) = (HashSet::new(), HashMap::new());
        Self { settled, resting, old: None, next_look: Instant::now(), told: None }
    }
}

impl Folder {
    /// Looks once; a folder that takes long is looked at less often.
    async fn look(&mut self, planned: &Planned, store: &dyn JobStore) {
        let began = Instant::now();
        let (settings, looked) = (&planned.settings, self.try_look(&planned.settings, store).await);
        self.next_look = Instant::now() + began.elapsed() * 9;
        match looked {
            Ok(()) => self.told = None,
            Err(why) if self.told.as_ref() != Some(&why) => {
                let job = &*settings.name;
                warn!(event = "job.not_begun", job, why, "could not queue a run");
                self.told = Some(why);
            }
            Err(_) => {}
        }
    }

    async fn try_look(
        &mut self,
        settings: &JobSettings,
        store: &dyn JobStore,
    ) -> Result<(), String> {
        let before = std::mem::take(&mut self.settled);
        let (listed, before) = listed(settings, before).await?;
        let Listed { fresh, settled } = match listed {
            Ok(listed) => listed,
            Err(why) => {
                self.settled = before;
                return Err(why);
            }
        };
        self.settled = settled;
        let rests = |(name, stamp): &&(OsString, String)| self.resting.get(name) == Some(stamp);
        let resting: Vec<_> = fresh.iter().filter(rests).cloned().collect();
        self.resting = fresh.into_iter().collect();
        for some in resting.chunks(LOOKED_UP_AT_ONCE) {
            self.files(settings, store, some).await?;
        }
        Ok(())
    }

    /// Puts in what has come to rest, unless the ledger knows it.
    async fn files(
        &mut self,
        settings: &JobSettings,
        store: &dyn JobStore,
        files: &[(OsString, String)],
    ) -> Result<(), String> {
        let could_not = |error: StoreError| format!("could not {error}");
        let ledger = format!("folder {}", settings.name);
        let items = files.iter().map(|(name, _)| folder::item(&settings.input, name));
        let items = items.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let noted = store.noted(&ledger, items.clone()).await.map_err(could_not)?;
        let mut of: HashMap<String, Vec<Noted>> = HashMap::new();
        for one in noted {
            of.entry(one.entry.item.clone()).or_default().push(one);
        }
        for ((name, stamp), item) in files.iter().zip(items) {
            let known = of.remove(&item).unwrap_or_default();
            if !known.iter().any(|one| one.entry.stamp == *stamp) {
                let path = settings.input.join(name);
                let (path, looked) = (path, stamp.clone());
                let read = spawn_blocking(move || {
                    folder::fingerprint(&path, &looked)
                        .map_err(|error| format!("cannot read {}: {error}", path.display()))
                });
                let Some(fingerprint) = read.await.map_err(|_| STOPPING.to_owned())?? else {
                    continue;
                };
                let (name, stamp) = (name.clone(), stamp.clone());
                let file = Appeared { name, stamp, fingerprint, item };
                self.put_in(settings, store, &ledger, &file, &known).await.map_err(could_not)?;
            }
            self.settled.insert(Look::of(name, stamp));
            self.resting.remove(name);
        }
        Ok(())
    }

    /// Puts in the run over a file, unless this content of it had one.
    async fn put_in(
        &mut self,
        settings: &JobSettings,
        store: &dyn JobStore,
        ledger: &str,
        file: &Appeared,
        known: &[Noted],
    ) -> Result<(), StoreError> {
        let Appeared { name, stamp, fingerprint, item } = file;
        let entry = Entry {
            ledger: ledger.to_owned(),
            item: item.clone(),
            mark: fingerprint.clone(),
            number: 0,
            stamp: stamp.clone(),
        };
        let (job, file_name) = (&*settings.name, name.to_string_lossy());
        if known.is_empty() && self.was_read_by_version_1(settings, store, file).await? {
            store.note(entry).await?;
            return Ok(());
        }
        let payload = JobPayload::over(settings, file, known.is_empty());
        let row = seawall_jobs::NewJob { entry: Some(entry), ..payload.row(settings) };
        let inserted = store.insert(row).await?;
        let id = inserted.id;
        match (inserted.is_new, known.is_empty()) {
            (true, true) => {
                info!(event = "job.put_in", job, id, file = &*file_name, "a file has appeared");
            }
            (true, false) => info!(
                event = "job.put_in",
                job,
                id,
                file = &*file_name,
                "a file has appeared with new content"
            ),
            (false, _) => info!(
                event = "job.file_known",
                job,
                id,
                file = &*file_name,
                "a file has the content that was read before"
            ),
        }
        Ok(())
    }

    /// Returns whether version 1 has put this file in: it kept no ledger.
    async fn was_read_by_version_1(
        &mut self,
        settings: &JobSettings,
        store: &dyn JobStore,
        file: &Appeared,
    ) -> Result<bool, StoreError> {
        if self.old.is_none() {
            let kind = Some(settings.name.to_string());
            let rows = store.list(Filter { kind, limit: Some(1000), ..Filter::default() }).await?;
            let payloads = rows.iter().filter_map(|row| JobPayload::read(&row.payload));
            let payloads = payloads.filter(|payload| payload.fingerprint.is_none());
            let old = payloads.filter_map(|payload| Some((payload.input, payload.stamp?)));
            self.old = Some(old.collect());
        }
        let payload = JobPayload::over(settings, file, true);
        let looked = self.old.as_ref().and_then(|old| old.get(&payload.input));
        if looked == Some(&folder::old_stamp(&file.stamp)) {
            return Ok(true);
        }
        let settings = seawall_worker::Settings::new(&payload.input, &payload.output);
        // What cannot be looked at is put in, and its run says why.
        Ok(matches!(spawn_blocking(move || has_finished(&settings)).await, Ok(Ok(true))))
    }
}

/// Lists the folder of a job, unless it would feed itself.
async fn listed(
    settings: &JobSettings,
    settled: HashSet<Look>,
) -> Result<(Result<Listed, String>, HashSet<Look>), String> {
    let (folder, output) = (settings.input.clone(), settings.output.clone());
    let dead = settings.dead.clone();
    let listed = spawn_blocking(move || {
        let place = |path: &std::path::Path| FileLocation::of(path).ok();
        let here = place(&folder);
        let is_own = |path: &std::path::Path| here.is_some() && place(path) == here;
        let listed = match is_own(&output) || dead.as_deref().is_some_and(is_own) {
            true => Err(format!("{} is its input and its output", folder.display())),
            false => folder::list(&folder, &settled)
                .map_err(|error| format!("cannot list {}: {error}", folder.display())),
        };
        (listed, settled)
    });
    listed.await.map_err(|_| STOPPING.to_owned())
}

const STOPPING: &str = "the runtime is stopping";
/// How often folders are looked at: a file rests when two looks see the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many files the ledger is asked about at once.
const LOOKED_UP_AT_ONCE: usize = 500;

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use seawall_jobs::{JobRow, NewJob, SqliteStore, State};
    use seawall_settings::{Text, load_text};

    use super::super::stored::end_all;
    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        store: SqliteStore,
        plan: Plan,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("there is room");
            let at = folder.path().display();
            fs::create_dir(folder.path().join("in")).expect("it is new");
            let store = SqliteStore::open(folder.path().join("jobs")).expect("it is new");
            let settings = format!(
                "[job.drop]\nfolder = \"{at}/in\"\noutput = \"{at}/out\"\n\
                 keep = {{ matches = \"x\" }}\n"
            );
            let text = Text { name: "test".into(), text: settings.into() };
            let loaded = load_text(text, &|_| None).unwrap_or_else(|report| panic!("{report:?}"));
            let plan = Plan::new(&loaded.settings, &[]);
            Self { folder, store, plan }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join("in").join(name), text).expect("there is room");
        }

        async fn look(&self, folder: &mut Folder, times: u32) {
            for _ in 0..times {
                folder.look(&self.plan.jobs[0], &self.store).await;
            }
        }

        async fn rows(&self) -> Vec<JobRow> {
            let filter = Filter { limit: Some(1000), ..Filter::default() };
            let mut rows = self.store.list(filter).await.expect("it is open");
            rows.reverse();
            rows
        }

        async fn payloads(&self) -> Vec<JobPayload> {
            let rows = self.rows().await;
            rows.iter().map(|row| JobPayload::read(&row.payload).expect("it was written")).collect()
        }
    }

    #[tokio::test]
    async fn files_are_put_in_once_when_they_have_come_to_rest() {
        let (scene, mut folder) = (Scene::new(), Folder::default());
        scene.write("a", "1\n");
        for odd in [".hidden", "b.part", "c.tmp"] {
            scene.write(odd, "1\n");
        }
        let incoming = scene.folder.path().join("in");
        fs::create_dir(incoming.join("folder")).expect("it is new");
        std::os::unix::fs::symlink("/etc/passwd", incoming.join("link")).expect("it is new");
        scene.look(&mut folder, 1).await;
        assert!(scene.rows().await.is_empty(), "it may still be written");
        scene.write("a", "1\n2\n");
        scene.look(&mut folder, 1).await;
        assert!(scene.rows().await.is_empty(), "it was still written");
        scene.look(&mut folder, 3).await;
        let inputs: Vec<_> = scene.payloads().await.into_iter().map(|one| one.input).collect();
        assert_eq!(inputs, [incoming.join("a")]);
    }

    #[tokio::test]
    async fn a_file_is_read_once_even_when_its_run_is_pruned_and_the_server_is_another_one() {
        let (scene, mut folder) = (Scene::new(), Folder::default());
        scene.write("a", "1\n");
        scene.look(&mut folder, 2).await;
        let run = scene.payloads().await[0].run.clone();
        end_all(&scene.store).await;
        while !scene.rows().await.is_empty() {
            scene.store.prune(State::Done, Duration::ZERO, 100).await.expect("it is open");
        }
        // Touched, or seen from another machine: size, times and inode are others.
        let (path, copy) = (scene.folder.path().join("in/a"), scene.folder.path().join("copy"));
        fs::copy(&path, &copy).expect("there is room");
        fs::rename(&copy, &path).expect("it is there");
        scene.look(&mut folder, 3).await;
        scene.look(&mut Folder::default(), 3).await;
        assert!(scene.rows().await.is_empty(), "it was put in again");
        let name = |run: Option<String>| run.expect("it has a name").len();
        assert_eq!(name(run), 32);
    }

    #[tokio::test]
    async fn a_new_content_is_a_new_run_with_an_output_of_its_own() {
        let (scene, mut folder) = (Scene::new(), Folder::default());
        for content in ["1\n", "2\n", "1\n", "3\n"] {
            scene.write("a", content);
            scene.look(&mut folder, 3).await;
        }
        let payloads = scene.payloads().await;
        assert_eq!(payloads.len(), 3, "{payloads:?}");
        let outputs: HashSet<_> = payloads.iter().map(|one| one.output.clone()).collect();
        assert!(outputs.contains(&scene.folder.path().join("out/a.out")));
        let runs: HashSet<_> = payloads.iter().map(|one| one.run.clone()).collect();
        assert_eq!((outputs.len(), runs.len()), (3, 3));
    }

    #[tokio::test]
    async fn every_file_of_a_full_folder_is_seen_whatever_its_name_is() {
        let (scene, mut folder) = (Scene::new(), Folder::default());
        for number in 0..10_050 {
            scene.write(&format!("done-{number}"), "");
        }
        // As if all of them had been read.
        let at = scene.folder.path().join("in");
        let listed = folder::list(&at, &HashSet::new()).expect("it is there");
        folder.settled = listed.fresh.iter().map(|(name, stamp)| Look::of(name, stamp)).collect();
        let odd = OsStr::from_bytes(b"caf\xe9");
        fs::write(at.join(odd), "1\n").expect("there is room");
        let rest = folder::list(&at, &folder.settled).expect("it is there");
        assert_eq!(rest.fresh.len(), 51, "those that had no room, and the new one");
        folder
            .settled
            .extend(rest.fresh.iter().filter(|(name, _)| name != odd).map(|(n, s)| Look::of(n, s)));
        scene.look(&mut folder, 2).await;
        let payloads = scene.payloads().await;
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0].input.file_name(), Some(odd));
    }

    #[tokio::test]
    async fn what_version_1_has_read_is_not_read_again() {
        let (scene, mut folder) = (Scene::new(), Folder::default());
        scene.write("a", "1\n");
        let listed = folder::list(&scene.folder.path().join("in"), &HashSet::new());
        let stamp = folder::old_stamp(&listed.expect("it is there").fresh[0].1);
        let at = scene.folder.path().display();
        let payload = format!(
            "{{\"job\":\"drop\",\"input\":\"{at}/in/a\",\"output\":\"{at}/out/a.out\",\
             \"dead\":null,\"scheduled_ms\":null,\"stamp\":\"{stamp}\"}}"
        );
        let old = scene.store.insert(NewJob::new("lines", "drop", payload)).await;
        let old = old.expect("it is open").id;
        scene.look(&mut folder, 3).await;
        assert_eq!(scene.rows().await.len(), 1);
        scene.store.cancel(old).await.expect("it is ready");
        scene.look(&mut Folder::default(), 3).await;
        assert_eq!(scene.rows().await.len(), 1);
        assert_eq!(scene.rows().await[0].state, State::Cancelled);
    }
}
