//! Measures how many calls a second of processor time the simulator makes.

use std::time::{Duration, Instant};

use seawall_policy::Params;
use seawall_simulate::{Setup, Stage, healthy, simulate};

fn main() {
    for adaptive in [false, true] {
        let mut params = Params::standard();
        params.adaptive = adaptive.then(Default::default);
        let behaviour = healthy(250, 1000, Duration::from_millis(20), Duration::from_millis(80));
        let stage = Stage::new("steady", Duration::from_secs(400), behaviour, 5_000.0);
        let setup =
            Setup { stages: vec![stage], lasts: Duration::from_secs(400), ..Setup::new(params) };
        let begun = Instant::now();
        let report = simulate(&setup);
        let took = begun.elapsed().as_secs_f64();
        let calls = report.total.counts.calls;
        println!(
            "{calls} calls in {took:.2} s: {:.2} million/s {:?} {:?} {:.1} {:?} held {}",
            calls as f64 / took / 1e6,
            report.total.counts.fates,
            report.total.quantiles,
            report.total.goodput(),
            report.course.iter().map(|s| s.limit as u32).step_by(10).collect::<Vec<_>>(),
            report.held
        );
    }
}
