//! The assembled program, top to bottom: settings, parts, ports, threads, signals, the end.
//!
//! Does not know what a request is. Invariant: no port is bound before the settings were accepted,
//! and what fails to start leaves nothing running.

use std::fmt::Display;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Event, Observer};
use seawall_gateway::Gateway;
use seawall_policy::shed::Load;
use seawall_watch::{EventLog, Recorder};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::admin::{self, Admin};
use crate::exit::Exit;
use crate::jobs::{self, Opened, Service};
use crate::listen::{self, CannotListen};
use crate::load::{self, Gauge, Lag};
use crate::reload::{self, Bound, Reloader, Served};
use crate::settings::{Loaded, Meant, Problem, Report, Source, Text};
use crate::state::{ORDERS_MAX, Order, Orders, State};
use crate::targets::{Connect, Targets};
use crate::watched::{self, Watched};
use crate::workers::Workers;
use crate::{files, signals};

/// Says what to run.
pub struct Plan {
    /// Where the settings come from.
    pub source: Source,
    /// `run` or `demo`.
    pub mode: &'static str,
    /// Stands in for `server.listen`.
    pub listen: Option<SocketAddr>,
    /// Stands in for `admin.listen`.
    pub admin_listen: Option<SocketAddr>,
    /// Whether warnings refuse, too.
    pub strict: bool,
    /// How many worker threads; at least one.
    pub workers: usize,
    /// Whether it says on stderr that it stops, where nobody reads logs.
    pub talks: bool,
    /// Who else is told of every event, on the thread where it happened.
    pub observer: Option<Arc<dyn Observer>>,
    /// Makes the way to an upstream.
    pub connect: Box<Connect>,
}

/// Says why the host did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings were refused.
    #[error("settings refused")]
    Settings(Report),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// Too few files may be open.
    #[error(transparent)]
    Files(#[from] files::TooFew),
    /// The operating system gave us no thread, no timer or no signals.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// Jobs cannot be worked off.
    #[error("{0}")]
    Jobs(String),
}

impl StartError {
    /// Returns the code that the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Settings,
            Self::Listen(_) | Self::Files(_) | Self::System(_) | Self::Jobs(_) => Exit::Open,
        }
    }

    /// Returns the whole of it, for people.
    pub fn human(&self, color: bool) -> String {
        match self {
            Self::Settings(report) => report.human(color),
            Self::Listen(cannot) => format!("error: {cannot}\n{}\n", cannot.advice()),
            Self::Files(_) => format!("error: {self}\nhelp: raise it with `ulimit -n 65536`\n"),
            Self::System(_) | Self::Jobs(_) => format!("error: {self}\n"),
        }
    }
}

/// Holds a host that serves.
pub struct Host {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where status and metrics are.
    pub admin_listen: SocketAddr,
    /// What was remarked on the settings, for people.
    pub warnings: Vec<String>,
    talks: bool,
    gateway: Gateway,
    observer: Arc<dyn Observer>,
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
    orders: mpsc::Receiver<Order>,
    /// Kept so that waiting for an order never ends by itself; signals and tests give orders here.
    give_orders: Orders,
}

