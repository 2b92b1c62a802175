//! What the worker's engine costs a line, when the call takes no time: reading, window, writing,
//! journal, checkpoints.
//!
//! Processor time of the whole process, pool included: it holds on a busy machine. Beside it a loop
//! that reads the same lines and writes the same answers, and would lose them in a crash.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use seawall_worker::{Control, Job, LineOutcome, Settings, Sync, run};

const LINES: u64 = 500_000;
const ROUNDS: usize = 5;

fn main() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let input = directory.path().join("input");
    let mut file = BufWriter::new(std::fs::File::create(&input).expect("there is room"));
    for number in 0..LINES {
        let rest = "x".repeat(number as usize * 7_919 % 80);
        writeln!(
            file,
            "{{\"number\":{number:010},\"what\":\"an order of something\",\"x\":\"{rest}\"}}"
        )
        .expect("there is room");
    }
    file.into_inner().expect("there is room").sync_all().expect("there is room");
    let standard = Settings::new(&input, directory.path().join("output"));
    let modes = [
        ("never synced", Settings { sync: Sync::Never, ..standard.clone() }),
        ("**synced with each checkpoint (1 s)**", standard.clone()),
        ("the same, in order", Settings { is_ordered: true, ..standard.clone() }),
        (
            "each group synced, 1,024 calls at once",
            Settings { sync: Sync::Record, in_flight_max: 1024, ..standard.clone() },
        ),
        (
            "at most once, 1,024 calls at once",
            Settings { is_at_most_once: true, in_flight_max: 1024, ..standard.clone() },
        ),
    ];
    println!("{LINES} lines, {ROUNDS} rounds, medians");
    println!("| | processor µs a line | lines/s |");
    println!("|---|---|---|");
    report("std lines() and a BufWriter, nothing else", || plain(&input, directory.path()));
    for (name, settings) in modes {
        report(name, || engine(&settings));
    }
}

fn report(name: &str, mut contender: impl FnMut()) {
    let mut took: Vec<(Duration, Duration)> = (0..ROUNDS)
        .map(|_| {
            let (wall, before) = (Instant::now(), processor());
            contender();
            (processor() - before, wall.elapsed())
        })
        .collect();
    took.sort_unstable();
    let (processor, _) = took[ROUNDS / 2];
    took.sort_unstable_by_key(|(_, wall)| *wall);
    let (_, wall) = took[ROUNDS / 2];
    let micros = processor.as_secs_f64() * 1e6 / LINES as f64;
    println!("| {name} | {micros:.2} | {:.0} |", LINES as f64 / wall.as_secs_f64());
}

fn engine(settings: &Settings) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    let call = async |job: &Job| LineOutcome::output(job.line.clone());
    let summary = runtime.block_on(run(settings, &Control::default(), call));
    assert_eq!(summary.expect("it finishes").counts.output, LINES);
    std::fs::remove_dir_all(settings.state()).expect("it was just written");
    std::fs::remove_file(&settings.output).expect("it was just written");
    std::fs::remove_file(&settings.dead).expect("it was just written");
}

fn plain(input: &Path, directory: &Path) {
    let file = std::fs::File::open(input).expect("it was just written");
    let output = directory.join("plain");
    let mut writer = BufWriter::new(std::fs::File::create(&output).expect("there is room"));
    for line in BufReader::new(file).lines() {
        writeln!(writer, "{}", line.expect("it is text")).expect("there is room");
    }
    writer.flush().expect("there is room");
    std::fs::remove_file(&output).expect("it was just written");
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
