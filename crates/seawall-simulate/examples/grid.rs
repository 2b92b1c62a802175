//! The grid of overloads: what a policy with nothing set does at every corner of it.
//!
//!     cargo run --release -p seawall-simulate --example grid -- [standard] [--all] [--cell NUMBER]
//!
//! Each cell is an upstream that was at half of its capacity, is asked for more, and is left alone
//! again. Printed are the median and the worst cells by three measures: the share of what was
//! possible that callers got within their patience meanwhile, how long it took until they got it
//! all again, and how many calls were refused where the upstream could have done them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seawall_core::Fate;
use seawall_policy::Params;
use seawall_policy::sim::Latency;
use seawall_simulate::{
    Clients, Setup, SimulatedUpstream, SimulationReport, Stage, Work, healthy, simulate,
};

/// Describes one corner.
#[derive(Clone, Copy, Debug)]
struct Cell {
    service: f64,
    places: u32,
    patience: f64,
    retries: u32,
    cancels: bool,
    load: f64,
    gateways: u16,
    is_mixed: bool,
}

/// Holds what became of it.
#[derive(Clone, Copy, Debug)]
struct Found {
    cell: Cell,
    number: usize,
    /// The share of what was possible while it was asked for more.
    goodput: f64,
    /// Until all was well again, as a part of what is allowed.
    recovery: f64,
    /// The share of calls that were refused.
    refused: f64,
}

