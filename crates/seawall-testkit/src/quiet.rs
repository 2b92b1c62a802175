//! A guard that fails a test in which something was logged as an error.
//!
//! Does not know: what is logged. It listens on the thread that made it, which is the thread of a
//! `#[tokio::test]`.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

/// Listens for errors on this thread until dropped.
#[must_use = "it listens only while it lives"]
pub struct Quiet {
    errors: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

/// Fails the test, when dropped, if an error was logged on this thread meanwhile.
///
/// # Examples
///
/// ```
/// let quiet = seawall_testkit::quiet();
/// // What is tested logs no error.
/// drop(quiet);
/// ```
pub fn quiet() -> Quiet {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let subscriber = registry().with(Listener(Arc::clone(&errors)));
    Quiet { errors, _guard: tracing::subscriber::set_default(subscriber) }
}

impl Quiet {
    /// Returns the errors so far, and forgets them: for tests that expect one.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let errors = self.take();
        // A second panic would hide the first, which says more.
        assert!(errors.is_empty() || thread::panicking(), "errors were logged: {errors:#?}");
    }
}

struct Listener(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
    }
}

/// Writes the fields of an event in one line.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(&format!("{}={value:?}", field.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_heard_and_a_warning_is_not() {
        let quiet = quiet();
        tracing::warn!("unexpected but handled");
        assert!(quiet.take().is_empty());
        tracing::error!(event = "test", "data was lost");
        assert_eq!(quiet.take().len(), 1);
    }

    #[test]
    #[should_panic(expected = "errors were logged")]
    fn a_test_that_logs_an_error_fails() {
        let _quiet = quiet();
        tracing::error!("data was lost");
    }
}
