//! Puts in runs whose time has come.
//!
//! Does not know: who runs them. The ledger of the store says which time of a job was the last that
//! was put in: of machines that look at once one puts it in, and times that came while none looked
//! can be made up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use seawall_jobs::{Clock, Entry, JobStore, NewJob, StoreError};
use seawall_settings::{Begins, CatchUp, JobSettings, Schedule};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::payload::JobPayload;
use super::plan::Plan;

/// Looks at the clock, for as long as it is polled.
///
/// # Cancel safety
///
/// Dropping it loses nothing: what is missed can be made up.
pub(super) async fn watch(plan: &ArcSwap<Plan>, store: &dyn JobStore) {
    let clock = Clock::System;
    let mut schedules = Schedules::default();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let plan = plan.load_full();
        schedules.look(&plan, store, clock.now_ms()).await;
    }
}

#[derive(Default)]
struct Schedules {
    /// Up to which time nothing is left to be put in, by job.
    reached: HashMap<Arc<str>, i64>,
    /// What was told of jobs that could not be put in: once, until it is something else.
    told: HashMap<Arc<str>, String>,
}

impl Schedules {
    async fn look(&mut self, plan: &Plan, store: &dyn JobStore, now: i64) {
        for planned in &plan.jobs {
            let Begins::At(schedule) = &planned.settings.begins else { continue };
            let job = &planned.settings.name;
            match self.job(&planned.settings, schedule, store, now).await {
                Ok(None) => {
                    self.told.remove(job);
                }
                Ok(Some(why)) => self.tell(job, why),
                Err(error) => self.tell(job, format!("could not {error}")),
            }
        }
        let is_known = |name: &str| plan.job(name).is_some();
        self.reached.retain(|job, _| is_known(job));
        self.told.retain(|job, _| is_known(job));
    }

    fn tell(&mut self, job: &Arc<str>, why: String) {
        if self.told.get(job) != Some(&why) {
            warn!(event = "job.not_begun", job = &**job, why, "could not queue a run");
            self.told.insert(job.clone(), why);
        }
    }

    /// Puts in what is due of one job; says why it has to wait, if it does.
    async fn job(
        &mut self,
        settings: &JobSettings,
        schedule: &Schedule,
        store: &dyn JobStore,
        now: i64,
    ) -> Result<Option<String>, StoreError> {
        let reached = match self.reached.get(&settings.name) {
            Some(reached) => *reached,
            None => self.first_look(settings, store, now).await?,
        };
        let due = match settings.catch_up {
            CatchUp::All => schedule.after(reached).filter(|due| *due <= now),
            CatchUp::None | CatchUp::Last => schedule.last_within(reached, now),
        };
        let Some(due) = due else { return Ok(None) };
        let mut reach = |time| self.reached.insert(settings.name.clone(), time);
        let job = &*settings.name;
        if settings.catch_up == CatchUp::None && now - due > LATE_MS {
            warn!(event = "job.passed_over", job, "its time came when no server looked");
            reach(due);
            return Ok(None);
        }
        let payload = JobPayload::at(settings, due, true);
        let entry = Some(Entry { number: due, ..entry(settings) });
        let inserted = store.insert(NewJob { entry, ..payload.row(settings) }).await?;
        let id = inserted.id;
        if inserted.is_new {
            info!(event = "job.put_in", job, id, "its time has come");
        } else if !inserted.is_noted && settings.catch_up == CatchUp::None {
            let why = "its time has come, and the run before is not over yet";
            warn!(event = "job.passed_over", job, id, "{why}");
        } else if !inserted.is_noted {
            return Ok(Some(format!("run {id} is still running: the next one is queued after it")));
        }
        reach(due);
        Ok(None)
    }

    /// Says from when on times count: from the last that was put in, if those that were missed do.
    async fn first_look(
        &mut self,
        settings: &JobSettings,
        store: &dyn JobStore,
        now: i64,
    ) -> Result<i64, StoreError> {
        let mut reached = now;
        if settings.catch_up != CatchUp::None {
            let Entry { ledger, item, .. } = entry(settings);
            let noted = store.noted(&ledger, vec![item]).await?;
            match noted.first() {
                Some(noted) => reached = noted.entry.number,
                // From now on.
                None => {
                    store.note(Entry { number: reached, ..entry(settings) }).await?;
                }
            }
        }
        self.reached.insert(settings.name.clone(), reached);
        Ok(reached)
    }
}

