//! Sends each line of a file through a call policy and writes the answers, with all queues
//! bounded: `cargo run -p seawall-worker --example through_a_policy -- INPUT OUTPUT`.
//!
//! If it is killed, start it again: it goes on where it was, with nothing lost or written twice.

use std::error::Error;
use std::sync::Arc;

use seawall_call::Policy;
use seawall_core::{Silent, UpstreamId};
use seawall_policy::Params;
use seawall_worker::{Control, Job, LineOutcome, Settings, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: through_a_policy INPUT OUTPUT".into());
    };
    let policy = Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent));
    let call = async |job: &Job| {
        let attempt = async |_| upstream(&job.line).await;
        match policy.run(attempt).await {
            Ok(answer) => LineOutcome::output(answer.value).after(answer.attempts, 200),
            Err(error) => LineOutcome::dead(error),
        }
    };
    let summary = run(&Settings::new(input, output), &Control::default(), call).await?;
    println!("{:?}: {:?}", summary.ended, summary.counts);
    Ok(())
}

/// Stands for a service that may fail.
async fn upstream(line: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    Ok(line.to_ascii_uppercase())
}