impl Host {
    /// Starts everything: when it returns, clients are served.
    ///
    /// # Errors
    ///
    /// Fails if the settings are refused or the machine does not give what is needed.
    pub fn start(plan: Plan) -> Result<Self, StartError> {
        let accepted = Accepted::read(&plan)?;
        // First: a database may be long in coming, and nobody is let in meanwhile.
        let opened =
            (!accepted.meant.jobs.is_empty()).then(|| Opened::open(&accepted.meant.worker));
        let opened = opened.transpose().map_err(|cannot| StartError::Jobs(cannot.to_string()))?;
        let ports = Ports::bind(&plan, &accepted)?;
        let Plan { mode, listen, admin_listen, strict, talks, observer, connect, .. } = plan;
        let parts = Parts::make(&accepted, mode, observer, connect)?;
        let Accepted { text, meant, warnings, files, watched } = accepted;
        let Parts { recorder, observer, state, load, targets, gateway } = parts;

        let (give_orders, orders) = mpsc::channel(ORDERS_MAX);
        let whereabouts = (ports.listen, watched.source().file());
        let jobs = opened.map(|opened| {
            let plan = jobs::Plan::new(&meant, &targets.listed());
            opened.begin(plan, meant.server.drain, recorder.clone())
        });
        let desk = jobs.as_ref().map(Service::desk);
        let (key, given) = (ports.key, give_orders.clone());
        let admin = Admin::start(ports.admin, state.clone(), key, given, desk, whereabouts)?;
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let lag = Arc::new(Lag::default());
        let threads = ports.listeners.len();
        let workers = Workers::start(&gateway, ports.listeners, &stop, &cut, &lag)?;
        let gauge = Gauge::new(load, lag, recorder.clone(), threads);

        state.serves(ports.listen, &text.name);
        observer.on(&Event::SettingsLoaded { generation: 1 });
        let bound = Bound {
            listen: listen.is_none().then_some(meant.server.listen),
            admin: admin_listen.is_none().then_some(meant.admin.listen),
        };
        let reloader = Reloader {
            served: Served::new(&meant),
            drain: meant.server.drain,
            watched,
            strict,
            files,
            gateway: gateway.clone(),
            targets,
            jobs: jobs.as_ref().map(Service::plan),
            worker: meant.worker,
            token: meant.admin.token,
            recorder,
            observer: observer.clone(),
            state: state.clone(),
            bound,
            generation: 1,
            remarks: warnings.clone(),
            text: Some(text),
            asked: VecDeque::new(),
        };
        Ok(Self {
            listen: ports.listen,
            admin_listen: ports.admin_listen,
            warnings,
            talks,
            gateway,
            observer,
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
        let mut poll = interval(watched::LOOK_EVERY);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sample = interval(load::SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Whichever loses is asked again in the next round; nothing is lost.
                order = self.orders.recv() => match order {
                    Some(Order::Reload { is_forced, reply }) => self.reloader.ask(is_forced, reply),
                    Some(Order::ByHand(what, reply)) => {
                        let _ = reply.send(self.reloader.targets.by_hand(&what));
                    }
                    Some(Order::Stop(_)) => return self.stop().await,
                    None => unreachable!("the host holds a sender itself"),
                },
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

    /// Finishes what is in flight, cuts what is left, and ends.
    async fn stop(mut self) -> Exit {
        // First, so that whoever sends clients here sends them elsewhere.
        self.state.set_phase("stopping");
        let in_flight = self.gateway.in_flight();
        self.observer.on(&Event::DrainStarted { in_flight });
        let drain = self.reloader.drain;
        self.say(&format!(
            "stopping: {in_flight} in flight, up to {drain:?} to finish; again to stop at once"
        ));
        self.stop.cancel();
        if let Some(jobs) = &self.jobs {
            jobs.stop();
        }
        let hurried = tokio::select! {
            // Nothing is lost: the workers that have ended are counted.
            () = all_ended(&mut self.workers, self.jobs.as_ref()) => None,
            () = sleep(drain) => Some(None),
            signal = second_stop(&mut self.orders) => Some(Some(signal)),
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
        self.observer.on(&Event::DrainEnded { cut });
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
        exit
    }
}

/// Holds settings that were accepted, before anything was made of them.
struct Accepted {
    text: Text,
    meant: Meant,
    warnings: Vec<String>,
    files: u64,
    watched: Watched,
}

/// Holds the ports, before anybody is let in.
struct Ports {
    listen: SocketAddr,
    listeners: Vec<TcpListener>,
    admin_listen: SocketAddr,
    admin: TcpListener,
    key: admin::Key,
}

/// Holds what does the work, before it has any.
struct Parts {
    recorder: Arc<Recorder>,
    observer: Arc<dyn Observer>,
    state: Arc<State>,
    load: Arc<Load>,
    targets: Targets,
    gateway: Gateway,
}

impl Accepted {
    fn read(plan: &Plan) -> Result<Self, StartError> {
        // Looked at before it is read: a change in between is seen as one.
        let watched = Watched::new(plan.source.clone());
        let text = reload::text(&plan.source).map_err(StartError::Settings)?;
        let Loaded { mut meant, warnings: remarks, .. } =
            reload::read(text.clone(), plan.strict).map_err(StartError::Settings)?;
        let files = files::raise()?;
        let warnings = reload::remarks(&mut meant, &remarks, files);
        Ok(Self { text, meant, warnings, files, watched })
    }

    /// Refuses them after all, for something that only shows when parts are made of them.
    fn refuse(&self, why: &dyn Display) -> StartError {
        let mut report = Report::new(self.text.clone());
        report.add(Problem::error(why.to_string()));
        StartError::Settings(report)
    }
}

impl Ports {
    fn bind(plan: &Plan, accepted: &Accepted) -> Result<Self, StartError> {
        let meant = &accepted.meant;
        let admin_wanted = plan.admin_listen.unwrap_or(meant.admin.listen);
        let key = admin::Key::new(admin_wanted, meant.admin.token.as_ref())
            .map_err(|why| accepted.refuse(&why))?;
        let wanted = plan.listen.unwrap_or(meant.server.listen);
        let listeners = listen::bind(wanted, plan.workers, "--listen")?;
        let listen = listeners[0].local_addr()?;
        let admin = listen::bind(admin_wanted, 1, "--admin-listen")?.remove(0);
        let admin_listen = admin.local_addr()?;
        Ok(Self { listen, listeners, admin_listen, admin, key })
    }
}

impl Parts {
    fn make(
        accepted: &Accepted,
        mode: &'static str,
        also: Option<Arc<dyn Observer>>,
        connect: Box<Connect>,
    ) -> Result<Self, StartError> {
        let recorder = Arc::new(Recorder::default());
        let log = EventLog::new(recorder.clone());
        let observer: Arc<dyn Observer> = match also {
            Some(other) => Arc::new(Both(log, other)),
            None => Arc::new(log),
        };
        let state = Arc::new(State::new(recorder.clone(), mode));
        let load = Arc::new(Load::default());
        let targets = Targets::new(recorder.clone(), observer.clone(), load.clone(), connect);
        let prepared = targets.prepare(&accepted.meant).map_err(|bad| accepted.refuse(&bad))?;
        let routes = reload::gateway_settings(&accepted.meant, &prepared.targets(), &recorder);
        let gateway =
            Gateway::new(routes, observer.clone()).map_err(|bad| accepted.refuse(&bad))?;
        targets.commit(prepared);
        Ok(Self { recorder, observer, state, load, targets, gateway })
    }
}

/// Tells two observers, the log first.
struct Both(EventLog, Arc<dyn Observer>);

impl Observer for Both {
    fn on(&self, event: &Event<'_>) {
        self.0.on(event);
        self.1.on(event);
    }
}

/// Waits until the jobs' thread has ended; for ever, if there is none.
async fn all_gone(jobs: Option<&Service>) {
    match jobs {
        Some(jobs) => jobs.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits until all that was in flight is finished and every job was given back.
async fn all_ended(workers: &mut Workers, jobs: Option<&Service>) {
    workers.all_ended().await;
    if let Some(jobs) = jobs {
        jobs.ended().await;
    }
}

/// Waits for another order to stop; other orders are no longer carried out.
async fn second_stop(orders: &mut mpsc::Receiver<Order>) -> u8 {
    loop {
        match orders.recv().await {
            Some(Order::Stop(signal)) => return signal,
            // Dropping the reply tells who asked.
            Some(Order::Reload { .. } | Order::ByHand(..)) => {}
            None => unreachable!("the host holds a sender itself"),
        }
    }
}

/// How long the workers may take to cut what is left.
const CUT_GRACE: Duration = Duration::from_secs(1);