fn entry(settings: &JobSettings) -> Entry {
    let (ledger, item) = ("schedule".to_owned(), settings.name.to_string());
    Entry { ledger, item, ..Entry::default() }
}

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How late a time may be begun that is not to be made up: what a busy machine or a database that
/// is started again takes.
const LATE_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use seawall_jobs::{Filter, JobRow, SqliteStore, State};
    use seawall_settings::{Text, load_text};

    use super::super::stored::end_all;
    use super::*;

    const HOUR: i64 = 3_600_000;
    const SECOND: i64 = 1000;

    struct Scene {
        _folder: tempfile::TempDir,
        store: SqliteStore,
        plan: Plan,
    }

    impl Scene {
        fn new(more: &str) -> Self {
            let folder = tempfile::tempdir().expect("there is room");
            let store = SqliteStore::open(folder.path().join("jobs")).expect("it is new");
            let settings = format!(
                "[job.night]\ninput = \"in\"\noutput = \"out\"\nschedule = \"0 3 * * *\"\n\
                 keep = {{ matches = \"x\" }}\n{more}\n"
            );
            let text = Text { name: "test".into(), text: settings.into() };
            let loaded = load_text(text, &|_| None).unwrap_or_else(|report| panic!("{report:?}"));
            let plan = Plan::new(&loaded.settings, &[]);
            Self { _folder: folder, store, plan }
        }

        async fn look(&self, schedules: &mut Schedules, now: i64) {
            schedules.look(&self.plan, &self.store, now).await;
        }

        async fn rows(&self) -> Vec<JobRow> {
            let mut rows = self.store.list(Filter::default()).await.expect("it is open");
            rows.reverse();
            rows
        }

        /// Returns the days whose run was put in.
        async fn days(&self) -> Vec<i64> {
            let rows = self.rows().await;
            let payloads = rows.iter().filter_map(|row| JobPayload::read(&row.payload));
            payloads.filter_map(|one| one.scheduled_ms).map(|ms| ms / (24 * HOUR)).collect()
        }
    }

    #[tokio::test]
    async fn a_job_begins_at_its_time_once_whoever_looks() {
        let scene = Scene::new("");
        let three = 3 * HOUR;
        let (mut one, mut two, mut late) =
            (Schedules::default(), Schedules::default(), Schedules::default());
        for now in [three - SECOND, three + SECOND, three + 2 * SECOND] {
            scene.look(&mut one, now).await;
            scene.look(&mut two, now + 1).await;
        }
        let all = scene.rows().await;
        assert_eq!(all.len(), 1, "{all:?}");
        let payload = JobPayload::read(&all[0].payload).expect("it was just written");
        assert_eq!(payload.output, Path::new("out.10800"));
        assert_eq!(payload.scheduled_ms, Some(three));
        let day = 24 * HOUR;
        scene.look(&mut one, three + day + SECOND).await;
        assert_eq!(scene.rows().await.len(), 1, "the run before is not over yet");
        end_all(&scene.store).await;
        // One that is over and pruned is not begun again by who is late.
        scene.look(&mut two, three + day + 2 * SECOND).await;
        end_all(&scene.store).await;
        while !scene.rows().await.is_empty() {
            scene.store.prune(State::Done, Duration::ZERO, 100).await.expect("it is open");
        }
        scene.look(&mut late, three + day - SECOND).await;
        scene.look(&mut late, three + day + 3 * SECOND).await;
        assert_eq!(scene.days().await, [0; 0]);
        scene.look(&mut one, three + 2 * day + SECOND).await;
        assert_eq!(scene.days().await, [2]);
    }

    #[tokio::test]
    async fn missed_times_are_passed_over_made_up_by_one_or_by_all() {
        for (word, expected) in
            [("none", vec![0, 5]), ("last", vec![0, 4, 5]), ("all", vec![0, 1, 2, 3, 4, 5])]
        {
            let scene = Scene::new(&format!("catch_up = \"{word}\""));
            let at = |day: i64, hour: i64| day * 24 * HOUR + hour * HOUR;
            let mut one = Schedules::default();
            scene.look(&mut one, at(0, 0)).await;
            scene.look(&mut one, at(0, 3) + SECOND).await;
            end_all(&scene.store).await;
            // No server looks for four days.
            let mut two = Schedules::default();
            for second in 0..10 {
                scene.look(&mut two, at(4, 12) + second * SECOND).await;
                assert!(
                    scene.rows().await.iter().filter(|row| row.state.as_str() == "ready").count()
                        <= 1,
                    "one at a time"
                );
                end_all(&scene.store).await;
            }
            scene.look(&mut two, at(5, 3) + SECOND).await;
            assert_eq!(scene.days().await, expected, "{word}");
        }
    }

    #[tokio::test]
    async fn what_is_to_be_made_up_waits_for_the_run_before() {
        let scene = Scene::new("catch_up = \"last\"");
        let mut one = Schedules::default();
        let day = 24 * HOUR;
        scene.look(&mut one, 0).await;
        scene.look(&mut one, 3 * HOUR + SECOND).await;
        scene.look(&mut one, day + 3 * HOUR + SECOND).await;
        assert_eq!(scene.days().await, [0], "the first is not over");
        end_all(&scene.store).await;
        scene.look(&mut one, day + 9 * HOUR).await;
        assert_eq!(scene.days().await, [0, 1]);
    }
}
