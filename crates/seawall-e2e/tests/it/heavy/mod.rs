//! Tests that measure time or hold thousands of sockets: one at a time.

mod isolation;
mod leaving;
mod load;
mod many;
mod overload;
mod stopping;

use tokio::sync::{Mutex, MutexGuard};

/// Keeps the heavy tests of one process apart, for those who run `cargo test`.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
