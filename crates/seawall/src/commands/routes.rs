//! `seawall routes`: the routes, and what happens to one request.

use http::Method;
use seawall_gateway::{Explained, Explainer, NotTaken};
use seawall_settings::{RouteSettings, Settings, UpstreamSettings, nearest};
use seawall_upstream::UpstreamHost;
use serde_json::json;

use super::Console;
use crate::cli::{Global, RoutesAction};
use crate::exit::Exit;

pub(super) fn routes(global: &Global, action: Option<&RoutesAction>, console: &Console) -> Exit {
    let settings = match super::load(global, console) {
        Ok(loaded) => loaded.settings,
        Err(exit) => return exit,
    };
    match action {
        None => list(&settings, console),
        Some(RoutesAction::Test { request, host }) => {
            test(&settings, request, host.as_deref(), console)
        }
    }
}

fn list(settings: &Settings, console: &Console) -> Exit {
    if console.json {
        let routes: Vec<_> =
            settings.routes.iter().map(|route| document(settings, route)).collect();
        console.document(&json!({ "schema": 1, "routes": routes }));
        return Exit::Done;
    }
    let rows = settings.routes.iter().filter_map(|route| {
        let upstream = settings.upstreams.get(route.upstream)?;
        let target = format!("{}{}", upstream.name, route.upstream_path.as_deref().unwrap_or(""));
        let (policy, params) = route.policy(upstream);
        let worst = params.worst_case().answer();
        Some([route.name.to_string(), target, policy.to_owned(), format!("{worst:?}")])
    });
    let heading = ["ROUTE", "UPSTREAM", "POLICY", "ANSWERS WITHIN"].map(str::to_owned);
    let rows: Vec<_> = [heading].into_iter().chain(rows).collect();
    console.table(&rows);
    Exit::Done
}

fn document(settings: &Settings, route: &RouteSettings) -> serde_json::Value {
    let upstream = settings.upstreams.get(route.upstream);
    let policy = upstream.map(|upstream| route.policy(upstream));
    let worst = policy.map(|(_, params)| params.worst_case().answer());
    json!({
        "route": &*route.name,
        "method": route.method.as_ref().map(|method| method.as_str()),
        "host": route.host.as_deref(),
        "path": &*route.path,
        "upstream": upstream.map(|upstream| &*upstream.name),
        "upstream_path": route.upstream_path.as_deref(),
        "policy": policy.map(|(name, _)| name),
        "answers_within_ms": worst.map(|worst| worst.as_millis() as u64),
    })
}

/// Says what happens to one request; answers no if no route takes it.
fn test(settings: &Settings, request: &[String], host: Option<&str>, console: &Console) -> Exit {
    let request = request.join(" ");
    let Some((method, target)) = request.split_once(' ') else {
        console.error("a request is a method and a path", Some("\"GET /api/weather/oslo\""));
        return Exit::Usage;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        console.error(&format!("`{method}` is not a method"), None);
        return Exit::Usage;
    };
    let host = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    let host = host.map(str::to_ascii_lowercase);
    // Loading has built the same table already.
    let explained = settings
        .idle_gateway()
        .and_then(Explainer::new)
        .map_err(|bad| NotTaken::Refused(bad.to_string()))
        .and_then(|explainer| explainer.explain(&method, host.as_deref(), target.trim()));
    match explained {
        Ok(explained) => {
            taken(settings, &method, &explained, console);
            Exit::Done
        }
        Err(why) => {
            not_taken(settings, &method, target, &why, console);
            Exit::No
        }
    }
}

fn taken(settings: &Settings, method: &Method, explained: &Explained, console: &Console) {
    let Explained { route, uri } = explained;
    let route = settings.routes.iter().find(|one| one.name == route.name);
    let upstream = route.and_then(|route| settings.upstreams.get(route.upstream));
    let (Some(route), Some(upstream)) = (route, upstream) else { return };
    let sent = sent_to(upstream, route, method, uri);
    let (policy, params) = route.policy(upstream);
    if console.json {
        let mut document = document(settings, route);
        document["schema"] = json!(1);
        document["sent"] = json!(sent);
        return console.document(&document);
    }
    let retried = match &params.retry {
        None => "never retried".to_owned(),
        Some(retry) if method.is_idempotent() || retry.any_method => {
            format!("up to {} attempts", retry.attempts_max)
        }
        Some(retry) if retry.idempotency_key => {
            format!("up to {} attempts with an Idempotency-Key", retry.attempts_max)
        }
        Some(_) => format!("retried only if it was never sent: {method} is not idempotent"),
    };
    let indent = |text: &str| text.trim_end().replace('\n', "\n            ");
    console.answer(&format!(
        "route       {}\nupstream    {} ({})\nsent        {sent}\nrepeated    {retried}\n\
         policy      {policy}\n            {}",
        route.name,
        upstream.name,
        upstream.shown(),
        indent(&params.describe()),
    ));
}

/// Returns the request line and host that the upstream is sent.
fn sent_to(
    upstream: &UpstreamSettings,
    route: &RouteSettings,
    method: &Method,
    uri: &http::Uri,
) -> String {
    match upstream.all().first().copied().unwrap_or_default().parse::<http::Uri>() {
        Ok(base) if base.scheme_str() == Some("http") => {
            let path = base.path().trim_end_matches('/');
            let host = match &route.upstream_host {
                UpstreamHost::Upstream => base.authority().map_or("", |own| own.as_str()),
                UpstreamHost::Keep => "the client's",
                UpstreamHost::Named(name) => name.as_str(),
            };
            format!("{method} {path}{uri}, Host: {host}")
        }
        _ => format!("{method} {uri} (simulated)"),
    }
}

fn not_taken(
    settings: &Settings,
    method: &Method,
    target: &str,
    why: &NotTaken,
    console: &Console,
) {
    let (status, text) = match why {
        NotTaken::Refused(why) => (400, format!("refused before any route: {why}")),
        NotTaken::NoRoute => (404, "no route takes this path".to_owned()),
        NotTaken::NoHost => (421, "no route is for this host".to_owned()),
        NotTaken::NoMethod(allowed) => {
            let allowed: Vec<_> = allowed.iter().map(Method::as_str).collect();
            (405, format!("this path takes {}, not {method}", allowed.join(", ")))
        }
    };
    if console.json {
        return console
            .document(&json!({ "schema": 1, "route": null, "status": status, "why": text }));
    }
    let near = nearest(target, settings.routes.iter().map(|route| &*route.path));
    let near = near.filter(|_| *why == NotTaken::NoRoute);
    console.answer(&format!("{method} {target}: {text} (status {status})"));
    if let Some(near) = near {
        console.note(&format!("help: the nearest is {near}"));
    }
}
