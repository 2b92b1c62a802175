//! What is dropped half way.

use std::io::Write;
use std::task::{Context, Poll, Waker};

use seawall_core::Chance;
use seawall_lines::{Bom, Eol, LineReader};

use crate::inputs::fifo;
use crate::naive::{file, split};

fn text() -> Vec<u8> {
    let lines = (0..2_000).map(|number| format!("{number} {}\n", "z".repeat(number % 300)));
    lines.collect::<String>().into_bytes()
}

/// Polls the future once and drops it if it is not ready.
fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_at_any_await_loses_no_line() {
    let bytes = text();
    let expected = split(&bytes, usize::MAX, Eol::LfOrCrLf, Bom::Strip);
    let file = file(&bytes);
    let mut reader = LineReader::open(file.path()).chunk_bytes(997).await.unwrap();
    let (mut chance, mut lines) = (Chance::seeded(7), Vec::new());
    loop {
        // Half of the futures are polled once and dropped, wherever they then stand.
        let next =
            if chance.happens(0.5) { once(reader.next()) } else { Some(reader.next().await) };
        match next {
            None => tokio::task::yield_now().await,
            Some(next) => match next.unwrap() {
                Some(batch) => lines.extend(batch.iter().map(|line| line.to_owned_line())),
                None => break,
            },
        }
    }
    assert!(lines == expected, "{} lines instead of {}", lines.len(), expected.len());
}

#[tokio::test]
async fn a_future_that_waits_for_input_can_be_dropped_as_often_as_one_likes() {
    let fifo = fifo();
    let mut reader = LineReader::open(&*fifo).any_kind().await.unwrap();
    let mut writer = std::fs::OpenOptions::new().write(true).open(&*fifo).unwrap();
    let mut chance = Chance::seeded(9);
    let (mut written, mut lines) = (Vec::new(), Vec::new());
    for round in 0..100 {
        for _ in 0..=chance.bits() % 3 {
            // Nothing has been written, so it waits: in the hop, or for the hop to begin.
            assert!(once(reader.next()).is_none());
            tokio::task::yield_now().await;
        }
        let piece = format!("end {round}\n{}", "and a beginning ".repeat(round % 9));
        writer.write_all(piece.as_bytes()).unwrap();
        written.extend_from_slice(piece.as_bytes());
        let batch = reader.next().await.unwrap().expect("a line has ended");
        lines.extend(batch.iter().map(|line| line.to_owned_line()));
    }
    drop(writer);
    while let Some(batch) = reader.next().await.unwrap() {
        lines.extend(batch.iter().map(|line| line.to_owned_line()));
    }
    assert!(lines == split(&written, usize::MAX, Eol::LfOrCrLf, Bom::Strip));
}

#[tokio::test]
async fn a_future_that_waits_for_a_batch_to_come_back_can_be_dropped_too() {
    let bytes = text();
    let expected = split(&bytes, usize::MAX, Eol::LfOrCrLf, Bom::Strip);
    let file = file(&bytes);
    let opening = LineReader::open(file.path()).chunk_bytes(10_000).batches_max(2);
    let mut reader = opening.await.unwrap();
    let mut lines = Vec::new();
    let mut out = Vec::new();
    loop {
        // The third waits for the first two, for as long as they are out.
        let next = if out.len() == 2 {
            tokio::task::yield_now().await;
            assert!(once(reader.next()).is_none(), "more batches than may be out");
            out.clear();
            reader.next().await
        } else {
            reader.next().await
        };
        let Some(batch) = next.unwrap() else { break };
        lines.extend(batch.iter().map(|line| line.to_owned_line()));
        out.push(batch);
    }
    assert!(lines == expected);
}

#[tokio::test]
async fn dropping_a_batch_wakes_the_reader_that_waits_for_it() {
    let file = file(&text());
    let opening = LineReader::open(file.path()).chunk_bytes(5_000).batches_max(1);
    let mut reader = opening.await.unwrap();
    let batch = reader.next().await.unwrap().unwrap();
    let end = batch.end();
    let (next, ()) = tokio::join!(reader.next(), async move {
        tokio::task::yield_now().await;
        drop(batch);
    });
    assert_eq!(next.unwrap().unwrap().first(), end);
}
