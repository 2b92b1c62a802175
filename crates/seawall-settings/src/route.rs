//! Routes as they are meant: every pattern, template and host read, every name known.
//!
//! Does not know: how a request is matched. Patterns and templates are read by the crate that
//! uses them, so that what is taken here is taken there.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderName, Method};
use seawall_core::{Priority, Words};
use seawall_gateway::{KeySource, PrioritySource};
use seawall_policy::Params;
use seawall_upstream::UpstreamHost;
use seawall_wire::template::{TemplateFlaw, Why};
use seawall_wire::{Host, Pattern, Template};

use super::fallback;
use super::keys::{self, Key};
use super::nearest::nearest;
use super::placeholder::{foreign, ours};
use super::policy::Policy;
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport, within};
use super::resolved::Resolved;
use super::typed::Text;
use super::types::{PolicySettings, RouteSettings, UpstreamSettings};
use super::upstream::named_policy;
use super::value::condition_words;

/// What a route takes: method, host, and path without the names of its placeholders.
type Taken = (Option<Method>, Option<Arc<str>>, String);

/// Reads routes one after the other, so that the later of two alike is reported.
pub(super) struct Routes<'a> {
    pub(super) upstreams: &'a [UpstreamSettings],
    pub(super) upstreams_written: &'a [Section],
    pub(super) policies: &'a [Policy],
    pub(super) policies_written: &'a [Section],
    pub(super) seen: HashMap<Taken, Range<usize>>,
}

impl<'a> Routes<'a> {
    /// Reads one route; nothing after reporting what is wrong with it.
    pub(super) fn read(
        &mut self,
        section: &Section,
        report: &mut SettingsReport,
    ) -> Option<(RouteSettings, Resolved)> {
        let resolved = Resolved::new(keys::ROUTE, &[section]);
        let matched = section.text(keys::ROUTE_MATCH).and_then(|(text, span)| {
            let read = read_match(text, &span, report);
            read.map(|(method, path, pattern)| (method, path, pattern, span))
        });
        let host = self.host(section, report);
        let template = self.template(section, matched.as_ref().map(|matched| &matched.2), report);
        let upstream = self.upstream_of(section, keys::ROUTE_UPSTREAM, report);
        let find = |report: &mut SettingsReport| {
            self.upstream_of(section, keys::ROUTE_FALLBACK_UPSTREAM, report)
        };
        let fallback = fallback::fallback(section, &resolved, report, find);
        let own = self.own_policy(section, report);
        let upstream_host = upstream_host(section, report);
        let (method, path, pattern, span) = matched?;
        let host = host?;
        self.remember(&method, &host, &pattern, span.clone(), report);
        let template = template?;
        let upstream = upstream?;
        let own = own?;
        let fallback = fallback?;
        let upstream_host = upstream_host?;
        let policy = self.policy_of(own, self.upstreams.get(upstream)?)?;
        let written = section.text(keys::ROUTE_MATCH).map_or("", |(text, _)| text);
        let name = match &host {
            Some(host) => format!("{written} (host {host})").into(),
            None => written.into(),
        };
        let body_bytes_max = resolved.get(keys::ROUTE_BODY);
        self.remark_on_retries(&method, policy, written, span, report);
        let settings = RouteSettings {
            name,
            method,
            host,
            path,
            upstream,
            upstream_path: template,
            body_bytes_max,
            is_stream: resolved.get(keys::ROUTE_STREAM),
            policy: own.map(|own| PolicySettings {
                name: own.name.as_str().into(),
                params: own.params.clone(),
            }),
            priority: priority(resolved.get(keys::ROUTE_PRIORITY)),
            key: key(policy.resolved.get(keys::POLICY_RATE_KEY)),
            fallback,
            upstream_host,
            rewrites_redirects: resolved.get(keys::ROUTE_REWRITE_REDIRECTS),
        };
        Some((settings, resolved))
    }

