//! What reading lines costs, side by side with a synchronous loop and with tokio's `lines()`.
//!
//! One run, rounds that take turns, a file in the page cache. Both the wall clock and the
//! processor time of the whole process are measured: on a busy machine only the latter holds.
//! Every contender touches every line: its number, its length and its first byte.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use seawall_lines::{LineReader, newlines};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::runtime::Runtime;

/// What a contender saw; the same for all.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    lines: u64,
    bytes: u64,
    firsts: u64,
}

impl Seen {
    #[inline]
    fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() as u64;
        self.firsts += u64::from(line.first().copied().unwrap_or(0));
    }
}

/// Reads 1 MiB at a time with the same splitter, on one thread: the limit for what is read with
/// system calls and split so.
fn synchronous(path: &Path) -> Seen {
    const HEADROOM: usize = 64 * 1024;
    const CHUNK: usize = 1024 * 1024;
    let mut file = File::open(path).expect("it was just written");
    let mut bytes = vec![0; HEADROOM + CHUNK];
    let (mut marks, mut carried, mut seen) = (Vec::new(), 0, Seen::default());
    loop {
        let read = file.read(&mut bytes[HEADROOM..]).expect("it can be read");
        if read == 0 {
            break;
        }
        newlines::mark(&bytes[HEADROOM..HEADROOM + read], &mut marks);
        let mut start = HEADROOM - carried;
        for (word, &bits) in marks.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let newline = HEADROOM + word * 64 + bits.trailing_zeros() as usize;
                seen.line(&bytes[start..newline]);
                start = newline + 1;
                bits &= bits - 1;
            }
        }
        carried = HEADROOM + read - start;
        bytes.copy_within(start..HEADROOM + read, HEADROOM - carried);
    }
    seen
}

async fn batches(path: &Path) -> Seen {
    let mut reader = LineReader::open(path).await.expect("it was just written");
    let mut seen = Seen::default();
    while let Some(batch) = reader.next().await.expect("it can be read") {
        batch.iter().for_each(|line| seen.line(line.bytes));
    }
    seen
}

async fn tokio_lines(path: &Path, buffer: usize) -> Seen {
    let file = tokio::fs::File::open(path).await.expect("it was just written");
    let mut lines = BufReader::with_capacity(buffer, file).lines();
    let mut seen = Seen::default();
    while let Some(line) = lines.next_line().await.expect("it is text") {
        seen.line(line.as_bytes());
    }
    seen
}

/// How a contender is called, and what it does.
type Contender = (&'static str, fn(&Runtime, &Path) -> Seen);

const CONTENDERS: [Contender; 4] = [
    ("synchronous loop, same splitter", |_, path| synchronous(path)),
    ("seawall batches", |runtime, path| runtime.block_on(batches(path))),
    ("tokio lines(), 1 MiB buffer", |runtime, path| {
        runtime.block_on(tokio_lines(path, 1024 * 1024))
    }),
    ("tokio lines(), default buffer", |runtime, path| {
        runtime.block_on(tokio_lines(path, 8 * 1024))
    }),
];

const ROUNDS: usize = 7;
const FILE_BYTES: u64 = 512 * 1024 * 1024;

fn main() {
    let file = tempfile::NamedTempFile::new().expect("there is room for a file");
    let lines = write(file.as_file());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    let expected = synchronous(file.path());
    assert_eq!(expected.lines, lines);
    let mut took = CONTENDERS.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((_, contender), took) in CONTENDERS.iter().zip(&mut took) {
            let (wall, processor) = (Instant::now(), processor());
            let seen = black_box(contender(&runtime, file.path()));
            took.push((wall.elapsed(), self::processor() - processor));
            assert_eq!(seen, expected);
        }
    }
    println!("{lines} lines, {FILE_BYTES} bytes, {ROUNDS} rounds");
    println!("| | GB/s best / median | processor s/GB, median | M lines/s | to the loop |");
    println!("|---|---|---|---|---|");
    let gigabytes = FILE_BYTES as f64 / 1e9;
    let mut median_of_loop = None;
    for ((name, _), mut took) in CONTENDERS.into_iter().zip(took) {
        took.sort_unstable();
        let (best, median) = (took[0].0.as_secs_f64(), took[ROUNDS / 2].0.as_secs_f64());
        let mut processor: Vec<_> = took.iter().map(|(_, processor)| *processor).collect();
        processor.sort_unstable();
        let processor = processor[ROUNDS / 2].as_secs_f64() / gigabytes;
        let ratio = *median_of_loop.get_or_insert(median) / median;
        println!(
            "| {name} | {:.2} / {:.2} | {processor:.3} | {:.1} | {ratio:.2} |",
            gigabytes / best,
            gigabytes / median,
            lines as f64 / median / 1e6,
        );
    }
    dotnet(file.path());
}

/// Reads the same file with what .NET has, if `SEAWALL_DOTNET` names the program that starts it.
fn dotnet(path: &Path) {
    let Some(program) = std::env::var_os("SEAWALL_DOTNET") else {
        println!("left out, since SEAWALL_DOTNET is not set: ReadLineAsync and PipeReader of .NET");
        return;
    };
    let output = Command::new(&program).arg("lines").arg(path).output();
    match output {
        Ok(output) if output.status.success() => {
            println!("\n.NET on the same file, GB/s best / median and processor s/GB:");
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("could not run {}: {error}", program.display()),
    }
}

/// Writes lines as they stand in logs, 118 bytes on average; returns how many.
fn write(file: &File) -> u64 {
    let mut writer = BufWriter::new(file);
    let (mut lines, mut left) = (0, FILE_BYTES);
    while left > 0 {
        let rest = "x".repeat(lines as usize * 7_919 % 80);
        let mut line = format!(
            "{{\"at\":\"2026-11-25T02:00:00Z\",\"number\":{lines:010},\"what\":\"order\",\"x\":\"{rest}\"}}\n"
        );
        if line.len() as u64 > left {
            line = "\n".to_owned();
        }
        writer.write_all(line.as_bytes()).expect("there is room for a file");
        left -= line.len() as u64;
        lines += 1;
    }
    writer.flush().expect("there is room for a file");
    lines
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
