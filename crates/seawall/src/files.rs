//! How many files this process may open, and how many clients that allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seawall_gateway::ServerLimits;
use thiserror::Error;

/// Too few open files: the operating system allows no more.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("only {files} files may be open, and {FILES_MIN} are the least to serve with")]
pub struct TooFew {
    /// How many may be open.
    pub files: u64,
}

/// Raises the limit of open files as far as this user may, and returns it.
///
/// # Errors
///
/// Fails if it stays so low that not even a few clients can be served.
pub fn raise() -> Result<u64, TooFew> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.or(limit.current);
    let raised = Rlimit { current: wanted, maximum: limit.maximum };
    // What cannot be raised stays as it is; the check below decides whether that is enough.
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => limit.current,
    };
    let files = files.unwrap_or(u64::MAX);
    if files < FILES_MIN { Err(TooFew { files }) } else { Ok(files) }
}

/// Lowers the limits on clients to what so many open files allow; returns a sentence that says so
/// if it had to.
pub fn fit(limits: &mut ServerLimits, files: u64) -> Option<String> {
    // Each client may need a second file: the connection to the upstream.
    let clients = usize::try_from((files.saturating_sub(RESERVE)) / 2).unwrap_or(usize::MAX);
    if limits.connections_max <= clients {
        return None;
    }
    let wanted = limits.connections_max;
    limits.connections_max = clients;
    limits.connections_per_address_max = limits.connections_per_address_max.min(clients);
    Some(format!(
        "connections_max is {clients} and not {wanted}: only {files} files may be open \
         (two a client, {RESERVE} in reserve); raise it with `ulimit -n` or LimitNOFILE"
    ))
}

/// For the admin port, settings, logs, idle upstream connections, libraries.
const RESERVE: u64 = 256;
/// The reserve and 128 clients.
const FILES_MIN: u64 = RESERVE + 2 * 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_cut_to_half_of_what_the_reserve_leaves() {
        let mut limits = ServerLimits::default();
        let said = fit(&mut limits, 1024).expect("16384 clients need more files");
        assert_eq!(limits.connections_max, (1024 - 256) / 2);
        assert_eq!(limits.connections_per_address_max, limits.connections_max);
        assert!(said.contains("connections_max is 384 and not 16384"), "{said}");
    }

    #[test]
    fn clients_are_left_alone_if_there_are_files_enough() {
        let mut limits = ServerLimits::default();
        assert_eq!(fit(&mut limits, 1 << 20), None);
        assert_eq!(limits, ServerLimits::default());
    }
}
