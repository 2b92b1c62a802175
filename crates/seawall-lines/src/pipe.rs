//! A pipe between two stages: bounded in bytes, and whatever ends one side is seen on the other.
//!
//! Does not know: what flows, or which tasks the ends are on. It has two thresholds, so that a
//! writer that was stopped does not start and stop with each item. Invariants: an item that was put
//! in comes out, unless the reader left; an end that nobody spoke of is an error, never the end.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes a pipe that holds up to `bytes_max`, as `weigh` weighs its items; one item it always takes.
///
/// A source, its stages and a sink are futures that are awaited together, each with its ends. If
/// one fails, the others see it and end: the source because nobody reads, the sink because it is
/// given the error.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use seawall_lines::pipe::{Broken, pipe, stage};
///
/// let (mut words, source) = pipe::<String, &str>(1024, String::len);
/// let (sink, mut lengths) = pipe::<usize, &str>(1024, |_| 8);
/// let write = async {
///     for word in ["oslo", "rome"] {
///         words.send(word.to_owned()).await?;
///     }
///     words.finish();
///     Ok::<_, seawall_lines::pipe::Gone>(())
/// };
/// let count = stage(source, sink, async |word: String| Ok(word.len()));
/// let read = async {
///     let mut sum = 0;
///     while let Some(length) = lengths.next().await? {
///         sum += length;
///     }
///     Ok::<_, Broken<&str>>(sum)
/// };
/// let (_, _, sum) = tokio::join!(write, count, read);
/// assert_eq!(sum, Ok(8));
/// # }
/// ```
pub fn pipe<T, E>(bytes_max: usize, weigh: fn(&T) -> usize) -> (Inlet<T, E>, Outlet<T, E>) {
    let shared = Arc::new(Shared(Mutex::new(State {
        items: VecDeque::new(),
        bytes: 0,
        bytes_max,
        is_paused: false,
        end: None,
        is_reader_gone: false,
        writer: None,
        reader: None,
    })));
    (Inlet { shared: Arc::clone(&shared), weigh }, Outlet { shared })
}

/// Takes items in.
#[derive(Debug)]
pub struct Inlet<T, E> {
    shared: Arc<Shared<T, E>>,
    weigh: fn(&T) -> usize,
}

/// Gives items out.
#[derive(Debug)]
pub struct Outlet<T, E> {
    shared: Arc<Shared<T, E>>,
}

/// Says that nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Says why no more items come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken<E> {
    /// The writer failed, with this.
    Failed(E),
    /// The writer was dropped before it was done: cancelled, or it panicked.
    Dropped,
}

/// Carries items from one pipe to the next, each through `work`, until the end.
///
/// # Errors
///
/// There is nobody to tell but the two ends: an error of `work` goes to the reader of `to`, as does
/// what broke `from`, and then whoever writes to `from` sees that nobody reads.
///
/// # Cancel safety
///
/// Dropping the future drops both ends, which both sides see.
pub async fn stage<T, U, E, W>(mut from: Outlet<T, E>, mut to: Inlet<U, E>, mut work: W)
where
    W: AsyncFnMut(T) -> Result<U, E>,
{
    loop {
        match from.next().await {
            Ok(Some(item)) => match work(item).await {
                Ok(item) => {
                    if to.send(item).await.is_err() {
                        return;
                    }
                }
                Err(error) => return to.fail(error),
            },
            Ok(None) => return to.finish(),
            Err(Broken::Failed(error)) => return to.fail(error),
            // Nobody spoke, so neither does this.
            Err(Broken::Dropped) => return,
        }
    }
}

impl<T, E> Inlet<T, E> {
    /// Puts an item in, when there is room.
    ///
    /// # Errors
    ///
    /// Says that nobody reads any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the item. Where it must not be lost, wait for [`Inlet::room`] and
    /// then [`Inlet::put`] it.
    pub async fn send(&mut self, item: T) -> Result<(), Gone> {
        self.room().await?;
        self.put(item)
    }

    /// Waits until there is room for an item.
    ///
    /// # Errors
    ///
    /// Says that nobody reads any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does nothing.
    pub async fn room(&mut self) -> Result<(), Gone> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.is_reader_gone {
                return Poll::Ready(Err(Gone));
            }
            if state.is_paused {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Puts an item in at once, room or not: wait for [`Inlet::room`] before each.
    ///
    /// # Errors
    ///
    /// Says that nobody reads any more; the item is dropped.
    pub fn put(&mut self, item: T) -> Result<(), Gone> {
        let weight = (self.weigh)(&item);
        let mut state = self.shared.lock();
        if state.is_reader_gone {
            return Err(Gone);
        }
        state.bytes += weight;
        state.is_paused = state.bytes >= state.bytes_max;
        state.items.push_back((item, weight));
        let reader = state.reader.take();
        wake(state, reader);
        Ok(())
    }

    /// Says that all items are in.
    pub fn finish(self) {
        self.end(Ok(()));
    }

    /// Says that no more items come, and why. Those that are in come out first.
    pub fn fail(self, error: E) {
        self.end(Err(Broken::Failed(error)));
    }

    /// Waits until nobody reads any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does nothing.
    pub async fn gone(&mut self) {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.is_reader_gone {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn end(&self, end: Result<(), Broken<E>>) {
        let mut state = self.shared.lock();
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        wake(state, reader);
    }
}

impl<T, E> Drop for Inlet<T, E> {
    fn drop(&mut self) {
        // Unless something else was said before.
        self.end(Err(Broken::Dropped));
    }
}

impl<T, E> Outlet<T, E> {
    /// Takes the next item out; nothing when all have come.
    ///
    /// # Errors
    ///
    /// Says why no more come: once, and then there is nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<T>, Broken<E>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Broken<E>>> {
        let mut state = self.shared.lock();
        if let Some((item, weight)) = state.items.pop_front() {
            state.bytes -= weight;
            let mut writer = None;
            // Half: a writer that starts again has something to do.
            if state.is_paused && state.bytes <= state.bytes_max / 2 {
                state.is_paused = false;
                writer = state.writer.take();
            }
            wake(state, writer);
            return Poll::Ready(Ok(Some(item)));
        }
        match state.end.replace(Ok(())) {
            Some(end) => Poll::Ready(end.map(|()| None)),
            None => {
                state.end = None;
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T, E> Drop for Outlet<T, E> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_reader_gone = true;
        let items = std::mem::take(&mut state.items);
        let writer = state.writer.take();
        wake(state, writer);
        drop(items);
    }
}

#[derive(Debug)]
struct Shared<T, E>(Mutex<State<T, E>>);

#[derive(Debug)]
struct State<T, E> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    bytes_max: usize,
    /// Whether the writer waits until half of it is gone.
    is_paused: bool,
    end: Option<Result<(), Broken<E>>>,
    is_reader_gone: bool,
    /// There is one writer and one reader, so one of each can wait.
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl<T, E> Shared<T, E> {
    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        // Nothing in here can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever waits, once the lock is free: foreign code never runs under it.
fn wake<T, E>(state: MutexGuard<'_, State<T, E>>, waker: Option<Waker>) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads any more")
    }
}

impl Error for Gone {}

impl<E> fmt::Display for Broken<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(_) => f.write_str("what comes before has failed"),
            Self::Dropped => f.write_str("what comes before was dropped before it was done"),
        }
    }
}

impl<E: Error + 'static> Error for Broken<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Dropped => None,
        }
    }
}
