//! How a new process takes the listening sockets of a running one, so that no client is refused
//! and none that waits at a socket is lost.
//!
//! Does not know what is served. The running server offers its sockets at a socket beside its
//! runtime file, where only its own user can ask. It hands over copies and goes on serving; when
//! the new process says that it serves, too, the old one stops to accept. If the new one ends
//! before, nothing has happened. One message is one byte, the number of sockets that come with it;
//! none ends the list. The new process answers with one byte.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixListener;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::runtime_file::{self, Whereabouts};
use super::state::{Order, Orders};

/// What a running server offers to the one that replaces it; clones share it.
#[derive(Clone, Default)]
pub(super) struct Offer(Arc<Mutex<Vec<TcpListener>>>);

impl Offer {
    /// Offers copies of listening sockets, the admin port's last.
    pub(super) fn new(sockets: Vec<TcpListener>) -> Self {
        Self(Arc::new(Mutex::new(sockets)))
    }

    /// Closes the copies of all but the admin port's, which stays open for as long as the process.
    pub(super) fn withdraw_clients(&self) {
        let mut sockets = self.sockets();
        let admin = sockets.pop();
        *sockets = admin.into_iter().collect();
    }

    /// Closes the copies: with them, a socket would outlive those that accept from it.
    pub(super) fn withdraw(&self) {
        self.sockets().clear();
    }

    /// Hands the sockets over to whoever asks, one after the other, until one of them serves.
    pub(super) async fn stand(
        &self,
        listener: &UnixListener,
        whereabouts: &Whereabouts,
        orders: &Orders,
    ) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(_) => {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let error = match self.hand_over(stream).await {
                Ok(true) => {
                    info!(event = "host.replaced", "another process serves in our place");
                    // The host takes orders for as long as it lives.
                    let _ = orders.send(Order::Replaced).await;
                    return;
                }
                Ok(false) => "it ended before it served".to_owned(),
                Err(error) => error.to_string(),
            };
            warn!(event = "host.not_replaced", error, "handover failed: still serving");
            // It may have said that it is the one, and it is not.
            if let Err(error) = runtime_file::write_again(whereabouts) {
                warn!(event = "runtime_file.failed", "`seawall reload` will not find us: {error}");
            }
        }
    }

    /// Hands the sockets over; returns whether the other process has come to serve.
    async fn hand_over(&self, mut stream: tokio::net::UnixStream) -> io::Result<bool> {
        let mut sent = 0;
        loop {
            timeout(PATIENCE, stream.writable()).await??;
            match stream.try_io(Interest::WRITABLE, || self.send(stream.as_fd(), sent)) {
                Ok(0) => break,
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // However long it takes to start: it serves, or it ends.
        Ok(stream.read(&mut [0]).await? > 0)
    }

    /// Sends the sockets from a place on, as many as go into one message; returns how many.
    fn send(&self, to: BorrowedFd<'_>, from: usize) -> io::Result<usize> {
        let sockets = self.sockets();
        let some: Vec<_> = sockets.iter().skip(from).take(AT_ONCE).map(AsFd::as_fd).collect();
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut message = SendAncillaryBuffer::new(&mut room);
        if !some.is_empty() {
            message.push(SendAncillaryMessage::ScmRights(&some));
        }
        let count = [some.len() as u8];
        sendmsg(to, &[IoSlice::new(&count)], &mut message, SendFlags::NOSIGNAL)?;
        Ok(some.len())
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket file at which sockets are offered; it is removed when dropped.
pub(super) struct SocketFile(PathBuf);

impl SocketFile {
    /// Makes the file and listens there; must be called on a runtime.
    pub(super) fn bind(path: PathBuf) -> io::Result<(Self, UnixListener)> {
        // Of an earlier process with our number.
        drop(fs::remove_file(&path));
        let listener = UnixListener::bind(&path)?;
        Ok((Self(path), listener))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// The way to the server that this process replaces.
pub struct Predecessor {
    /// The number of its process.
    pub pid: u32,
    stream: UnixStream,
}

impl Predecessor {
    /// Tells it that its clients are served; from now on it accepts none.
    pub fn tell(mut self) {
        // If it has ended meanwhile, it accepts none either.
        drop(self.stream.write_all(b"s"));
        info!(event = "host.took_over", pid = self.pid, "the other process finishes what it has");
    }
}

/// What was taken over from a running server.
pub struct Taken {
    /// The server, which waits to be told that its clients are served.
    pub predecessor: Predecessor,
    /// The sockets for clients.
    pub clients: Vec<TcpListener>,
    /// The one for status and metrics.
    pub admin: Option<TcpListener>,
}

/// Takes the sockets of the running server that serves a settings file; `None` if there is none.
///
/// # Errors
///
/// Fails if it runs and does not hand them over.
pub fn take(file: &Path) -> io::Result<Option<Taken>> {
    let Some(there) = runtime_file::find(file) else { return Ok(None) };
    let (pid, port) = (there.pid, there.admin.port());
    let failed = |error: io::Error| io::Error::other(format!("process {pid}: {error}"));
    let stream = UnixStream::connect(runtime_file::socket_path(port, pid)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut clients, mut admin) = (Vec::new(), None);
    loop {
        let sockets = receive(&stream).map_err(failed)?;
        if sockets.is_empty() {
            break;
        }
        for socket in sockets {
            match socket.local_addr()? == there.admin {
                true => admin = Some(socket),
                false => clients.push(socket),
            }
        }
    }
    Ok(Some(Taken { predecessor: Predecessor { pid, stream }, clients, admin }))
}

fn receive(from: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut message = RecvAncillaryBuffer::new(&mut room);
    let mut count = [0];
    let read = {
        let mut count = [IoSliceMut::new(&mut count)];
        recvmsg(from, &mut count, &mut message, RecvFlags::CMSG_CLOEXEC)?
    };
    let mut sockets = Vec::new();
    for part in message.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = part {
            sockets.extend(files.map(TcpListener::from));
        }
    }
    if read.bytes == 0 || usize::from(count[0]) != sockets.len() {
        return Err(io::Error::other("it broke off"));
    }
    Ok(sockets)
}

/// How many sockets go with one message; Linux takes 253.
const AT_ONCE: usize = 64;
/// How long one message may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when the operating system gives us no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
