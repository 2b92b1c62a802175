//! Inputs as they are found: pipes, devices, files that change, files that are not there.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use seawall_lines::{LineFault, LineReader, OnLong, Position};

use crate::naive::{collect, file};

#[tokio::test]
async fn what_is_no_regular_file_is_refused_unless_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    for (path, kind) in [(directory.path(), "directory"), (Path::new("/dev/zero"), "device")] {
        let error = LineReader::open(path).await.err().expect("it is no regular file");
        assert!(matches!(error.fault(), LineFault::NotRegular(found) if *found == kind), "{error}");
    }
    let error = LineReader::open(directory.path()).any_kind().await.err();
    let error = error.expect("a directory has no lines");
    assert!(matches!(error.fault(), LineFault::NotRegular("directory")), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let error = LineReader::open("/nowhere/orders.csv").await.err().expect("it is not there");
    assert!(error.to_string().starts_with("open /nowhere/orders.csv: No such file"), "{error}");
    assert!(error.position().is_none());

    let directory = tempfile::tempdir().unwrap();
    let ring = directory.path().join("ring");
    std::os::unix::fs::symlink(&ring, &ring).unwrap();
    let error = LineReader::open(&ring).await.err().expect("a link to itself is no file");
    assert!(error.to_string().contains("symbolic link"), "{error}");
}

#[tokio::test]
async fn endless_input_without_a_newline_ends_at_the_limit_of_a_line() {
    let mut reader = LineReader::open("/dev/zero").any_kind().await.unwrap();
    let error = reader.next().await.expect_err("it has no newline");
    assert_eq!(
        error.to_string(),
        "read line 1 of /dev/zero (byte 0): it is longer than 1048576 bytes; raise the limit, or \
         cut long lines"
    );
}

#[tokio::test]
async fn a_line_of_a_gibibyte_is_cut_and_the_lines_after_it_are_read() {
    let mut file = file(b"oslo\n");
    // A hole: it reads as zeros and takes no room.
    let length = 1 << 30;
    file.as_file().set_len(5 + length).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"\nrome\n").unwrap();
    let opening = LineReader::open(file.path()).on_long(OnLong::Cut);
    let lines = collect(&mut opening.await.unwrap()).await.unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!((lines[1].length, lines[1].bytes.len()), (length, 1 << 20));
    assert!(!lines[1].is_whole() && lines[2].is_whole());
    assert_eq!((lines[2].bytes.as_slice(), lines[2].offset), (b"rome".as_slice(), length + 6));
}

#[tokio::test]
async fn a_file_that_is_cut_while_it_is_read_is_an_error_that_names_the_line() {
    let text: String = (0..1_000).map(|number| format!("line {number:04}\n")).collect();
    let file = file(text.as_bytes());
    let opening = LineReader::open(file.path()).chunk_bytes(100).ahead(1);
    let mut reader = opening.await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().len(), 10);
    // One chunk may have been read ahead.
    file.as_file().set_len(255).unwrap();
    let error = loop {
        match reader.next().await {
            Ok(Some(batch)) => assert!(batch.end().offset <= 255),
            Ok(None) => panic!("a cut file was taken for a whole one"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error.fault(), LineFault::Truncated { length: 10_000, found: 255 }),
        "{error}"
    );
    let at = error.position().unwrap();
    // All whole lines before the cut were handed over.
    assert_eq!((at.sequence, at.offset), (25, 250));
}

#[tokio::test]
async fn what_is_added_while_a_file_is_read_is_left_for_the_next_time() {
    let mut file = file(b"oslo\nrome\n");
    let mut reader = LineReader::open(file.path()).chunk_bytes(5).ahead(1).await.unwrap();
    let mut lines = reader.next().await.unwrap().unwrap().len();
    file.write_all(b"par").unwrap();
    lines += collect(&mut reader).await.unwrap().len();
    assert_eq!(lines, 2);
    assert_eq!(reader.position(), Position { sequence: 2, offset: 10 });
}

