//! The end of a connection in order: last words, and time for the client to hear them.
//!
//! Does not know HTTP. A socket that is closed with unread bytes is reset, and what was written
//! before may be lost with it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::Socket;

/// Says the last words and closes our side; lets a client that may be saying something finish.
pub async fn part<S: Socket>(socket: &mut S, words: &[u8], has_unread: bool) {
    let parting = async {
        socket.write_all(words).await?;
        socket.shutdown().await?;
        if has_unread {
            discard(socket).await?;
        }
        Ok::<_, io::Error>(())
    };
    // Whether the client heard it or not, this is the end.
    let _ = timeout(PARTING_TIME_MAX, parting).await;
}

/// Reads to the end, or as much as is read of what is not wanted.
async fn discard<S: Socket>(socket: &mut S) -> io::Result<()> {
    let mut left = DRAIN_BYTES_MAX;
    poll_fn(|cx| {
        // On the stack: every connection pays for what its future holds.
        let mut room = [0; 2048];
        while left > 0 {
            let mut buf = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut *socket).poll_read(cx, &mut buf))?;
            left =
                if buf.filled().is_empty() { 0 } else { left.saturating_sub(buf.filled().len()) };
        }
        Poll::Ready(Ok(()))
    })
    .await
}

const DRAIN_BYTES_MAX: usize = 64 * 1024;
const PARTING_TIME_MAX: Duration = Duration::from_secs(1);
