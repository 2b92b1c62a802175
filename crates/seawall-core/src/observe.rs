//! Who is told of events.
//!
//! Does not know what they make of them. Invariant: an observer that panics takes nothing with it,
//! neither what tells it nor the others.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::Event;

/// Is told of every event, on the task where it happened.
///
/// An observer must be quick and must not block: it stands on the path of every call. If it panics,
/// all goes on as if it had not: nothing but that event is lost, and to that observer alone.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of one event.
    fn on(&self, event: &Event<'_>);

    /// Returns whether it takes note of anything at all; asked once, when it is put on a list. One
    /// that does not is never called.
    fn listens(&self) -> bool {
        true
    }
}

/// Takes note of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: &Event<'_>) {}

    fn listens(&self) -> bool {
        false
    }
}

/// A list of observers, each told of every event, in order; clones share it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use seawall_core::{Event, Observer, Observers, ServerEvent, Silent};
///
/// #[derive(Default)]
/// struct Count(AtomicU32);
///
/// impl Observer for Count {
///     fn on(&self, _event: &Event<'_>) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
/// let observers = Observers::from(counts[0].clone()).and(counts[1].clone()).and(Arc::new(Silent));
/// observers.tell(&Event::Server(&ServerEvent::Panicked));
/// assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [1, 1]);
/// assert!(!Observers::default().listens());
/// ```
#[derive(Clone, Default)]
pub struct Observers {
    /// Those that take note of anything.
    list: Arc<[Arc<dyn Observer>]>,
    listens: bool,
}

impl Observers {
    /// Puts another one, or all of another list, at the end.
    #[must_use]
    pub fn and(self, others: impl Into<Self>) -> Self {
        let others = others.into();
        if !others.listens {
            return self;
        }
        self.list.iter().chain(others.list.iter()).cloned().collect()
    }

    /// Returns whether anybody takes note of anything.
    #[inline]
    pub const fn listens(&self) -> bool {
        self.listens
    }

    /// Tells every observer what happened.
    #[inline]
    pub fn tell(&self, event: &Event<'_>) {
        if self.listens {
            self.tell_each(event);
        }
    }

    #[inline(never)]
    fn tell_each(&self, event: &Event<'_>) {
        match &*self.list {
            // A loop costs each event as much again as being told of it.
            [only] => tell_one(&**only, event),
            all => tell_all(all, event),
        }
    }
}

#[inline(never)]
fn tell_all(observers: &[Arc<dyn Observer>], event: &Event<'_>) {
    for observer in observers {
        tell_one(&**observer, event);
    }
}

fn tell_one(observer: &dyn Observer, event: &Event<'_>) {
    // It is told in destructors too: a panic that left one while another panic unwinds would end the
    // process. The panic's hook has reported it.
    let told = catch_unwind(AssertUnwindSafe(|| observer.on(event)));
    if let Err(panic) = told {
        // What a panic carries may panic when it is dropped.
        std::mem::forget(panic);
    }
}

impl FromIterator<Arc<dyn Observer>> for Observers {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Observer>>>(all: I) -> Self {
        let list: Arc<[_]> = all.into_iter().filter(|observer| observer.listens()).collect();
        Self { listens: !list.is_empty(), list }
    }
}

impl From<Arc<dyn Observer>> for Observers {
    fn from(observer: Arc<dyn Observer>) -> Self {
        [observer].into_iter().collect()
    }
}

impl<O: Observer> From<Arc<O>> for Observers {
    fn from(observer: Arc<O>) -> Self {
        Self::from(observer as Arc<dyn Observer>)
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("count", &self.list.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ServerEvent;

    /// Writes its letter down, and may panic then.
    struct Letter(char, bool, Arc<Mutex<String>>);

    impl Observer for Letter {
        fn on(&self, _event: &Event<'_>) {
            self.2.lock().expect("no test panics with it").push(self.0);
            assert!(!self.1, "a bug in the observer");
        }
    }

    #[test]
    fn one_that_panics_does_not_keep_the_others_from_being_told() {
        let told = Arc::new(Mutex::new(String::new()));
        let letter = |letter, panics| Arc::new(Letter(letter, panics, told.clone()));
        let observers = Observers::from(letter('a', false))
            .and(letter('b', true))
            .and(Arc::new(Silent))
            .and(Observers::from(letter('c', true)).and(letter('d', false)));
        observers.tell(&Event::Server(&ServerEvent::Panicked));
        assert_eq!(*told.lock().expect("it was let go of"), "abcd");
    }

    #[test]
    fn a_list_of_those_who_take_note_of_nothing_listens_to_nothing() {
        assert!(!Observers::from(Arc::new(Silent)).and(Arc::new(Silent)).listens());
        assert!(Observers::from(Arc::new(Letter('a', false, Arc::default()))).listens());
    }
}