#[tokio::test]
async fn a_start_behind_the_end_is_an_error_of_every_kind_of_input() {
    let file = file(b"oslo\n");
    let start = Position { sequence: 3, offset: 99 };
    let error = LineReader::open(file.path()).start(start).await.err().expect("it is too short");
    assert!(matches!(error.fault(), LineFault::Short { start: 99, length: 5 }), "{error}");
    let fifo = fifo_with(b"oslo\n");
    let opening = LineReader::open(fifo.path()).any_kind().start(start);
    let error = opening.await.unwrap().next().await.expect_err("it is too short");
    assert!(matches!(error.fault(), LineFault::Short { start: 99, length: 5 }), "{error}");
}

#[tokio::test]
async fn files_that_the_kernel_makes_up_are_read_to_their_end() {
    let mut reader = LineReader::open("/proc/self/status").await.unwrap();
    assert_eq!(reader.length(), None);
    let lines = collect(&mut reader).await.unwrap();
    assert!(lines[0].bytes.starts_with(b"Name:"));
    assert!(lines.len() > 10);
}

#[tokio::test]
async fn a_pipe_gives_its_lines_as_they_come() {
    let fifo = fifo();
    let mut reader = LineReader::open(&*fifo).any_kind().await.unwrap();
    let mut writer = {
        // Opening it waits for nobody, since the reader is there.
        std::fs::OpenOptions::new().write(true).open(&*fifo).unwrap()
    };
    for number in 0..20 {
        write!(writer, "{number}\npart of ").unwrap();
        let batch = reader.next().await.unwrap().expect("the line is whole");
        assert_eq!(batch.len(), 1, "what is not whole is not handed over");
    }
    drop(writer);
    let rest = collect(&mut reader).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].bytes, b"part of ");
}

#[test]
fn a_reader_that_is_dropped_leaves_no_thread_behind_that_waits_for_a_pipe() {
    let fifo = fifo();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let writer = runtime.block_on(async {
        let mut reader = LineReader::open(&*fifo).any_kind().await.unwrap();
        let writer = std::fs::OpenOptions::new().write(true).open(&*fifo).unwrap();
        tokio::select! {
            biased;
            _ = reader.next() => panic!("nobody has written anything"),
            // The read has begun, or is about to.
            () = tokio::task::yield_now() => {}
        }
        writer
    });
    // Waits for every thread of the pool; the pipe still has a writer, so the read would go on.
    drop(runtime);
    drop(writer);
}

#[test]
fn the_standard_input_is_read_whatever_it_is() {
    const CHILD: &str = "SEAWALL_LINES_TEST_STDIN";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lines = runtime.block_on(async {
            let mut reader = LineReader::stdin().await.unwrap();
            assert_eq!(reader.length(), None);
            collect(&mut reader).await.unwrap()
        });
        println!("lines={} last={:?}", lines.len(), lines.last().map(|line| &line.bytes[..]));
        return;
    }
    let text = "oslo\nrome\n".repeat(20_000) + "end";
    let regular = file(text.as_bytes());
    let (reader, mut writer) = std::io::pipe().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(text.as_bytes()).unwrap());
    for stdin in [Stdio::from(reader), Stdio::from(regular.reopen().unwrap())] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "inputs::the_standard_input_is_read_whatever_it_is", "--nocapture"])
            .env(CHILD, "1")
            .stdin(stdin)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("lines=40001 last=Some([101, 110, 100])"), "{said}");
    }
    writing.join().unwrap();
}

/// Returns the path of a pipe.
pub(crate) fn fifo() -> tempfile::TempPath {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&*path).status().unwrap().success());
    path
}

/// Returns a pipe that somebody fills and closes.
fn fifo_with(bytes: &'static [u8]) -> Filled {
    let path = fifo();
    let name = path.to_path_buf();
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().write(true).open(name).unwrap();
        file.write_all(bytes).unwrap();
    });
    Filled { path, writer: Some(writer) }
}

struct Filled {
    path: tempfile::TempPath,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Filled {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.writer.take().expect("it is joined once").join().expect("the pipe was written");
    }
}
