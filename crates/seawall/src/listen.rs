//! Listening sockets: one per worker on the same address, and clear words when that fails; or those
//! that a service manager has bound for us.
//!
//! Does not know what is served. Invariant: an address that somebody else listens on is never
//! shared with them by accident, although our own sockets share it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {}", reason(source))]
pub struct CannotListen {
    /// The address.
    pub address: SocketAddr,
    /// The flag that names another address.
    pub flag: &'static str,
    /// What the operating system said.
    pub source: io::Error,
}

impl CannotListen {
    /// Returns what else is known and what can be done, one line each.
    pub fn advice(&self) -> String {
        let Self { address, flag, source } = self;
        let other = SocketAddr::new(address.ip(), 0);
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                let holder = holder(*address)
                    .map(|holder| format!("  = note: held by {holder}\n"))
                    .unwrap_or_default();
                format!("{holder}help: stop it, or use `{flag} {other}` to take any free port")
            }
            io::ErrorKind::PermissionDenied if address.port() < 1024 => {
                format!("help: ports below 1024 need a privilege; use `{flag}` with a higher one")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("help: {} is not an address of this machine", address.ip())
            }
            _ => format!("help: use `{flag} {other}`"),
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Binds `count` sockets to one address, between which the kernel shares the clients out; the
/// first of them chooses the port if it is 0.
///
/// # Errors
///
/// Fails if anybody listens there already, even where the kernel would let us share.
pub fn bind(
    address: SocketAddr,
    count: usize,
    flag: &'static str,
) -> Result<Vec<TcpListener>, CannotListen> {
    let failed = |source| CannotListen { address, flag, source };
    // SO_REUSEPORT would let a second Seawall of the same user join in silence, and each would get
    // half of the clients. A bind without it fails if there is any listener.
    let probe = socket(address, false).map_err(failed)?;
    probe.bind(&address.into()).map_err(failed)?;
    drop(probe);
    let mut listeners = Vec::with_capacity(count);
    let mut address = address;
    for _ in 0..count.max(1) {
        let socket = socket(address, true).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr().map_err(failed)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Sockets that others have bound.
#[derive(Default)]
pub(crate) struct Given {
    /// Those for clients; none if we bind them ourselves.
    pub(crate) clients: Vec<TcpListener>,
    /// The one for status and metrics.
    pub(crate) admin: Option<TcpListener>,
}

/// Takes the sockets that a service manager has bound (systemd's `LISTEN_FDS`): the one that is
/// named `admin` is for status and metrics, all others are for clients.
///
/// # Errors
///
/// Fails if one of them is not a TCP socket that listens.
pub(crate) fn given() -> io::Result<Given> {
    let mut sockets = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = Given::default();
    for number in 0..sockets.len() {
        let name = names.next().unwrap_or_default();
        let wrong =
            |why| io::Error::other(format!("socket {number} (`{name}`) of LISTEN_FDS: {why}"));
        let socket = sockets.take_tcp_listener(number).map_err(|error| wrong(error.to_string()))?;
        let Some(socket) = socket else { continue };
        if !socket_acceptconn(&socket)? {
            return Err(wrong("it does not listen".to_owned()));
        }
        socket.set_nonblocking(true)?;
        match name {
            "admin" => given.admin = Some(socket),
            _ => given.clients.push(socket),
        }
    }
    Ok(given)
}

/// Copies listeners: the copies are of the same sockets.
///
/// # Errors
///
/// Fails if no file is left.
pub(crate) fn copies(listeners: &[TcpListener]) -> io::Result<Vec<TcpListener>> {
    listeners.iter().map(TcpListener::try_clone).collect()
}

/// Shares listeners out among so many workers, each of which has at least one of every address: all
/// are listened to, for a client may wait at any of them.
///
/// # Errors
///
/// Fails if no file is left for another one's copy.
pub(crate) fn share_out(
    listeners: Vec<TcpListener>,
    workers: usize,
) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut shares: Vec<Vec<TcpListener>> = (0..workers.max(1)).map(|_| Vec::new()).collect();
    let mut by_address: Vec<(SocketAddr, Vec<TcpListener>)> = Vec::new();
    for listener in listeners {
        let address = listener.local_addr()?;
        match by_address.iter_mut().find(|(one, _)| *one == address) {
            Some((_, listeners)) => listeners.push(listener),
            None => by_address.push((address, vec![listener])),
        }
    }
    for (_, listeners) in by_address {
        let number = listeners.len();
        for worker in number..shares.len() {
            shares[worker].push(listeners[worker % number].try_clone()?);
        }
        for (place, listener) in listeners.into_iter().enumerate() {
            let worker = place % shares.len();
            shares[worker].push(listener);
        }
    }
    Ok(shares)
}

fn socket(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process that wait out their end must not keep us from starting.
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `[::]` means both families everywhere, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How many clients may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Returns who listens on an address, as far as this user may see it.
fn holder(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| listening_inode(line, address.port()))
    })?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter(|process| process.file_name().as_encoded_bytes()[0].is_ascii_digit()).find_map(
        |process| {
            let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
            files.find(|file| {
                fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == &*wanted)
            })?;
            let command = fs::read(process.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let command: String = command.trim().chars().take(80).collect();
            let id = process.file_name();
            Some(format!("process {} (`{}`)", id.display(), command.escape_default()))
        },
    )
}

