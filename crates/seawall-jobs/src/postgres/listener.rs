//! Hears that jobs changed: one connection that listens, for all who wait.
//!
//! Does not know: jobs. The connection is polled by whoever waits, and by nobody else: no task is
//! started. What comes while nobody waits stays in the socket until somebody does.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls};

/// The name under which changes are told.
pub(super) const CHANNEL: &str = "seawall_jobs";

pub(super) struct Listener {
    config: Config,
    changed: Notify,
    line: Mutex<Option<Line>>,
}

/// An open connection; the client keeps it open.
struct Line {
    _client: Client,
    messages: BoxStream<'static, Result<AsyncMessage, Error>>,
}

impl Listener {
    pub(super) fn new(config: Config) -> Self {
        Self { config, changed: Notify::new(), line: Mutex::new(None) }
    }

    /// Waits until something changed, or the connection was lost and something may have.
    pub(super) fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Made now: what another one hears in between is not missed.
        let heard = self.changed.notified();
        Box::pin(async move {
            tokio::select! {
                () = heard => {}
                () = self.hear() => self.changed.notify_waiters(),
            }
        })
    }

    /// Listens until something is heard.
    ///
    /// # Cancel safety
    ///
    /// Dropping it keeps the connection, for the next one.
    async fn hear(&self) {
        let mut line = self.line.lock().await;
        if line.is_none() {
            match self.open().await {
                Ok(opened) => *line = Some(opened),
                Err(_) => {
                    // Whoever waits asks every second as well, and is told why that fails.
                    drop(line);
                    return sleep(AGAIN_AFTER).await;
                }
            }
        }
        let Some(open) = line.as_mut() else { return };
        loop {
            match open.messages.next().await {
                Some(Ok(AsyncMessage::Notification(_))) => return,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    *line = None;
                    return;
                }
            }
        }
    }

    async fn open(&self) -> Result<Line, Error> {
        let (client, mut connection) = self.config.connect(NoTls).await?;
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx)).boxed();
        let text = format!("listen {CHANNEL}");
        {
            let mut listening = std::pin::pin!(client.batch_execute(&text));
            loop {
                tokio::select! {
                    listens = &mut listening => break listens?,
                    message = messages.next() => {
                        // What is told before it listens is not for us.
                        if let Some(Err(error)) = message {
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(Line { _client: client, messages })
    }
}

/// How long it waits until it tries to connect again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
