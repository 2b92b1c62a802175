//! An open-loop load generator: requests start when they are due, whatever became of the others.
//!
//! A closed loop cannot show a collapse: it waits for the server that it should overload.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// Callers that want an answer by a deadline and try again if there is none.
pub(crate) struct Callers {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// How long a caller waits for each of its tries.
    pub(crate) deadline: Duration,
    /// How many more times it tries.
    pub(crate) retries: u32,
}

/// What became of the callers of one phase.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many there were.
    pub(crate) arrivals: usize,
    /// How many had a 200 in time.
    pub(crate) good: usize,
    /// How long those took, in ascending order.
    pub(crate) took: Vec<Duration>,
}

impl Tally {
    /// Returns the time within which this share of the good ones had their answer.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get((last as f64 * share) as usize).copied().unwrap_or(Duration::MAX)
    }
}

impl Callers {
    /// Lets callers arrive at a steady rate for a while, and waits until all of them are done.
    pub(crate) async fn arrive(self: &Arc<Self>, per_second: u32, lasting: Duration) -> Tally {
        let mut phases = self.phases(&[(per_second, lasting)]).await;
        phases.remove(0)
    }

    /// The same with several rates after each other, without a pause between them.
    pub(crate) async fn phases(self: &Arc<Self>, phases: &[(u32, Duration)]) -> Vec<Tally> {
        let pool = Arc::new(Pool::default());
        let mut running: Vec<JoinSet<Option<Duration>>> = Vec::new();
        let mut due = Instant::now();
        for (per_second, lasting) in phases {
            let mut callers = JoinSet::new();
            let step = Duration::from_secs(1) / *per_second;
            let end = due + *lasting;
            while due < end {
                sleep_until(due.into()).await;
                let (own, pool) = (Arc::clone(self), Arc::clone(&pool));
                callers.spawn(async move { own.call(&pool).await });
                due += step;
            }
            running.push(callers);
        }
        let mut tallies = Vec::new();
        for callers in running {
            let ended = callers.join_all().await;
            let mut took: Vec<Duration> = ended.iter().flatten().copied().collect();
            took.sort();
            tallies.push(Tally { arrivals: ended.len(), good: took.len(), took });
        }
        tallies
    }

    /// Makes one caller: tries until an answer comes in time, and says how long that one took.
    async fn call(&self, pool: &Pool) -> Option<Duration> {
        for number in 0..=self.retries {
            if number > 0 {
                // A caller that was refused waits a little, not always the same.
                let wait = pool.draw(100);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            let start = Instant::now();
            if let Ok(Some(200)) = timeout(self.deadline, self.ask(pool)).await {
                return Some(start.elapsed());
            }
        }
        None
    }

    /// Sends one request and reads its whole answer; dropped at the deadline, it hangs up.
    async fn ask(&self, pool: &Pool) -> Option<u16> {
        let idle = pool.take();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await.ok()?;
                stream.set_nodelay(true).ok()?;
                stream
            }
        };
        let request = format!("GET {} HTTP/1.1\r\nhost: load\r\n\r\n", self.path);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
            let Some((status, end, keep)) = whole(&bytes) else { continue };
            if bytes.len() >= end {
                if keep {
                    pool.put(stream);
                }
                return Some(status);
            }
        }
    }
}

/// Reads the status and the length of an answer, once its head is there.
fn whole(bytes: &[u8]) -> Option<(u16, usize, bool)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse().ok();
    Some((status, end + length.unwrap_or(0), !head.contains("connection: close")))
}

/// Connections between requests.
#[derive(Default)]
struct Pool {
    idle: Mutex<Vec<TcpStream>>,
    drawn: AtomicUsize,
}

impl Pool {
    fn take(&self) -> Option<TcpStream> {
        let mut idle = self.idle.lock().unwrap();
        while let Some(stream) = idle.pop() {
            // One that the server has ended in the meantime reads as ended.
            let mut byte = [0; 1];
            let fresh = stream.try_read(&mut byte);
            if matches!(fresh, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock) {
                return Some(stream);
            }
        }
        None
    }

    fn put(&self, stream: TcpStream) {
        self.idle.lock().unwrap().push(stream);
    }

    /// Draws from 0 to `bound`, spread evenly and the same in every run.
    fn draw(&self, bound: u64) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed) as u64;
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % bound
    }
}
