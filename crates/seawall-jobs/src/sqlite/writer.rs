//! The one thread that writes: all that waits is one transaction, and one `fsync`.
//!
//! Does not know: what is written. Invariant: nobody is answered before it is on the disk, and a
//! work that fails undoes itself and no other.

use std::io;
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::Flaw;

/// Does something, or nothing if the transaction could not begin, and gives back what answers
/// whoever asked, once it is known whether it was committed: without a word, or why not.
pub(super) type Work = Box<dyn FnOnce(Option<&Connection>) -> Reply + Send>;
pub(super) type Reply = Box<dyn FnOnce(Option<&str>) + Send>;

/// Is the thread, which ends with its queue.
#[derive(Debug)]
pub(super) struct Writer(Option<JoinHandle<()>>);

impl Writer {
    pub(super) fn start(connection: Connection, works: mpsc::Receiver<Work>) -> io::Result<Self> {
        let name = "seawall-jobs".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || write(connection, works))?;
        Ok(Self(Some(thread)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // One that panicked has answered nobody any more: they were told that it is closed.
            let _ = thread.join();
        }
    }
}

fn write(connection: Connection, mut works: mpsc::Receiver<Work>) {
    let mut replies = Vec::with_capacity(GROUP_MAX);
    while let Some(first) = works.blocking_recv() {
        let begun = connection.execute_batch("begin immediate");
        let mut next = Some(first);
        while let Some(work) = next {
            replies.push(work(begun.is_ok().then_some(&connection)));
            next = if replies.len() < GROUP_MAX { works.try_recv().ok() } else { None };
        }
        let ended = begun.and_then(|()| connection.execute_batch("commit"));
        let not_committed = ended.err().map(|error| error.to_string());
        if not_committed.is_some() {
            // There is nothing to undo if it never began.
            let _ = connection.execute_batch("rollback");
        }
        for reply in replies.drain(..) {
            reply(not_committed.as_deref());
        }
    }
}

/// Does something, and undoes it if it fails; `rollback to work` undoes it within.
pub(super) fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Flaw>,
) -> Result<T, Flaw> {
    connection.execute_batch("savepoint work")?;
    let done = work(connection);
    connection.execute_batch(match done {
        Ok(_) => "release work",
        Err(_) => "rollback to work; release work",
    })?;
    done
}

/// How many works are one transaction.
const GROUP_MAX: usize = 256;