/// Reads a line of `/proc/net/tcp`: the second field is the address, the fourth the state (0A is
/// LISTEN), the tenth the inode.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let is_ours = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? == "0A";
    if is_ours { fields.get(9).map(|inode| (*inode).to_owned()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn all_listeners_share_the_port_that_the_first_was_given() {
        let listeners = bind(any(), 3, "--listen").expect("loopback has free ports");
        let ports: Vec<_> =
            listeners.iter().map(|l| l.local_addr().expect("it is bound").port()).collect();
        assert_eq!(ports, [ports[0]; 3]);
        assert_ne!(ports[0], 0);
    }

    #[test]
    fn every_listener_has_a_worker_and_every_worker_a_listener() {
        for (listeners, workers, shares) in
            [(1, 3, vec![1, 1, 1]), (3, 3, vec![1, 1, 1]), (5, 2, vec![3, 2]), (2, 5, vec![1; 5])]
        {
            let bound = bind(any(), listeners, "--listen").expect("loopback has free ports");
            let shared = share_out(bound, workers).expect("there are files");
            assert_eq!(shared.iter().map(Vec::len).collect::<Vec<_>>(), shares);
        }
    }

    #[test]
    fn every_worker_listens_at_every_address() {
        for (first, second, workers) in [(2, 2, 4), (4, 4, 2), (1, 3, 3)] {
            let bind = |count| bind(any(), count, "--listen").expect("loopback has free ports");
            let listeners = bind(first).into_iter().chain(bind(second)).collect();
            for share in share_out(listeners, workers).expect("there are files") {
                let mut addresses: Vec<_> =
                    share.iter().map(|one| one.local_addr().expect("it is bound")).collect();
                addresses.sort_unstable();
                addresses.dedup();
                assert_eq!(addresses.len(), 2, "{first}, {second}, {workers}");
            }
        }
    }

    #[test]
    fn an_address_in_use_is_not_shared_and_its_holder_is_named() {
        let first = bind(any(), 2, "--listen").expect("loopback has free ports");
        let address = first[0].local_addr().expect("it is bound");
        let error = bind(address, 2, "--listen").expect_err("somebody listens there");
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {address}: address already in use")
        );
        let advice = error.advice();
        assert!(advice.contains(&format!("held by process {}", std::process::id())), "{advice}");
        assert!(advice.contains("help: stop it, or use `--listen 127.0.0.1:0`"), "{advice}");
    }
}