impl Cell {
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for service in [0.005, 0.020, 0.1, 0.5, 2.0] {
            for places in [5, 50, 500] {
                for patience in [0.3, 1.0, 3.0, 10.0] {
                    for retries in [0, 3] {
                        for cancels in [true, false] {
                            for load in [0.5, 0.9, 1.5, 4.0, 20.0] {
                                for gateways in [1, 4] {
                                    for is_mixed in [false, true] {
                                        cells.push(Self {
                                            service,
                                            places,
                                            patience,
                                            retries,
                                            cancels,
                                            load,
                                            gateways,
                                            is_mixed,
                                        });
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        // Where patience is at least two service times, the dear ones' too.
        let longest = |cell: &Self| cell.service * if cell.is_mixed { 10.8 } else { 1.08 };
        cells.retain(|cell| cell.patience >= 2.0 * longest(cell) && cell.calls() < CALLS_MAX);
        cells
    }

    /// Returns the mean time of the work on a request, in seconds.
    fn mean(&self) -> f64 {
        // Lognormal with a p99 of 2.5 medians; a mixed one has a tenth of work that is ten times
        // as long.
        let usual = self.service * 1.08;
        if self.is_mixed { usual * 1.9 } else { usual }
    }

    fn capacity(&self) -> f64 {
        f64::from(self.places) / self.mean()
    }

    /// Returns how long it is asked for more.
    fn burst(&self) -> f64 {
        (10.0 * self.mean()).max(5.0)
    }

    fn after(&self) -> f64 {
        3.0 * self.allowed()
    }

    /// Returns how long it may take until all is well again.
    fn allowed(&self) -> f64 {
        (20.0 * self.mean()).max(5.0)
    }

    fn calls(&self) -> f64 {
        let of = |load: f64, seconds: f64| self.capacity() * load * seconds;
        of(self.load, self.burst()) * f64::from(1 + self.retries)
            + of(BEFORE, self.allowed() + self.after())
    }

    fn setup(&self, params: Params) -> Setup {
        let seconds = Duration::from_secs_f64;
        let median = seconds(self.service);
        let latency = |factor: f64| Latency {
            median: median.mul_f64(factor),
            p99: median.mul_f64(2.5 * factor),
        };
        let behaviour = healthy(self.places, 1_000_000, median, median.mul_f64(2.5));
        let work = match self.is_mixed {
            true => Work::Bimodal { share: 0.1, slow: latency(10.0) },
            false => Work::Usual,
        };
        let stage = |name: &str, lasts: f64, load: f64| Stage {
            work,
            ..Stage::new(name, seconds(lasts), behaviour.clone(), load * self.capacity())
        };
        Setup {
            gateways: self.gateways,
            upstream: SimulatedUpstream { endpoints: 1, cancels: self.cancels },
            clients: Clients {
                timeout: seconds(self.patience),
                retries: self.retries,
                ..Clients::default()
            },
            stages: vec![
                stage("before", self.allowed(), BEFORE),
                stage("burst", self.burst(), self.load),
                stage("after", self.after(), BEFORE),
            ],
            lasts: seconds(self.allowed() + self.burst() + self.after()),
            step: seconds(self.allowed() / 50.0),
            ..Setup::new(params)
        }
    }

    /// Returns how long after the burst callers did not get what they wanted, at last.
    fn recovery(&self, report: &SimulationReport) -> f64 {
        let end = self.allowed() + self.burst();
        let width = (10.0 * self.mean()).max(1.0);
        let steps = (width / report.step.as_secs_f64()).ceil() as usize;
        let after: Vec<_> = report.course.iter().filter(|step| step.at >= end).collect();
        let bad = after.windows(steps).rposition(|window| {
            let arrivals: u32 = window.iter().map(|step| step.arrivals).sum();
            let good: u32 = window.iter().map(|step| step.good).sum();
            // Who came at the end of it is answered after it, and chance has its part.
            let wanted = f64::from(arrivals);
            f64::from(good) < 0.95 * wanted - 2.5 * wanted.sqrt()
        });
        bad.map_or(0.0, |place| (after[place].at - end).max(0.0) + report.step.as_secs_f64())
    }

    fn run(&self, number: usize, params: Params, is_shown: bool) -> Found {
        let report = simulate(&self.setup(params));
        assert_eq!(report.held, 0, "{self:?}");
        let burst = &report.stages[1];
        let fates = &burst.counts.fates;
        let ended: u64 = fates.iter().sum();
        let refused: u64 = Fate::ALL
            .iter()
            .filter(|fate| fate.as_str().starts_with("rejected"))
            .map(|fate| fates[fate.index()])
            .sum();
        if is_shown {
            for step in &report.course {
                println!(
                    "{:7.2}s asked {:6} good {:6} attempts {:6} working {:6.1} queued {:7.1} \
                     limit {:6.1} in flight {:6.1} waiting {:6.1} open {:.1}",
                    step.at,
                    step.arrivals,
                    step.good,
                    step.attempts,
                    step.working,
                    step.queued,
                    step.limit,
                    step.in_flight,
                    step.waiting,
                    step.open
                );
            }
            for stage in &report.stages {
                println!("{} {:.3} {:?}", stage.name, stage.of_possible(), stage.counts);
            }
        }
        Found {
            cell: *self,
            number,
            goodput: match self.load < 1.0 {
                true => burst.counts.good as f64 / (burst.counts.good + burst.counts.lost) as f64,
                false => {
                    let possible = self.capacity() * burst.seconds();
                    burst.counts.good as f64 / (burst.counts.arrivals as f64).min(possible)
                }
            },
            recovery: self.recovery(&report) / self.allowed(),
            refused: refused as f64 / ended.max(1) as f64,
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| {
        let place = words.iter().position(|word| word == flag)?;
        words.get(place + 1)
    };
    let params = Params::standard;
    let cells = Cell::all();
    if let Some(number) = after("--cell") {
        let number: usize = number.parse().expect("a cell's number");
        println!("{:?}", cells[number]);
        println!("{:?}", cells[number].run(number, params(), true));
        return;
    }
    let every: usize = after("--every").map_or(1, |every| every.parse().expect("a number"));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let number = number * every;
                    let Some(cell) = cells.get(number) else { break };
                    let one = cell.run(number, params(), false);
                    found.lock().expect("nobody panics under it").push(one);
                }
            });
        }
    });
    let found = found.into_inner().expect("nobody panics under it");
    show(&found, words.iter().any(|word| word == "--all"));
}

fn show(found: &[Found], is_all: bool) {
    let (calm, busy): (Vec<Found>, Vec<Found>) =
        found.iter().partition(|found| found.cell.load < 1.0);
    println!("{} cells, {} of them above capacity", found.len(), busy.len());
    table("goodput of what was possible, above capacity", &busy, is_all, |found| found.goodput);
    table("goodput of what was possible, below capacity", &calm, is_all, |found| found.goodput);
    table("recovery, of what is allowed", found, is_all, |found| -found.recovery);
    table("refused below capacity", &calm, is_all, |found| -found.refused);
}

/// Prints quantiles of a measure, the worst cells, and their share that miss an aim.
fn table(title: &str, found: &[Found], is_all: bool, by: impl Fn(&Found) -> f64) {
    let mut sorted: Vec<&Found> = found.iter().collect();
    sorted.sort_by(|one, other| by(one).total_cmp(&by(other)));
    let at = |share: f64| by(sorted[((sorted.len() - 1) as f64 * share) as usize]).abs();
    println!(
        "\n{title}: worst {:.4}, 1 % {:.4}, 5 % {:.4}, 10 % {:.4}, 25 % {:.4}, median {:.4}",
        at(0.0),
        at(0.01),
        at(0.05),
        at(0.1),
        at(0.25),
        at(0.5)
    );
    let shown = if is_all { sorted.len() } else { 14 };
    for one in sorted.iter().take(shown) {
        let Cell { service, places, patience, retries, cancels, load, gateways, is_mixed } =
            one.cell;
        println!(
            "  #{:<5} {:.4}  {service:5} s x {places:3}, patience {patience:4} s, {retries} \
             retries, {} {}, load {load:4}, {gateways} gateways",
            one.number,
            by(one).abs(),
            if cancels { "cancels " } else { "works on" },
            if is_mixed { "mixed" } else { "one kind" },
        );
    }
}

/// The load before and after.
const BEFORE: f64 = 0.5;
const CALLS_MAX: f64 = 600_000.0;
