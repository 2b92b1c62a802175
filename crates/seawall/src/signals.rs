//! Turns signals into orders.

use std::io;

use seawall_admin::{Order, Orders};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;

/// Gives an order for each signal, for as long as the runtime lives; must be called on one.
///
/// # Errors
///
/// Fails if the operating system does not let us listen to signals.
pub(crate) fn listen(orders: Orders) -> io::Result<()> {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
    ];
    for kind in kinds {
        let mut signals = signal(kind)?;
        let orders = orders.clone();
        // Ends with the runtime: it owns nothing that must be given back.
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let order = match kind {
                    hangup if hangup == SignalKind::hangup() => {
                        Order::Reload { is_forced: false, reply: None }
                    }
                    reopen if reopen == SignalKind::user_defined1() => Order::ReopenLog,
                    stop => Order::Stop(u8::try_from(stop.as_raw_value()).unwrap_or(u8::MAX)),
                };
                match orders.try_send(order) {
                    // With so many orders waiting, this one is among them.
                    Ok(()) | Err(TrySendError::Full(_)) => {}
                    Err(TrySendError::Closed(_)) => break,
                }
            }
        });
    }
    Ok(())
}
