//! The assembled program, top to bottom: settings, parts, ports, threads, signals, the end.
//!
//! Does not know what a request is. Invariant: no port is bound before the settings were accepted,
//! and what fails to start leaves nothing running.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use seawall_admin::{Admin, Jobs, ORDERS_MAX, Order, Orders, Predecessor, State};
use seawall_core::{Event, Observers, ServerEvent};
use seawall_gateway::{Gateway, Logged};
use seawall_policy::shed::Load;
use seawall_watch::{EventLog, Recorder};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::accepted::Accepted;
use crate::exit::Exit;
use crate::jobs::server::{self as jobs, Found, Service};
use crate::listen;
use crate::load::{self, Gauge, Lag};
pub use crate::plan::Plan;
use crate::ports::Ports;
use crate::reload::{self, Reloader, Served, Stopping};
use crate::signals;
pub use crate::start_error::StartError;
use crate::upstreams::{Connect, Upstreams};
use crate::watched;
use crate::workers::Workers;

/// Holds a host that serves.
pub struct RunningHost {
    /// Where clients connect; there is one address at least.
    pub addresses: Vec<SocketAddr>,
    /// Where status and metrics are.
    pub admin_listen: SocketAddr,
    /// What was remarked on the settings, for people.
    pub warnings: Vec<String>,
    talks: bool,
    gateway: Gateway,
    observers: Observers,
    state: Arc<State>,
    reloader: Reloader,
    gauge: Gauge,
    workers: Workers,
    /// `None` if the settings had no job when this process started.
    jobs: Option<Service>,
    admin: Admin,
    /// New clients are no longer taken.
    stop: CancellationToken,
    /// Those who are still here are cut.
    cut: CancellationToken,
    orders: Receiver<Order>,
    /// Kept so that waiting for an order never ends by itself; signals and tests give orders here.
    give_orders: Orders,
    /// The server that this one replaces, until it has been told.
    predecessor: Option<Predecessor>,
}

impl RunningHost {
    /// Starts everything: when it returns, clients are served; the server is ready once it runs.
    ///
    /// # Errors
    ///
    /// Fails if the settings are refused or the machine does not give what is needed.
    pub fn start(plan: Plan) -> Result<Self, StartError> {
        let accepted = Accepted::read(&plan)?;
        let found =
            (!accepted.settings.jobs.is_empty()).then(|| Found::look(&accepted.settings.worker));
        let found = found.transpose().map_err(|error| {
            StartError::Jobs(format!("cannot start the job worker: could not {error}"))
        })?;
        let ports = Ports::bind(&plan, &accepted)?;
        let Plan { mode, strict, talks, observers, connect, .. } = plan;
        let parts = Parts::make(&accepted, mode, observers, connect)?;
        let Accepted { text, settings, warnings, files, watched } = accepted;
        let Parts { recorder, log, observers, state, load, upstreams, gateway } = parts;

        let (give_orders, orders) = mpsc::channel(ORDERS_MAX);
        let whereabouts = (ports.addresses[0], watched.source().file());
        let jobs = found.map(|found| {
            let plan = jobs::Plan::new(&settings, &upstreams.listed());
            let (worker, recorder) = (settings.worker.clone(), recorder.clone());
            Service::start(found, worker, plan, recorder, state.clone())
        });
        let jobs = jobs.transpose()?;
        state.listens(&ports.addresses, &text.name);
        if ports.predecessor.is_some() {
            // The address serves all the time, and whoever asks may be answered from here now.
            state.set_phase("serving");
        }
        let asked = jobs.as_ref().map(|jobs| jobs.admin() as Arc<dyn Jobs>);
        let offered = listen::copies(&ports.listeners)?;
        let (guard, given) = (ports.guard, give_orders.clone());
        let admin =
            Admin::start(ports.admin, state.clone(), guard, given, asked, whereabouts, offered)?;
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let lag = Arc::new(Lag::default());
        let shares = listen::share_out(ports.listeners, plan.workers)?;
        let threads = shares.len();
        let workers = Workers::start(&gateway, shares, &stop, &cut, &lag)?;
        let gauge = Gauge::new(load, lag, recorder.clone(), threads);

        observers.tell(&Event::Server(&ServerEvent::SettingsLoaded { generation: 1 }));
        let reloader = Reloader {
            served: Served::new(&settings),
            stopping: Stopping::of(&settings),
            watched,
            strict,
            files,
            gateway: gateway.clone(),
            upstreams,
            jobs: jobs.as_ref().map(Service::plan),
            worker: settings.worker,
            token: settings.admin.token,
            recorder,
            log,
            observers: observers.clone(),
            state: state.clone(),
            bound: ports.bound,
            generation: 1,
            remarks: warnings.clone(),
            text: Some(text),
            asked: VecDeque::new(),
        };
        Ok(Self {
            addresses: ports.addresses,
            admin_listen: ports.admin_listen,
            warnings,
            talks,
            gateway,
            observers,
            state,
            reloader,
            gauge,
            workers,
            jobs,
            admin,
            stop,
            cut,
            orders,
            give_orders,
            predecessor: ports.predecessor,
        })
    }

