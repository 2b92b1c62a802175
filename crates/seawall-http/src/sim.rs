//! Simulated upstreams: they hang, reset, drip and run full like real ones, in this process.
//!
//! Does not know: what is decided for a request; that is [`seawall_policy::sim`]'s, from a seed.
//! What is answered follows from the request alone, so that every run looks the same.

mod address;
mod drip;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use seawall_core::{Attempt, Cause, Chance, Fault, Step};
use seawall_policy::sim::{BusySlot, Engine, Scenario, Then};
use seawall_wire::{Fields, name};
use tokio::time::{Instant, sleep};

use crate::pace::Pace;
use crate::paced::Paced;
use crate::{BadAddress, Body, Request, Response};
use drip::Drip;

/// Plays the part of an upstream; clones are the same one.
///
/// # Examples
///
/// ```
/// use seawall_policy::sim::Scenario;
/// use seawall_http::{Simulation, Transport};
///
/// let simulation = Simulation::new(Scenario::calm(), 7);
/// let upstream = Transport::simulated(simulation.clone());
/// // Later, while requests come and go:
/// simulation.play(Scenario::outage());
/// assert_eq!(simulation.phase(), "normal");
/// ```
#[derive(Clone)]
pub struct Simulation(Arc<Mutex<Playing>>);

struct Playing {
    engine: Engine,
    seed: u64,
    body_rate_min: u64,
}

impl Simulation {
    /// Starts a scenario now. The same seed and the same arrivals give the same answers.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let engine = Engine::new(scenario, seed, now());
        Self(Arc::new(Mutex::new(Playing { engine, seed, body_rate_min: 0 })))
    }

    /// Starts what stands after `sim:` in an address: `calm`, `slow`, `storm` or `outage`, and
    /// what is to be different (`calm?latency=80ms&errors=5%&capacity=50`).
    ///
    /// # Errors
    ///
    /// Fails on a name, a key or a value that means nothing.
    pub fn named(name: &str) -> Result<Self, BadAddress> {
        let (scenario, seed) = address::parse(name)?;
        Ok(Self::new(scenario, seed))
    }

    /// Starts another scenario now. Requests that are being worked on keep their fate.
    pub fn play(&self, scenario: Scenario) {
        let mut playing = self.lock();
        playing.engine = Engine::new(scenario, playing.seed, now());
    }

    /// Returns the name of the phase that is being played.
    pub fn phase(&self) -> String {
        self.lock().engine.phase(now()).name.clone()
    }

    /// Returns how many requests wait for a place at the upstream.
    pub fn waiting(&self) -> usize {
        self.lock().engine.waiting(now())
    }

    pub(crate) fn set_body_rate_min(&self, rate: u64) {
        self.lock().body_rate_min = rate;
    }

    /// Plays what becomes of one request.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        attempt: &Attempt,
    ) -> Result<Response<Body>, Fault> {
        let (head, mut body) = request.into_parts();
        while let Some(frame) = body.frame().await {
            // A client that fails to send its body is not the upstream's business.
            frame?;
        }
        let (plan, body_rate_min) = {
            let mut playing = self.lock();
            (playing.engine.arrive(now()), playing.body_rate_min)
        };
        let working = Working { simulation: self, place: plan.place };
        if !plan.delay.is_zero() {
            sleep(plan.delay).await;
        }
        working.finish();
        match plan.then {
            Then::Answer { status } => Ok(answer(&head.method, &head.uri, status)),
            Then::Hang => std::future::pending().await,
            Then::Reset => Err(Fault::upstream(Step::Head, Cause::Reset)),
            Then::Refuse => Err(Fault::upstream(Step::Connect, Cause::Refused).unsent()),
            Then::Drip { bytes_per_second } => {
                let text = weather(&head.uri);
                let drip = Drip::new(Bytes::from(text), bytes_per_second);
                let paced = Paced::new(drip, Pace::of(&Fields::default(), attempt, body_rate_min));
                Ok(respond(StatusCode::OK, Body::boxed(paced)))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Playing> {
        // The engine is whole between calls, and no call of it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

/// Keeps a place at the upstream; a request that is given up leaves it to the next.
struct Working<'a> {
    simulation: &'a Simulation,
    place: Option<BusySlot>,
}

impl Working<'_> {
    fn finish(mut self) {
        self.place = None;
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.simulation.lock().engine.leave(place, now());
        }
    }
}

/// Returns tokio's clock, so that simulations run under paused time.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn answer(method: &Method, uri: &Uri, status: u16) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = match status.is_success() {
        true => weather(uri),
        false => format!("{{\"error\":\"simulated\",\"status\":{}}}", status.as_u16()),
    };
    let mut response = respond(status, Body::empty());
    if *method == Method::HEAD {
        response.headers_mut().insert_number(name::CONTENT_LENGTH, text.len() as u64);
    } else {
        *response.body_mut() = Body::full(text);
    }
    response
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.head_mut().status = status;
    response.headers_mut().insert(name::CONTENT_TYPE, "application/json");
    response
}

