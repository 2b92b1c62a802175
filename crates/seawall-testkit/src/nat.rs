//! Something on the way that forgets connections, as NATs, balancers and restarted servers do.
//!
//! Does not know: HTTP. Bytes go through as they come, until the connections are forgotten.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to a server until it forgets them; ends with them when dropped.
pub struct Nat {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Says what becomes of bytes on a connection that was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Forgets {
    /// They are answered with a reset.
    WithReset = 0,
    /// Nobody hears them.
    InSilence = 1,
}

#[derive(Default)]
struct Shared {
    opened: AtomicU64,
    /// The number of the last connection that is forgotten.
    forgotten: AtomicU64,
    how: AtomicU8,
    met: AtomicU64,
}

impl Nat {
    /// Listens on a free loopback port, in front of a server.
    ///
    /// # Errors
    ///
    /// Fails if no port can be had.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the port.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = theirs.opened.fetch_add(1, Ordering::SeqCst) + 1;
                let shared = Arc::clone(&theirs);
                connections.spawn(async move {
                    // A connection that ends with an error has ended.
                    drop(pass(client, server, number, &shared).await);
                });
            }
        });
        Ok(Self { address, shared, task })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets every connection that was opened so far; none of the two sides is told.
    pub fn forget(&self, how: Forgets) {
        self.shared.how.store(how as u8, Ordering::SeqCst);
        self.shared.forgotten.store(self.opened(), Ordering::SeqCst);
    }

    /// Returns how many connections were opened.
    pub fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::SeqCst)
    }

    /// Returns how many forgotten connections were used again.
    pub fn met(&self) -> u64 {
        self.shared.met.load(Ordering::SeqCst)
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    number: u64,
    shared: &Shared,
) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let (is_up, length) = tokio::select! {
            read = client.read(&mut up) => (true, read?),
            read = server.read(&mut down) => (false, read?),
        };
        if number <= shared.forgotten.load(Ordering::SeqCst) {
            if is_up && length > 0 {
                shared.met.fetch_add(1, Ordering::SeqCst);
            }
            if shared.how.load(Ordering::SeqCst) == Forgets::WithReset as u8 {
                return client.set_zero_linger();
            }
            std::future::pending::<()>().await;
        }
        match (is_up, length) {
            (_, 0) => return Ok(()),
            (true, _) => server.write_all(&up[..length]).await?,
            (false, _) => client.write_all(&down[..length]).await?,
        }
    }
}
