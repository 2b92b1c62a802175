//! Pipes between stages.

use std::cell::Cell;
use std::task::{Context, Waker};

use seawall_core::Chance;
use seawall_lines::LineReader;
use seawall_lines::pipe::{Broken, Gone, pipe, stage};

use crate::naive::file;

fn is_ready<F: Future>(future: F) -> bool {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test]
async fn a_writer_stops_at_the_bound_and_starts_again_at_half_of_it() {
    let (mut inlet, mut outlet) = pipe::<usize, ()>(100, |bytes| *bytes);
    for _ in 0..10 {
        inlet.send(10).await.unwrap();
    }
    assert!(!is_ready(inlet.room()));
    for left in (0..10).rev() {
        outlet.next().await.unwrap();
        assert_eq!(is_ready(inlet.room()), left <= 5, "{left} items are left");
    }
    inlet.send(1_000_000).await.unwrap();
    assert!(!is_ready(inlet.room()), "an item of any weight fits, and no other beside it");
}

#[tokio::test]
async fn items_come_out_before_the_error_and_an_unspoken_end_is_one() {
    let (mut inlet, mut outlet) = pipe::<u8, &str>(9, |_| 1);
    inlet.send(1).await.unwrap();
    inlet.fail("broken");
    assert_eq!(outlet.next().await, Ok(Some(1)));
    assert_eq!(outlet.next().await, Err(Broken::Failed("broken")));
    assert_eq!(outlet.next().await, Ok(None));

    let (inlet, mut outlet) = pipe::<u8, &str>(9, |_| 1);
    drop(inlet);
    assert_eq!(outlet.next().await, Err(Broken::Dropped));

    let (inlet, mut outlet) = pipe::<u8, &str>(9, |_| 1);
    inlet.finish();
    assert_eq!(outlet.next().await, Ok(None));
}

#[tokio::test]
async fn a_reader_that_leaves_is_seen_by_a_writer_that_waits() {
    let (mut inlet, outlet) = pipe::<u8, ()>(1, |_| 1);
    inlet.send(1).await.unwrap();
    let (sent, ()) = tokio::join!(inlet.send(2), async { drop(outlet) });
    assert_eq!(sent, Err(Gone));
    inlet.gone().await;
}

#[tokio::test]
async fn an_error_in_the_middle_reaches_both_ends() {
    let (mut inlet, source) = pipe::<u32, String>(10, |_| 1);
    let (sink, mut outlet) = pipe::<u32, String>(10, |_| 1);
    let written = Cell::new(0);
    let write = async {
        for number in 0..1_000 {
            if inlet.send(number).await.is_err() {
                return;
            }
            written.set(number);
        }
    };
    let work =
        stage(
            source,
            sink,
            async |number: u32| {
                if number == 50 { Err("no fifty".to_owned()) } else { Ok(number * 2) }
            },
        );
    let read = async {
        let mut last = 0;
        loop {
            match outlet.next().await {
                Ok(Some(number)) => last = number,
                Ok(None) => panic!("a failure was taken for the end"),
                Err(error) => return (last, error),
            }
        }
    };
    let ((), (), (last, error)) = tokio::join!(write, work, read);
    assert_eq!((last, error), (98, Broken::Failed("no fifty".to_owned())));
    assert!(written.get() < 80, "the source went on to {}", written.get());
}

#[tokio::test]
async fn futures_that_are_dropped_while_they_wait_lose_no_item() {
    let (mut inlet, mut outlet) = pipe::<u64, ()>(3, |_| 1);
    let mut chance = Chance::seeded(3);
    let (mut put, mut taken) = (0, Vec::new());
    while taken.len() < 500 {
        if chance.happens(0.5) {
            if is_ready(inlet.room()) {
                inlet.put(put).unwrap();
                put += 1;
            }
        } else if taken.len() < put as usize {
            taken.push(outlet.next().await.unwrap().unwrap());
        } else {
            assert!(!is_ready(outlet.next()));
        }
    }
    assert!(taken.iter().copied().eq(0..500));
}

#[tokio::test]
async fn batches_of_lines_flow_through_a_stage_into_a_sink() {
    let text: String = (0..50_000).map(|number| format!("{number}\n")).collect();
    let file = file(text.as_bytes());
    let mut reader = LineReader::open(file.path()).chunk_bytes(4096).await.unwrap();
    let (mut inlet, source) = pipe(64 * 1024, |batch: &seawall_lines::LineBatch| batch.len() * 16);
    let (sink, mut outlet) = pipe(1024, |_: &u64| 8);
    let read = async {
        while let Some(batch) = reader.next().await.unwrap() {
            inlet.send(batch).await.unwrap();
        }
        inlet.finish();
    };
    let parse = stage(source, sink, async |batch: seawall_lines::LineBatch| {
        let numbers = batch.iter().map(|line| line.text().unwrap().parse::<u64>());
        numbers.sum::<Result<u64, _>>()
    });
    let add = async {
        let mut sum = 0;
        while let Some(part) = outlet.next().await.unwrap() {
            sum += part;
        }
        sum
    };
    // The reader has fewer batches to lend than the pipe would take: it waits for those to return.
    let ((), (), sum) = tokio::join!(read, parse, add);
    assert_eq!(sum, 50_000 * 49_999 / 2);
}
