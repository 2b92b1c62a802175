//! How a run is carried out: its first lines are looked at, then every line goes where it has to.
//!
//! Does not know: who shows it, who stops it.

use std::sync::atomic::Ordering::Relaxed;

use seawall_worker::{
    Job, LineOutcome, RunError, RunSummary, Selected, run, run_on, run_select, run_select_on,
};

use super::first_lines;
use super::work::Work;

impl Work {
    /// Runs it, or goes on with it.
    ///
    /// # Errors
    ///
    /// As [`seawall_worker::run`].
    ///
    /// # Cancel safety
    ///
    /// As [`seawall_worker::run`].
    pub(crate) async fn run(&self) -> Result<RunSummary, RunError> {
        let call = async |job: &Job| {
            let outcome = self.line(job).await;
            self.retries.fetch_add(u64::from(outcome.attempts.saturating_sub(1)), Relaxed);
            outcome
        };
        first_lines::check(self).await?;
        if let Some(select) = self.select.as_ref().filter(|_| self.forward().is_none()) {
            return match &self.stdout {
                None => run_select(&self.settings, &self.control, select).await,
                Some(stdout) => {
                    run_select_on(stdout.clone(), &self.settings, &self.control, select).await
                }
            };
        }
        match &self.stdout {
            None => run(&self.settings, &self.control, call).await,
            Some(stdout) => run_on(stdout.clone(), &self.settings, &self.control, call).await,
        }
    }

    async fn line(&self, job: &Job) -> LineOutcome {
        match self.letter(job) {
            None => self.sent(job).await,
            Some(Ok(job)) => self.sent(&job).await.about(&job),
            Some(Err(why)) => LineOutcome::dead(why).after(0, 0),
        }
    }

    async fn sent(&self, job: &Job) -> LineOutcome {
        let line = match self.select(&job.line) {
            Selected::Keep(line) => line,
            Selected::Drop => return LineOutcome::filtered(),
            Selected::Bad(why) => return LineOutcome::dead(why).after(0, 0),
        };
        let Some(forward) = self.forward() else {
            return LineOutcome::output(line.into_owned()).after(0, 0);
        };
        if let Some(pace) = &self.pace {
            tokio::select! {
                () = pace.begin(&line) => {}
                // Of lines that are sent at most once it is written down that they begin.
                () = self.control.drain.cancelled(), if !self.settings.is_at_most_once => {
                    return LineOutcome::postponed();
                }
            }
        }
        forward.send(job, &line).await
    }
}