    /// Finds the route's own policy, if it names one.
    fn own_policy(
        &self,
        section: &Section,
        report: &mut SettingsReport,
    ) -> Option<Option<&'a Policy>> {
        let Some((name, span)) = section.text(keys::ROUTE_POLICY) else { return Some(None) };
        let route = section.text(keys::ROUTE_MATCH).map_or("", |(text, _)| text);
        let of = format!("route `{route}`");
        named_policy(name, span, &of, self.policies, self.policies_written, report).map(Some)
    }

    /// Returns the policy in force: the route's own, or that of its upstream.
    fn policy_of(&self, own: Option<&'a Policy>, of: &UpstreamSettings) -> Option<&'a Policy> {
        own.or_else(|| self.policies.iter().find(|policy| *policy.name == *of.policy))
    }

    fn host(&self, section: &Section, report: &mut SettingsReport) -> Option<Option<Arc<str>>> {
        let Some((text, span)) = section.text(keys::ROUTE_HOST) else { return Some(None) };
        let lower = text.to_ascii_lowercase();
        match Host::parse(lower.as_bytes()) {
            Some(Host { name, port: None }) => Some(Some(name.into())),
            Some(Host { name, port: Some(_) }) => {
                let problem =
                    SettingsProblem::error("a route's host has no port: every port is meant");
                report.add(problem.at(span, "").help(format!("host = \"{name}\"")));
                None
            }
            None => {
                let problem = SettingsProblem::error("not the name of a host").at(span, "");
                report.add(problem.help("host = \"api.example.com\""));
                None
            }
        }
    }

    fn template(
        &self,
        section: &Section,
        pattern: Option<&Pattern>,
        report: &mut SettingsReport,
    ) -> Option<Option<Arc<str>>> {
        let Some((text, span)) = section.text(keys::ROUTE_PATH) else { return Some(None) };
        let read = Template::parse(text).and_then(|template| match pattern {
            Some(pattern) => template.check_names(pattern),
            None => Ok(()),
        });
        let Err(flaw) = read else {
            if let Some(wanted) = pattern.and_then(|pattern| foreign(text, pattern)) {
                let title = "a placeholder is written with braces: this is sent as it stands";
                let problem = SettingsProblem::error(title).at(span, "");
                report.add(problem.help(format!("path = \"{wanted}\"")));
                return None;
            }
            return Some(Some(text.into()));
        };
        let place = within(report, text, &span, flaw.at.clone());
        let found = text.get(flaw.at.clone()).unwrap_or(text);
        let problem = match flaw.why {
            Why::Unknown => {
                let names = pattern.map_or(&[][..], Pattern::names);
                let names: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
                let wanted = found.trim_matches(['{', '}', '*']);
                SettingsProblem::error(format!("`match` gives no value for `{found}`")).help(
                    match (nearest(wanted, names.iter().copied()), names.is_empty()) {
                        (Some(near), _) => format!("did you mean `{{{near}}}`?"),
                        (None, true) => "`match` has no placeholder at all".to_owned(),
                        (None, false) => format!("it gives: {}", names.join(", ")),
                    },
                )
            }
            why => SettingsProblem::error(format!("not a path to ask an upstream for: {why}")),
        };
        report.add(problem.at(place, ""));
        None
    }

    fn upstream_of(
        &self,
        section: &Section,
        key: Key<Option<Text>>,
        report: &mut SettingsReport,
    ) -> Option<usize> {
        let route = section.text(keys::ROUTE_MATCH).map_or("", |(text, _)| text);
        let of = format!("route `{}`", route.rsplit(' ').next().unwrap_or(route));
        find_upstream(section, key, &of, (self.upstreams, self.upstreams_written), report)
    }

    /// Reports a route that takes exactly what an earlier one takes.
    fn remember(
        &mut self,
        method: &Option<Method>,
        host: &Option<Arc<str>>,
        pattern: &Pattern,
        span: Range<usize>,
        report: &mut SettingsReport,
    ) {
        let key = (method.clone(), host.clone(), without_names(pattern));
        if let Some(first) = self.seen.insert(key, span.clone()) {
            let problem = SettingsProblem::error("two routes take the same requests")
                .at(span, "the second")
                .at(first, "the first")
                .help("take one out, or give one another method or host");
            report.add(problem);
        }
    }

    /// Remarks on a route whose method is not idempotent under a policy that was told to retry.
    fn remark_on_retries(
        &self,
        method: &Option<Method>,
        policy: &Policy,
        route: &str,
        span: Range<usize>,
        report: &mut SettingsReport,
    ) {
        let Some(method) = method.as_ref().filter(|method| !method.is_idempotent()) else { return };
        let Params { retry: Some(retry), .. } = &policy.params else { return };
        let Some(on) = policy.resolved.span(keys::POLICY_RETRY_ON) else { return };
        if retry.any_method || retry.idempotency_key {
            return;
        }
        let refused = condition_words(&retry.on).filter(|word| word != "connect");
        let refused: Vec<_> = refused.map(|word| format!("\"{word}\"")).collect();
        if refused.is_empty() {
            return;
        }
        let title = format!("`{route}` is not retried on {}: not idempotent", refused.join(", "));
        let problem = SettingsProblem::warning(title)
            .at(span, format!("{method} may already have been carried out"))
            .at(on, format!("policy `{}`", policy.name))
            .help(
                "if the upstream honours Idempotency-Key, say so: retry = { idempotency_key = true \
                 }; if twice does no harm: any_method = true; else on = [\"connect\"]",
            );
        report.add(problem);
    }
}

/// Reads which host an upstream is told; nothing after reporting that it is none.
fn upstream_host(section: &Section, report: &mut SettingsReport) -> Option<UpstreamHost> {
    let Some((text, span)) = section.text(keys::ROUTE_UPSTREAM_HOST) else {
        return Some(UpstreamHost::default());
    };
    match text {
        "upstream" => return Some(UpstreamHost::Upstream),
        "keep" => return Some(UpstreamHost::Keep),
        _ => {}
    }
    let host = Host::is_host(text.as_bytes()).then(|| text.parse::<Authority>().ok());
    if let Some(host) = host.flatten() {
        return Some(UpstreamHost::Named(host));
    }
    let problem = SettingsProblem::error("not the name of a host").at(span, "");
    report.add(problem.help("upstream_host = \"keep\", \"upstream\" or \"api.example.com\""));
    None
}