    /// Returns where orders are given, as signals give them.
    pub fn orders(&self) -> Orders {
        self.give_orders.clone()
    }

    /// Serves until a signal says stop, and then until everything is finished or cut; must be
    /// called on a runtime of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the workers running: let it end.
    pub async fn run(mut self) -> Exit {
        if let Err(error) = signals::listen(self.give_orders.clone()) {
            error!(event = "signals.failed", "cannot listen to signals: {error}");
            return self.end(Exit::Open);
        }
        if let Some(predecessor) = self.predecessor.take() {
            predecessor.tell();
        }
        // Only now: a signal that comes from here on is heard.
        self.state.set_phase("serving");
        notify(NotifyState::Ready);
        let mut lame_until: Option<Instant> = None;
        let mut poll = interval(watched::LOOK_EVERY);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sample = interval(load::SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Whichever loses is asked again in the next round; nothing is lost.
                order = self.orders.recv() => match order {
                    Some(Order::Reload { is_forced, reply }) => self.reloader.ask(is_forced, reply),
                    Some(Order::ReopenLog) => self.reloader.log.requests().reopen(),
                    Some(Order::ByHand(what, reply)) => {
                        let _ = reply.send(self.reloader.upstreams.by_hand(&what));
                    }
                    // The second one.
                    Some(Order::Stop(signal)) if lame_until.is_some() => {
                        return self.stop(Some(signal)).await;
                    }
                    Some(Order::Stop(_)) => lame_until = Some(Instant::now() + self.go_lame()),
                    Some(Order::Replaced) => return self.stop_replaced().await,
                    None => unreachable!("the host holds a sender itself"),
                },
                () = reached(lame_until) => return self.stop(None).await,
                () = self.reloader.rested() => self.reloader.answer(),
                _ = poll.tick() => self.reloader.poll(),
                _ = sample.tick() => self.gauge.sample(),
                () = all_gone(self.jobs.as_ref()) => {
                    error!(event = "jobs.ended", "the jobs' thread ended: this is a bug of Seawall");
                    return self.end(Exit::Bug);
                }
                _ = self.workers.ended() => {
                    error!(event = "worker.ended", "a worker thread ended: this is a bug of Seawall");
                    return self.end(Exit::Bug);
                }
            }
        }
    }

    /// Says everywhere that this server is about to stop; returns for how long it takes requests
    /// all the same, so that whoever sends clients here learns to send them elsewhere.
    fn go_lame(&self) -> Duration {
        let lame_duck = self.reloader.stopping.lame_duck;
        notify(NotifyState::Stopping);
        if !lame_duck.is_zero() {
            self.state.set_phase("lame_duck");
            info!(event = "host.lame_duck", "not ready any more, and stops in {lame_duck:?}");
            self.say(&format!("stopping in {lame_duck:?}; again to stop at once"));
        }
        lame_duck
    }

    /// Leaves all new clients to the process that serves in our place, finishes, and ends.
    async fn stop_replaced(mut self) -> Exit {
        self.state.set_phase("replaced");
        self.admin.leave_port();
        self.stop(None).await
    }

    /// Finishes what is in flight, cuts what is left, and ends; with a second signal, at once.
    async fn stop(mut self, second: Option<u8>) -> Exit {
        // First, so that whoever sends clients here sends them elsewhere.
        if self.state.phase() != "replaced" {
            self.state.set_phase("stopping");
        }
        let in_flight = self.gateway.in_flight();
        self.observers.tell(&Event::Server(&ServerEvent::DrainStarted { in_flight }));
        let drain = self.reloader.stopping.drain;
        self.say(&format!(
            "stopping: {in_flight} in flight, up to {drain:?} to finish; again to stop at once"
        ));
        // Before the workers close theirs: no client must wait at a socket that nobody accepts from.
        self.admin.withdraw_offer();
        self.stop.cancel();
        if let Some(jobs) = &self.jobs {
            jobs.stop();
        }
        let hurried = tokio::select! {
            // Nothing is lost: the workers that have ended are counted.
            () = all_ended(&mut self.workers, self.jobs.as_ref()) => None,
            () = sleep(drain) => Some(None),
            signal = next_stop(&mut self.orders, &mut self.admin, second) => Some(Some(signal)),
        };
        let cut = if hurried.is_some() { self.gateway.connections() } else { 0 };
        if hurried.is_some() {
            self.cut.cancel();
            if let Some(jobs) = &self.jobs {
                jobs.hurry();
            }
            tokio::select! {
                () = all_ended(&mut self.workers, self.jobs.as_ref()) => {}
                // A stuck worker cannot keep the process: its thread ends with it.
                () = sleep(CUT_GRACE) => {}
            }
        }
        self.observers.tell(&Event::Server(&ServerEvent::DrainEnded { cut }));
        let exit = match hurried {
            None => {
                self.say("stopped: everything was finished");
                Exit::Done
            }
            Some(None) => {
                self.say(&format!("stopped: {cut} connections had to be cut after {drain:?}"));
                Exit::No
            }
            Some(Some(second)) => {
                self.say(&format!("stopped at once: {cut} connections were cut"));
                Exit::Signal(second)
            }
        };
        self.end(exit)
    }

    fn say(&self, what: &str) {
        if self.talks {
            // Not with `eprintln!`, which panics when nobody reads.
            drop(writeln!(io::stderr(), "{what}"));
        }
    }

    fn end(self, exit: Exit) -> Exit {
        self.stop.cancel();
        self.cut.cancel();
        self.admin.stop();
        // Waits until what is logged is written.
        self.reloader.log.requests().write_to(None, false);
        exit
    }
}

