//! Lines as text, one at a time, all at once.

use std::future::poll_fn;
use std::pin::Pin;

use seawall_lines::{LineError, LineFault, LineReader, LineStream, OwnedLine, read_lines};
use tokio_util::sync::CancellationToken;

use crate::naive::{collect, file};

async fn next(stream: &mut LineStream) -> Option<Result<OwnedLine, LineError>> {
    poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(&mut *stream), cx)).await
}

#[tokio::test]
async fn a_stream_gives_the_lines_that_batches_give() {
    let text: String = (0..5_000).map(|number| format!("line {number}\n")).collect();
    let file = file(text.as_bytes());
    let batches = collect(&mut LineReader::open(file.path()).await.unwrap()).await.unwrap();
    let mut stream = LineReader::open(file.path()).chunk_bytes(100).await.unwrap().into_stream();
    let mut lines = Vec::new();
    while let Some(line) = next(&mut stream).await {
        lines.push(line.unwrap());
    }
    assert_eq!(lines, batches);
}

#[tokio::test]
async fn a_stream_gives_an_error_once_and_then_ends() {
    let file = file(b"oslo\nparis\nrome\n");
    let opening = LineReader::open(file.path()).line_bytes_max(4);
    let mut stream = opening.await.unwrap().into_stream();
    assert_eq!(next(&mut stream).await.unwrap().unwrap().bytes, b"oslo");
    let error = next(&mut stream).await.unwrap().unwrap_err();
    assert!(matches!(error.fault(), LineFault::TooLong { line_bytes_max: 4 }), "{error}");
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn all_lines_of_a_small_file_are_text() {
    let cancel = CancellationToken::new();
    let good = file("oslo\r\ntromsø\n\n".as_bytes());
    assert_eq!(read_lines(good.path(), &cancel).await.unwrap(), ["oslo", "tromsø", ""]);

    let bad = file(b"oslo\nro\xffme\n");
    let error = read_lines(bad.path(), &cancel).await.unwrap_err();
    let expected = format!(
        "read line 2 of {} (byte 5): byte 2 of the line is not UTF-8; convert the file, or read \
         lines as bytes",
        bad.path().display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn reading_all_lines_stops_at_its_bound_and_when_it_is_cancelled() {
    let file = file("\n".repeat(3_000_000).as_bytes());
    let cancel = CancellationToken::new();
    let error = read_lines(file.path(), &cancel).await.unwrap_err();
    assert!(matches!(error.fault(), LineFault::TooMuch { .. }), "{error}");
    cancel.cancel();
    let error = read_lines(file.path(), &cancel).await.unwrap_err();
    assert!(matches!(error.fault(), LineFault::Cancelled), "{error}");
}

#[test]
fn readers_and_batches_go_from_thread_to_thread() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_send::<LineReader>();
    is_send::<LineStream>();
    is_shared::<seawall_lines::LineBatch>();
    is_shared::<LineError>();
}