/// The upstreams, and how they are written.
pub(super) type Upstreams<'a> = (&'a [UpstreamSettings], &'a [Section]);

/// Finds the upstream that a key names; nothing after reporting that it is not there.
pub(super) fn find_upstream(
    section: &Section,
    key: Key<Option<Text>>,
    of: &str,
    (upstreams, written): Upstreams<'_>,
    report: &mut Report,
) -> Option<usize> {
    let (name, span) = section.text(key)?;
    if let Some(place) = upstreams.iter().position(|upstream| &*upstream.name == name) {
        return Some(place);
    }
    let names: Vec<_> = written.iter().map(|other| &*other.name).collect();
    // An upstream that is itself refused is reported there.
    if names.contains(&name) {
        return None;
    }
    let problem = SettingsProblem::error(format!("{of} names an upstream that does not exist"))
        .at(span, "no `[upstream.…]` with this name")
        .help(match (nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => format!("[upstream.{name}]\nurl = \"http://host:port\""),
            (None, false) => format!("there are: {}", names.join(", ")),
        });
    report.add(problem);
    None
}

/// Returns where a route's priority comes from; what it says was read when the file was.
fn priority(text: &str) -> PrioritySource {
    if let Some(name) = text.strip_prefix("header:") {
        return HeaderName::try_from(name).map(PrioritySource::Header).unwrap_or_default();
    }
    if let Some(name) = text.strip_prefix("claim:") {
        return PrioritySource::Claim(name.into());
    }
    PrioritySource::Fixed(Priority::of_word(text).unwrap_or_default())
}

/// Returns what tells callers apart; what it says was read when the file was.
fn key(text: &str) -> KeySource {
    match text {
        "client" => KeySource::Client,
        other => match other.split_once(':') {
            Some(("claim", name)) => KeySource::Claim(name.into()),
            Some((_, name)) => {
                HeaderName::try_from(name).map_or(KeySource::None, KeySource::Header)
            }
            None => KeySource::None,
        },
    }
}

/// Reads `METHOD /path` or `/path`.
fn read_match(
    text: &str,
    span: &Range<usize>,
    report: &mut SettingsReport,
) -> Option<(Option<Method>, Arc<str>, Pattern)> {
    let example = "match = \"GET /api/weather/{city}\"";
    let (method, path) = match text.split_once(' ') {
        Some((method, path)) => (Some(method), path.trim_start()),
        None => (None, text),
    };
    let method = match method.map(read_method) {
        Some(Err(problem)) => {
            report.add(problem.at(span.clone(), ""));
            return None;
        }
        Some(Ok(method)) => Some(method),
        None => None,
    };
    if method.is_none() && !path.starts_with('/') {
        let problem =
            SettingsProblem::error("`match` wants a method and a path").at(span.clone(), "");
        report.add(problem.help(example));
        return None;
    }
    match Pattern::parse(path) {
        Ok(pattern) => Some((method, path.into(), pattern)),
        Err(TemplateFlaw { at, why }) => {
            let start = text.len() - path.len();
            let place = within(report, text, span, start + at.start..start + at.end);
            let title = format!("not a path that a route can take: {why}");
            let help = ours(path).map(|path| format!("match = \"{}{path}\"", &text[..start]));
            let help = help.unwrap_or_else(|| example.to_owned());
            report.add(SettingsProblem::error(title).at(place, "").help(help));
            None
        }
    }
}

pub(super) fn read_method(word: &str) -> Result<Method, SettingsProblem> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let upper = word.to_ascii_uppercase();
    match Method::from_bytes(word.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) => Err(SettingsProblem::error(format!(
            "{word} is never served: it is refused before any route"
        ))),
        Ok(_) if upper != word && known.contains(&&*upper) => {
            let title = format!("methods are written in capitals, and `{word}` is another method");
            Err(SettingsProblem::error(title).help(format!("did you mean `{upper}`?")))
        }
        Ok(method) if known.contains(&word) => Ok(method),
        Ok(method) => {
            match nearest(word, known.map(str::to_ascii_lowercase).iter().map(|w| &**w)) {
                Some(near) => Err(SettingsProblem::error(format!("`{word}` is not a method"))
                    .help(format!("did you mean `{}`?", near.to_ascii_uppercase()))),
                None => Ok(method),
            }
        }
        Err(_) => Err(SettingsProblem::error(format!("`{word}` is not a method"))
            .help(format!("one of {}, or none for any", known.join(", ")))),
    }
}

/// Returns a pattern in which every placeholder has the same name: those two take the same.
fn without_names(pattern: &Pattern) -> String {
    let mut text = pattern.matcher().to_owned();
    for name in pattern.names() {
        let (from, to) = match name.is_rest {
            true => (format!("{{*{}}}", name.name), "{*}"),
            false => (format!("{{{}}}", name.name), "{}"),
        };
        text = text.replacen(&from, to, 1);
    }
    text
}
