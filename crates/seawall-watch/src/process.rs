//! What the operating system says about this process; nothing where there is no `/proc`.

use std::fs;

/// Holds what the operating system says about this process at one instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) open_files_max: Option<u64>,
}

impl Process {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the program's name in parentheses and may hold anything.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let field = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Self {
            // proc_pid_stat(5): utime and stime are the fields 14 and 15, the third is the first
            // one after the name.
            cpu_seconds: field(11)
                .zip(field(12))
                .map(|(user, system)| (user + system) as f64 / TICKS_PER_SECOND),
            threads: field(17),
            resident_bytes: resident_bytes(),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            open_files_max: open_files_max(),
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The unit of times in `/proc`: USER_HZ is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_threads_files_and_memory() {
        let now = Process::now();
        assert!(now.threads.is_some_and(|threads| threads >= 1), "{now:?}");
        assert!(now.open_files.is_some_and(|files| files >= 3), "{now:?}");
        assert!(now.open_files_max > now.open_files, "{now:?}");
        assert!(now.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{now:?}");
        assert!(now.cpu_seconds.is_some(), "{now:?}");
    }
}