/// Holds what does the work, before it has any.
struct Parts {
    recorder: Arc<Recorder>,
    log: Arc<EventLog>,
    observers: Observers,
    state: Arc<State>,
    load: Arc<Load>,
    upstreams: Upstreams,
    gateway: Gateway,
}

impl Parts {
    fn make(
        accepted: &Accepted,
        mode: &'static str,
        others: Observers,
        connect: Box<Connect>,
    ) -> Result<Self, StartError> {
        let recorder = Arc::new(Recorder::default());
        let log = Arc::new(EventLog::new(recorder.clone()));
        let requests = reload::requests(&accepted.settings).map_err(|why| accepted.refuse(&why))?;
        let is_whole = accepted.settings.server.gateway.logged == Logged::All;
        log.requests().write_to(requests, is_whole);
        let observers = Observers::from(log.clone()).and(others);
        let state = Arc::new(State::new(recorder.clone(), mode));
        let load = Arc::new(Load::default());
        let upstreams = Upstreams::new(recorder.clone(), observers.clone(), load.clone(), connect);
        let prepared =
            upstreams.prepare(&accepted.settings).map_err(|bad| accepted.refuse(&bad))?;
        let routes = reload::gateway_settings(&accepted.settings, &prepared.upstreams(), &recorder);
        let gateway = routes
            .and_then(|routes| Gateway::new(routes, observers.clone()))
            .map_err(|bad| accepted.refuse(&bad))?;
        upstreams.commit(prepared);
        Ok(Self { recorder, log, observers, state, load, upstreams, gateway })
    }
}

/// Tells the service manager, if there is one that wants to know.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(event = "host.notify_failed", "cannot tell the service manager: {error}");
    }
}

/// Waits until a time; for ever, if there is none.
async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// Waits until the jobs' thread has ended; for ever, if there is none.
async fn all_gone(jobs: Option<&Service>) {
    match jobs {
        Some(jobs) => jobs.ended().await,
        None => pending().await,
    }
}

/// Waits until all that was in flight is finished and every job was given back.
async fn all_ended(workers: &mut Workers, jobs: Option<&Service>) {
    workers.all_ended().await;
    if let Some(jobs) = jobs {
        jobs.ended().await;
    }
}

/// Waits for another order to stop. Another process may take the admin port meanwhile; other orders
/// are no longer carried out.
async fn next_stop(orders: &mut Receiver<Order>, admin: &mut Admin, given: Option<u8>) -> u8 {
    if let Some(signal) = given {
        return signal;
    }
    loop {
        match orders.recv().await {
            Some(Order::Stop(signal)) => return signal,
            Some(Order::Replaced) => admin.leave_port(),
            // Dropping the reply tells who asked.
            Some(Order::Reload { .. } | Order::ReopenLog | Order::ByHand(..)) => {}
            None => unreachable!("the host holds a sender itself"),
        }
    }
}

/// How long the workers may take to cut what is left.
const CUT_GRACE: Duration = Duration::from_secs(1);