/// Writes the weather of a city: the value of `q` or `city`, or else the last part of the path.
fn weather(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let named = pairs.find(|(key, _)| matches!(*key, "q" | "city")).map(|(_, value)| value);
    let last = uri.path().rsplit('/').find(|part| !part.is_empty());
    let city = named.or(last).unwrap_or("somewhere");
    let city = percent_decode_str(city).decode_utf8_lossy();
    // FNV-1a: any hash that is the same on every machine would do.
    let hash = city.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut chance = Chance::seeded(hash);
    let celsius = (chance.unit() * 45.0).floor() - 10.0;
    let sky = SKIES[(chance.unit() * SKIES.len() as f64) as usize];
    let wind = (chance.unit() * 20.0).floor();
    serde_json::json!({ "city": city, "celsius": celsius, "sky": sky, "wind_m_s": wind })
        .to_string()
}

const SKIES: [&str; 6] = ["clear", "cloudy", "rain", "snow", "fog", "thunder"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seawall_core::Deadline;
    use seawall_policy::sim::{Behaviour, Capacity, Latency, ScenarioPhase};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn attempt() -> Attempt {
        let deadline = Deadline::after(now(), 60 * SECOND);
        Attempt::first(deadline, SECOND, 10 * SECOND)
    }

    fn simulation(behaviour: Behaviour) -> Simulation {
        let phase = ScenarioPhase { name: "only".to_owned(), lasts: SECOND, behaviour };
        Simulation::new(Scenario { phases: vec![phase], repeat: false }, 1)
    }

    fn steady() -> Behaviour {
        let latency = Latency { median: SECOND, p99: SECOND };
        Behaviour { latency, errors: 0.0, ..Behaviour::default() }
    }

    async fn get(simulation: &Simulation, target: &str) -> Result<Response<Body>, Fault> {
        let request = http::Request::get(target).body(Body::empty()).unwrap().into();
        simulation.send(request, &attempt()).await
    }

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec())
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_city_has_the_same_weather_in_every_run() {
        let simulation = simulation(steady());
        let first = text(get(&simulation, "/v1/oslo").await.unwrap()).await;
        assert!(first.starts_with(r#"{"celsius":"#) && first.contains(r#""city":"oslo""#));
        assert_eq!(text(get(&simulation, "/v1?q=oslo").await.unwrap()).await, first);
        assert_ne!(text(get(&simulation, "/v1/bergen").await.unwrap()).await, first);
        let odd = text(get(&simulation, "/%22%5C%0a").await.unwrap()).await;
        assert!(serde_json::from_str::<serde_json::Value>(&odd).is_ok(), "{odd}");
    }

    #[tokio::test(start_paused = true)]
    async fn work_takes_its_time() {
        let began = Instant::now();
        get(&simulation(steady()), "/oslo").await.unwrap();
        assert_eq!(began.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_is_down_refuses_and_was_sent_nothing() {
        let down = simulation(Behaviour { is_down: true, ..steady() });
        let fault = get(&down, "/").await.unwrap_err();
        assert_eq!((fault.step, fault.cause), (Step::Connect, Cause::Refused));
        assert_eq!(fault.sent, seawall_core::Sent::Unsent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_and_a_hang_look_like_real_ones() {
        let reset = simulation(Behaviour { resets: 1.0, ..steady() });
        assert_eq!(get(&reset, "/").await.unwrap_err().cause, Cause::Reset);
        let hang = simulation(Behaviour { hangs: 1.0, ..steady() });
        assert!(tokio::time::timeout(600 * SECOND, get(&hang, "/")).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_slow_and_whole() {
        let drips = Behaviour { drips: 1.0, drip_bytes_per_second: 10, ..steady() };
        let began = Instant::now();
        let body = text(get(&simulation(drips.clone()), "/oslo").await.unwrap()).await;
        assert!(body.ends_with('}'));
        assert_eq!(began.elapsed(), SECOND + Duration::from_millis(100 * body.len() as u64));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_below_the_floor_is_cut() {
        let drips = Behaviour { drips: 1.0, drip_bytes_per_second: 10, ..steady() };
        let simulation = simulation(drips);
        simulation.set_body_rate_min(240);
        let response = get(&simulation, "/oslo").await.unwrap();
        let fault = response.into_body().collect().await.unwrap_err();
        assert_eq!((fault.step, fault.cause), (Step::Body, Cause::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_given_up_leaves_its_place_to_the_next() {
        let capacity = Some(Capacity { slots: 1, queue: 0 });
        let simulation = simulation(Behaviour { capacity, ..steady() });
        let first = tokio::time::timeout(SECOND / 2, get(&simulation, "/first")).await;
        assert!(first.is_err());
        assert_eq!(get(&simulation, "/second").await.unwrap().status(), 200);
        let both = tokio::join!(get(&simulation, "/third"), get(&simulation, "/fourth"));
        let statuses = (both.0.unwrap().status().as_u16(), both.1.unwrap().status().as_u16());
        assert_eq!(statuses, (200, 503));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scenario_can_be_changed_while_it_plays() {
        let simulation = simulation(steady());
        simulation.play(Scenario::outage());
        assert_eq!(simulation.phase(), "normal");
        tokio::time::advance(50 * SECOND).await;
        assert_eq!(simulation.phase(), "down");
        assert_eq!(get(&simulation, "/").await.unwrap_err().cause, Cause::Refused);
    }
}
