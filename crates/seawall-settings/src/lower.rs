//! From settings as written to settings as meant: everything that needs more than one value.
//!
//! Does not know: TOML. It reports all it finds and hands on nothing if any of it is an error.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use seawall_core::Secret;
use seawall_gateway::{Explainer, Server, ServerLimits};
use seawall_watch::RequestForm;

use super::apart::apart;
use super::environment::{Environment, secret};
use super::job::{self, JobSettings};
use super::keys::{self, Key};
use super::listener;
use super::policy::{self, Policy, STANDARD};
use super::raw::{RawSettings, Section};
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::route::Routes;
use super::show::Shown;
use super::typed::IsText;
use super::types::{
    AdminSettings, ListenerSettings, LogSettings, LogTo, PolicySettings, ServerSettings, Settings,
    WorkerSettings,
};
use super::upstream;

/// Works out what settings mean; nothing if any of it is refused.
pub(super) fn lower(
    written: &RawSettings,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> Option<(Settings, Shown)> {
    let mut shown = Shown::default();
    let mut top = Resolved::new(keys::SERVER, &[&written.top]);
    follow(&mut top);
    let (listeners, listeners_shown) = listener::listeners(written, &mut top, report);
    let mut server = server(&top, listeners, &written.top, report);
    let admin_settled = Resolved::new(keys::ADMIN, &[&written.top]);
    let admin = admin(&admin_settled, environment, report);
    let at_admin = |one: &ListenerSettings| listener::is_shared(one.address, admin.listen);
    if let Some(place) = server.listeners.iter().position(at_admin) {
        let title = format!("clients and status cannot share one address, {}", admin.listen);
        let span = listeners_shown[place].span(keys::LISTENER_ADDRESS);
        let spans = [admin_settled.span(keys::ADMIN_LISTEN), span];
        let marked =
            spans.into_iter().flatten().fold(SettingsProblem::error(title), |p, s| p.at(s, ""));
        report.add(marked.help("admin.listen = \"127.0.0.1:9090\""));
    }
    listeners_shown
        .into_iter()
        .for_each(|resolved| shown.add("listener", keys::LISTENER, resolved));
    shown.add("server", keys::SERVER, top);
    shown.add("admin", keys::ADMIN, admin_settled);
    let log_settled = Resolved::new(keys::LOG, &[&written.top]);
    let log = log(&log_settled, &mut server, report);
    shown.add("log", keys::LOG, log_settled);
    let worker_settled = Resolved::new(keys::WORKER, &[&written.top]);
    let worker = worker(&worker_settled, environment, report);
    shown.add("worker", keys::WORKER, worker_settled);

    let policies = policy::settle(&written.policies, report);
    let mut upstreams = Vec::new();
    let mut upstreams_shown = Vec::new();
    for section in &written.upstreams {
        let read = upstream::upstream(section, &policies, &written.policies, report);
        if let Some((settings, resolved)) = read {
            upstreams.push(settings);
            upstreams_shown.push((section.path.clone(), resolved));
        }
    }
    let mut routes = Vec::new();
    let mut routes_shown = Vec::new();
    let mut reader = Routes {
        upstreams: &upstreams,
        upstreams_written: &written.upstreams,
        policies: &policies,
        policies_written: &written.policies,
        seen: HashMap::new(),
    };
    for section in &written.routes {
        if let Some((settings, resolved)) = reader.read(section, report) {
            routes.push(settings);
            routes_shown.push(resolved);
        }
    }
    let mut jobs = Vec::new();
    let mut jobs_shown = Vec::new();
    for section in &written.jobs {
        if let Some((settings, resolved)) =
            job::job(section, (&upstreams, &written.upstreams), environment, report)
        {
            jobs.push(settings);
            jobs_shown.push((section.path.clone(), resolved));
        }
    }
    let named = |job: &JobSettings| written.jobs.iter().find(|section| *section.name == *job.name);
    let with_sections: Vec<_> = jobs.iter().filter_map(|job| Some((job, named(job)?))).collect();
    apart(&with_sections, report);
    if report.has_errors() {
        return None;
    }
    remark_on_unused(written, &policies, report);
    for policy in &policies {
        shown.add(&format!("policy.{}", policy.name), keys::POLICY, policy.resolved.clone());
    }
    upstreams_shown
        .into_iter()
        .for_each(|(path, resolved)| shown.add(&path, keys::UPSTREAM, resolved));
    routes_shown.into_iter().for_each(|resolved| shown.add("route", keys::ROUTE, resolved));
    jobs_shown.into_iter().for_each(|(path, resolved)| shown.add(&path, keys::JOB, resolved));
    let policies = policies
        .into_iter()
        .map(|Policy { name, params, .. }| PolicySettings { name: name.into(), params });
    let policies = policies.collect();
    let settings =
        Settings { version: 1, server, admin, log, worker, policies, upstreams, routes, jobs };
    // The gateway has the last word on its routes: what is taken here is taken there.
    if let Err(bad) = settings.idle_gateway().and_then(Explainer::new) {
        let place = settings.routes.iter().position(|route| *route.name == *bad.route);
        let section = place.and_then(|place| written.routes.get(place));
        let span =
            section.and_then(|section| section.text(keys::ROUTE_MATCH)).map(|(_, span)| span);
        let problem = SettingsProblem::error(format!("route `{}` {}", bad.route, bad.why));
        report.add(problem.at(span.unwrap_or(0..0), ""));
        return None;
    }
    remark_on_loops(&settings, &shown, report);
    Some((settings, shown))
}

fn follow(server: &mut Resolved) {
    let connections = server.get(keys::SERVER_LIMITS_CONNECTIONS);
    server.follow(keys::SERVER_LIMITS_CONNECTIONS_PER_ADDRESS, connections);
    let line = server.get(keys::SERVER_LIMITS_LINE).min(server.get(keys::SERVER_LIMITS_HEAD));
    server.follow(keys::SERVER_LIMITS_LINE, line);
}

fn server(
    resolved: &Resolved,
    listeners: Vec<ListenerSettings>,
    written: &Section,
    report: &mut SettingsReport,
) -> ServerSettings {
    let size = |key| resolved.get(key) as usize;
    let number = |key| resolved.get(key);
    let limits = ServerLimits {
        line_bytes_max: size(keys::SERVER_LIMITS_LINE),
        head_bytes_max: size(keys::SERVER_LIMITS_HEAD),
        headers_max: number(keys::SERVER_LIMITS_HEADERS) as usize,
        body_bytes_max: resolved.get(keys::SERVER_LIMITS_BODY),
        first_byte_timeout: resolved.get(keys::SERVER_LIMITS_FIRST_BYTE_TIMEOUT),
        head_timeout: resolved.get(keys::SERVER_LIMITS_HEAD_TIMEOUT),
        body_rate_min: resolved.get(keys::SERVER_LIMITS_BODY_RATE),
        body_grace: resolved.get(keys::SERVER_LIMITS_BODY_GRACE),
        write_stall_timeout: resolved.get(keys::SERVER_LIMITS_WRITE_STALL_TIMEOUT),
        read_rate_min: resolved.get(keys::SERVER_LIMITS_READ_RATE),
        keep_alive_timeout: resolved.get(keys::SERVER_LIMITS_KEEP_ALIVE_TIMEOUT),
        keep_alive_requests_max: number(keys::SERVER_LIMITS_KEEP_ALIVE_REQUESTS),
        connections_max: number(keys::SERVER_LIMITS_CONNECTIONS) as usize,
        connections_per_address_max: number(keys::SERVER_LIMITS_CONNECTIONS_PER_ADDRESS) as usize,
        streams_max: number(keys::SERVER_LIMITS_STREAMS) as u32,
    };
    let mut check = |is_above: bool, spans: [Option<Range<usize>>; 2], title: &str| {
        if is_above && !written.is_flawed {
            let spans = spans.into_iter().flatten();
            report.add(
                spans.fold(SettingsProblem::error(title), |problem, span| problem.at(span, "")),
            );
        }
    };
    let (line, head) = (keys::SERVER_LIMITS_LINE, keys::SERVER_LIMITS_HEAD);
    check(
        resolved.get(line) > resolved.get(head),
        [resolved.span(line), resolved.span(head)],
        "a request line cannot be longer than a head",
    );
    let one = keys::SERVER_LIMITS_CONNECTIONS_PER_ADDRESS;
    let all = keys::SERVER_LIMITS_CONNECTIONS;
    check(
        resolved.get(one) > resolved.get(all),
        [resolved.span(one), resolved.span(all)],
        "one address cannot have more connections than all together",
    );
    ServerSettings {
        listeners,
        drain: resolved.get(keys::SERVER_DRAIN),
        lame_duck: resolved.get(keys::SERVER_LAME_DUCK),
        gateway: Server {
            limits,
            trusted_proxies: resolved.get(keys::SERVER_TRUSTED_PROXIES).to_vec(),
            outcome_header: resolved.get(keys::SERVER_OUTCOME_HEADER),
            ..Server::default()
        },
    }
}

/// Reads what is said of the admin port, whatever else is wrong: the address if it is written, and
/// the token. Nothing if that cannot be read itself.
pub(super) fn admin_alone(
    written: &RawSettings,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> (Option<SocketAddr>, Option<Secret>) {
    let resolved = Resolved::new(keys::ADMIN, &[&written.top]);
    let admin = admin(&resolved, environment, report);
    (resolved.span(keys::ADMIN_LISTEN).map(|_| admin.listen), admin.token)
}

fn admin(
    resolved: &Resolved,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> AdminSettings {
    let listen = resolved.get(keys::ADMIN_LISTEN);
    let is_named = resolved.get(keys::ADMIN_TOKEN).is_some();
    let token = secret(resolved, keys::ADMIN_TOKEN, environment, report);
    if !is_named && !listen.ip().is_loopback() {
        let title = format!(
            "admin.listen = \"{listen}\" would open the dashboard to the network without a token"
        );
        let at = resolved.span(keys::ADMIN_LISTEN).unwrap_or(0..0);
        let help = "set admin.token = { env = \"SEAWALL_ADMIN_TOKEN\" }, or listen on 127.0.0.1";
        report.add(SettingsProblem::error(title).at(at, "").help(help));
    }
    AdminSettings { listen, token, chaos: resolved.get(keys::ADMIN_CHAOS) }
}

fn log(
    resolved: &Resolved,
    server: &mut ServerSettings,
    report: &mut SettingsReport,
) -> LogSettings {
    let to = match resolved.get(keys::LOG_TO) {
        "log" => LogTo::Log,
        "stdout" => LogTo::Stdout,
        path => LogTo::File(path.into()),
    };
    // A word that is none of the two is a slip, not a file.
    if let LogTo::File(path) = &to
        && path.components().count() < 2
    {
        let title = format!("`log.to` = \"{}\" is neither a path nor a word", path.display());
        let at = resolved.span(keys::LOG_TO).unwrap_or(0..0);
        let help = "\"log\", \"stdout\", \"./access.log\" or \"/var/log/seawall/access.log\"";
        report.add(SettingsProblem::error(title).at(at, "").help(help));
    }
    let form = resolved.get(keys::LOG_FORMAT);
    if to == LogTo::Log && form == RequestForm::Combined {
        let title = "`log.format` is for a file or stdout; the log has its own form, `--log json`";
        let at = resolved.span(keys::LOG_FORMAT).unwrap_or(0..0);
        report.add(SettingsProblem::warning(title).at(at, "").help("log.to = \"stdout\""));
    }
    server.gateway.logged = resolved.get(keys::LOG_REQUESTS);
    server.gateway.log_agents = to != LogTo::Log && form == RequestForm::Combined;
    LogSettings { to, form }
}

fn worker(
    resolved: &Resolved,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> WorkerSettings {
    let keep =
        |key: Key<Option<Duration>>| resolved.get(key).unwrap_or(resolved.get(keys::WORKER_KEEP));
    WorkerSettings {
        store: resolved.get(keys::WORKER_STORE).into(),
        postgres: secret(resolved, keys::WORKER_POSTGRES, environment, report),
        name: resolved.get(keys::WORKER_NAME).map(str::to_owned),
        concurrency: resolved.get(keys::WORKER_CONCURRENCY) as u32,
        lease: resolved.get(keys::WORKER_LEASE),
        keep_done: keep(keys::WORKER_KEEP_DONE),
        keep_failed: keep(keys::WORKER_KEEP_FAILED),
        keep_cancelled: keep(keys::WORKER_KEEP_CANCELLED),
        payload_bytes_max: resolved.get(keys::WORKER_PAYLOAD) as usize,
    }
}

/// Returns what sections name with a key.
fn named<T: IsText>(sections: &[Section], key: Key<T>) -> HashSet<String> {
    let texts = sections.iter().filter_map(|section| section.text(key));
    texts.map(|(text, _)| text.to_owned()).collect()
}

/// Remarks on names that nothing refers to: mostly a reference that was forgotten.
fn remark_on_unused(written: &RawSettings, policies: &[Policy], report: &mut SettingsReport) {
    let mut used = named(&written.upstreams, keys::UPSTREAM_POLICY);
    used.extend(named(&written.policies, keys::POLICY_EXTENDS));
    used.extend(named(&written.routes, keys::ROUTE_POLICY));
    used.insert(STANDARD.to_owned());
    let exists = |section: &&Section| policies.iter().any(|policy| policy.name == section.name);
    let unused = written.policies.iter().filter(exists).filter(|s| !used.contains(&s.name));
    for section in unused {
        let title = format!("policy `{}` is used by no upstream and no route", section.name);
        let help = format!("policy = \"{}\" in an `[upstream.…]`, or take it out", section.name);
        report.add(SettingsProblem::warning(title).at(section.span.clone(), "").help(help));
    }
    let mut used = named(&written.routes, keys::ROUTE_UPSTREAM);
    used.extend(named(&written.routes, keys::ROUTE_FALLBACK_UPSTREAM));
    for end in [&keys::JOB_ON_DONE, &keys::JOB_ON_FAILED] {
        used.extend(named(&written.jobs, end.upstream));
    }
    used.extend(named(&written.jobs, keys::JOB_EACH_LINE_UPSTREAM));
    for section in written.upstreams.iter().filter(|s| !used.contains(&s.name)) {
        let title = format!("upstream `{}` is called by no route and no job", section.name);
        let help = format!("[[route]]\nmatch = \"GET /…\"\nupstream = \"{}\"", section.name);
        report.add(SettingsProblem::warning(title).at(section.span.clone(), "").help(help));
    }
    if written.routes.is_empty() && written.jobs.is_empty() {
        let title = "there is no route: every request would be answered with 404";
        let help = "[[route]]\nmatch = \"GET /api/weather/{city}\"\nupstream = \"weather-api\"";
        report.add(SettingsProblem::warning(title).help(help));
    }
}

/// Remarks on upstreams that are a port of ours: every request would come back as another one.
fn remark_on_loops(settings: &Settings, shown: &Shown, report: &mut SettingsReport) {
    let listeners = settings.server.listeners.iter().map(|one| ("a listener", one.address));
    let admin = (keys::ADMIN_LISTEN.path(), settings.admin.listen);
    let ports: Vec<_> = listeners.chain([admin]).collect();
    for upstream in &settings.upstreams {
        let ours = upstream.all().into_iter().find_map(|address| {
            let port = ports.iter().find(|(_, listen)| upstream::is_at(address, *listen))?;
            Some((address, port))
        });
        let Some((address, (key, listen))) = ours else { continue };
        let path = format!("upstream.{}", upstream.name);
        let is_first = upstream.all().first() == Some(&address);
        let place = match is_first {
            true => shown.place(&path, keys::UPSTREAM_URL),
            false => shown.place(&path, keys::UPSTREAM_ENDPOINTS),
        };
        let title = format!("upstream `{}` is this server: {key} is {listen}", upstream.name);
        let note = "a call would come back as a request, and call again, until something gives";
        let problem = SettingsProblem::warning(title)
            .note(note)
            .help("name the address of the service, or another one to listen on");
        report.add(match place {
            Some(span) => problem.at(span, ""),
            None => problem,
        });
    }
}
