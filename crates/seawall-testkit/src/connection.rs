//! One connection of a scripted upstream: read a request, do what the script says, again.
//!
//! Does not know: where the script comes from. While it acts it listens: a client that leaves is
//! noticed at once, and counted as cancelled if its answer was not finished.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep;

use crate::reply::{Act, ScriptedReply};
use crate::request;
use crate::script::Shared;

/// Says what becomes of a connection after a reply.
enum After {
    /// The next request may come.
    Stay,
    Close,
    Reset,
    /// The client left before its answer was finished.
    Cancelled,
}

/// Serves one connection to its end.
pub(crate) async fn serve(mut stream: TcpStream, number: u64, shared: Arc<Shared>) {
    // Small pieces are sent as they are written: that is what scripts are about.
    let _ = stream.set_nodelay(true);
    let _open = shared.open();
    let mut buffer = BytesMut::new();
    loop {
        let (mut reader, mut writer) = stream.split();
        let Ok(Some(mut seen)) = request::read(&mut reader, &mut buffer, shared.reads_body()).await
        else {
            return;
        };
        seen.connection = number;
        let in_flight = shared.enter(seen.clone());
        let after = tokio::select! {
            biased;
            after = answer(&mut writer, shared.decide(seen)) => after,
            () = gone(&mut reader, &mut buffer) => After::Cancelled,
        };
        match after {
            After::Stay => in_flight.finish(),
            After::Close => return in_flight.finish(),
            After::Reset => {
                let _ = stream.set_zero_linger();
                return in_flight.finish();
            }
            // The guard counts what it is dropped with as cancelled.
            After::Cancelled => return,
        }
    }
}

/// Waits for a decision and carries it out.
async fn answer(
    writer: &mut WriteHalf<'_>,
    decision: impl Future<Output = Option<ScriptedReply>>,
) -> After {
    let Some(reply) = decision.await else { return After::Reset };
    match act(writer, reply).await {
        Ok(after) => after,
        Err(_) => After::Cancelled,
    }
}

async fn act(writer: &mut WriteHalf<'_>, reply: ScriptedReply) -> io::Result<After> {
    for act in reply.acts {
        match act {
            Act::Write(bytes) => writer.write_all(&bytes).await?,
            Act::Drip(bytes, every) => {
                for byte in Bytes::into_iter(bytes) {
                    writer.write_u8(byte).await?;
                    sleep(every).await;
                }
            }
            Act::Wait(duration) => sleep(duration).await,
            Act::Hang => std::future::pending().await,
            Act::Reset => return Ok(After::Reset),
            Act::Close => return Ok(After::Close),
        }
    }
    Ok(After::Stay)
}

/// Ends when the client has closed or reset the connection; what it sends meanwhile is kept.
async fn gone(reader: &mut ReadHalf<'_>, buffer: &mut BytesMut) {
    while buffer.len() < AHEAD_BYTES_MAX {
        if !matches!(reader.read_buf(buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
    std::future::pending().await
}

/// What a client may send ahead before it is no longer listened to.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;
