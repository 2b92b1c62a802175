//! Reads lines, sends each through a call policy and writes the answers in order, all in one
//! future with bounded pipes: `cargo run -p seawall-worker --example pipes -- INPUT OUTPUT`.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use seawall_call::Policy;
use seawall_core::{Silent, UpstreamId};
use seawall_lines::pipe::{pipe, stage};
use seawall_lines::{LineBatch, LineReader};
use seawall_policy::Params;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let input = arguments.next().ok_or("usage: pipes INPUT OUTPUT")?;
    let mut output = File::create(arguments.next().ok_or("usage: pipes INPUT OUTPUT")?).await?;
    let policy = Policy::new(UpstreamId(0), Params::standard(), Arc::new(Silent));
    let upstream = async |line: &[u8]| Ok::<_, std::io::Error>(line.to_ascii_uppercase());
    let mut reader = LineReader::open(input).await?;
    let (mut inlet, batches) = pipe(1 << 20, |batch: &LineBatch| batch.len() * 100);
    let (answers, mut outlet) = pipe(1 << 20, Vec::len);
    let read = async {
        while let Some(batch) = reader.next().await? {
            inlet.send(batch).await?;
        }
        inlet.finish();
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let call = stage(batches, answers, async |batch: LineBatch| {
        let one = |line| policy.run(move |_| upstream(line));
        // Sixteen calls at once; their answers in the order of the lines.
        let calls = stream::iter(batch.iter()).map(|line| one(line.bytes)).buffered(16);
        let answers = calls.map_ok(|answer| [answer.value, b"\n".to_vec()].concat());
        answers.try_concat().await
    });
    let write = async {
        while let Some(bytes) = outlet.next().await? {
            output.write_all(&bytes).await?;
        }
        Ok(output.flush().await?)
    };
    let (read, (), written) = tokio::join!(read, call, write);
    // The sink knows why; the source only that nobody read any more.
    written.and(read)
}
