//! Which route a request takes: by host, then by path, then by method.
//!
//! Does not know requests or upstreams. Two routes never answer the same request: a table in
//! which they could is refused when it is made.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::{Method, Uri};
use matchit::{InsertError, Router};
use seawall_core::UpstreamId;
use seawall_wire::{Path, Pattern, Template};
use thiserror::Error;

use crate::cache::Store;
use crate::{Route, Server, Settings};

/// Holds one generation of settings, ready to be asked.
pub(crate) struct Table {
    pub(crate) server: Server,
    entries: Vec<Entry>,
    hosts: HashMap<Arc<str>, Paths>,
    any_host: Paths,
    /// What is kept of the upstreams' answers.
    stores: HashMap<UpstreamId, Arc<Store>>,
}

/// Holds one route, read.
pub(crate) struct Entry {
    pub(crate) route: Route,
    pattern: Pattern,
    template: Option<Template>,
}

/// Says what a request asks for.
pub(crate) enum Found<'t, 'p> {
    /// A route, and what its path captured, in its order.
    Route(&'t Entry, Vec<&'p str>),
    /// Routes with this path, but none with this method; the methods that would do.
    NoMethod(Vec<&'t Method>),
    /// No route with this path.
    NoRoute,
    /// No route for this host at all.
    NoHost,
}

/// The routes of one host: a path leads to the routes that share it.
#[derive(Default)]
struct Paths(Router<Vec<usize>>);

/// Says why a set of routes cannot be served.
#[derive(Debug, Error)]
#[error("route `{route}`: {why}")]
pub struct BadRoute {
    /// The route as written.
    pub route: String,
    /// What is wrong with it.
    pub why: String,
}

impl Table {
    /// Makes a table.
    ///
    /// # Errors
    ///
    /// Names the route that another one stands in the way of, or whose path cannot be read.
    pub(crate) fn new(settings: Settings) -> Result<Self, BadRoute> {
        let mut table = Self {
            server: settings.server,
            entries: Vec::with_capacity(settings.routes.len()),
            hosts: HashMap::new(),
            any_host: Paths::default(),
            stores: HashMap::new(),
        };
        for route in settings.routes {
            table.insert(route)?;
        }
        Ok(table)
    }

    /// Finds the route for a request; `host` is in lower case and without a port.
    pub(crate) fn find<'t, 'p>(
        &'t self,
        method: &Method,
        host: Option<&str>,
        path: &'p str,
    ) -> Found<'t, 'p> {
        let own = host.and_then(|host| self.hosts.get(host));
        if own.is_none() && self.entries.iter().all(|entry| entry.route.host.is_some()) {
            return if self.entries.is_empty() { Found::NoRoute } else { Found::NoHost };
        }
        let mut allowed = Vec::new();
        for paths in own.into_iter().chain([&self.any_host]) {
            let Ok(matched) = paths.0.at(path) else { continue };
            let entries = || matched.value.iter().map(|&index| &self.entries[index]);
            let chosen = entries()
                .find(|entry| entry.route.method.as_ref() == Some(method))
                .or_else(|| entries().find(|entry| entry.serves_head_of(method)))
                .or_else(|| entries().find(|entry| entry.route.method.is_none()));
            if let Some(entry) = chosen {
                return Found::Route(
                    entry,
                    matched.params.iter().map(|(_, value)| value).collect(),
                );
            }
            allowed.extend(entries().filter_map(|entry| entry.route.method.as_ref()));
        }
        if allowed.is_empty() { Found::NoRoute } else { Found::NoMethod(allowed) }
    }

    /// Goes on with what an earlier table has kept of the upstreams' answers.
    pub(crate) fn take_over(&mut self, earlier: &Self) {
        for (id, store) in &mut self.stores {
            if let Some(kept) = earlier.stores.get(id) {
                *store = Arc::clone(kept);
            }
        }
    }

    /// Returns what is kept of an upstream's answers.
    pub(crate) fn store(&self, upstream: UpstreamId) -> Arc<Store> {
        // Every route has put one there.
        self.stores.get(&upstream).cloned().unwrap_or_else(|| Arc::new(Store::new()))
    }

    /// Returns whether the host of a request can make a difference.
    pub(crate) fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Lists the methods of all routes.
    pub(crate) fn methods(&self) -> Vec<&Method> {
        self.entries.iter().filter_map(|entry| entry.route.method.as_ref()).collect()
    }

    fn insert(&mut self, route: Route) -> Result<(), BadRoute> {
        let bad = |why: String| BadRoute { route: route.name.to_string(), why };
        let parsed = Pattern::parse(&route.path).map_err(|flaw| bad(flaw.to_string()))?;
        let template = match &route.upstream_path {
            None => None,
            Some(text) => {
                let template = Template::parse(text).map_err(|flaw| bad(flaw.to_string()))?;
                template.check_names(&parsed).map_err(|flaw| bad(flaw.to_string()))?;
                Some(template)
            }
        };
        let pattern = numbered(parsed.matcher());
        let paths = match &route.host {
            Some(host) => self.hosts.entry(Arc::clone(host)).or_default(),
            None => &mut self.any_host,
        };
        let index = self.entries.len();
        match paths.0.insert(pattern.clone(), vec![index]) {
            Ok(()) => {}
            Err(InsertError::Conflict { with }) => {
                let Ok(shared) = paths.0.at_mut(&pattern) else {
                    let other = self.named(&route, &with);
                    return Err(bad(format!("stands in the way of route `{other}`")));
                };
                if with != pattern {
                    let other = self.named(&route, &with);
                    return Err(bad(format!("stands in the way of route `{other}`")));
                }
                for &other in shared.value.iter() {
                    let other = &self.entries[other].route;
                    if other.method == route.method {
                        return Err(bad(format!("is the same as route `{}`", other.name)));
                    }
                }
                shared.value.push(index);
            }
            Err(other) => return Err(bad(other.to_string().to_lowercase())),
        }
        self.stores.entry(route.target.id).or_insert_with(|| Arc::new(Store::new()));
        self.entries.push(Entry { route, pattern: parsed, template });
        Ok(())
    }

    /// Finds the name of the route that has a numbered pattern.
    fn named(&self, like: &Route, pattern: &str) -> Arc<str> {
        self.entries
            .iter()
            .filter(|entry| entry.route.host == like.host)
            .find(|entry| numbered(entry.pattern.matcher()) == pattern)
            .map_or_else(|| pattern.into(), |entry| Arc::clone(&entry.route.name))
    }
}

impl Entry {
    /// Builds the path and query at the upstream. A template without a query takes the request's.
    pub(crate) fn uri(&self, captured: &[&str], path: &Path<'_>, asked: &Uri) -> Option<Uri> {
        if let (None, Cow::Borrowed(_), None) = (&self.template, &path.encoded, asked.authority()) {
            // The usual case: what was asked for is what is sent, and was read already. With an
            // authority the path may be empty, which means `/` and must be written so.
            return asked.path_and_query().cloned().map(Uri::from);
        }
        let query = asked.query();
        let value_of = |name: &str| {
            let index = self.pattern.names().iter().position(|own| own.name == name)?;
            captured.get(index).copied()
        };
        let mut text = match &self.template {
            Some(template) => template.fill(value_of).ok()?,
            None => path.encoded.clone().into_owned(),
        };
        let has_query = self.template.as_ref().is_some_and(Template::has_query);
        if let Some(query) = query.filter(|_| !has_query) {
            text.push('?');
            text.push_str(query);
        }
        Uri::try_from(text).ok()
    }

    fn serves_head_of(&self, method: &Method) -> bool {
        *method == Method::HEAD && self.route.method == Some(Method::GET)
    }
}

/// Puts numbers in the place of a pattern's names, so that `/a/{x}` and `/a/{y}` share a node.
fn numbered(matcher: &str) -> String {
    let mut numbered = String::with_capacity(matcher.len());
    let mut names = 0;
    let mut rest = matcher;
    while let Some(open) = rest.find('{') {
        let (before, at) = rest.split_at(open);
        numbered.push_str(before);
        // A brace that stands for itself is doubled.
        let end = match at.strip_prefix("{{") {
            Some(_) => 2,
            None => at.find('}').map_or(at.len(), |close| close + 1),
        };
        match &at[..end] {
            "{{" => numbered.push_str("{{"),
            name => {
                let star = if name.starts_with("{*") { "*" } else { "" };
                numbered.push_str(&format!("{{{star}{names}}}"));
                names += 1;
            }
        }
        rest = &at[end..];
    }
    numbered.push_str(rest);
    numbered
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use seawall_call::Policy;
    use seawall_core::{RouteId, Silent, UpstreamId};
    use seawall_policy::Params;
    use seawall_upstream::{Options, Upstream};
    use seawall_wire::path;

    use super::*;
    use crate::Target;

    /// Makes a route of `GET host/path -> /upstream/path`; `*` stands for any method.
    fn route(text: &str) -> Route {
        let (asked, upstream_path) = match text.split_once(" -> ") {
            Some((asked, path)) => (asked, Some(path.into())),
            None => (text, None),
        };
        let (method, rest) = asked.split_once(' ').unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let id = UpstreamId(0);
        let policy = Policy::new(id, Params::standard(), Arc::new(Silent));
        Route {
            id: RouteId(0),
            name: text.into(),
            method: (method != "*").then(|| method.parse().unwrap()),
            host: (!host.is_empty()).then(|| host.into()),
            path: path.into(),
            target: Arc::new(Target {
                id,
                name: "u".into(),
                policy: policy.clone(),
                upstream: Upstream::new(&format!("http://{nowhere}"), Options::default()).unwrap(),
            }),
            policy,
            upstream_path,
            body_bytes_max: None,
            fallback: None,
            priority: Default::default(),
            key: Default::default(),
        }
    }

    fn table(routes: &[&str]) -> Result<Table, BadRoute> {
        let routes = routes.iter().map(|text| route(text)).collect();
        Table::new(Settings { server: Server::default(), routes })
    }

    /// Says what becomes of `GET host/path?query`: the route and what is asked of the upstream,
    /// or why there is none.
    fn find(table: &Table, text: &str) -> String {
        let (method, rest) = text.split_once(' ').unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let asked: Uri = target.parse().unwrap();
        let path = path::canonical(asked.path()).unwrap();
        let method: Method = method.parse().unwrap();
        match table.find(&method, Some(host).filter(|host| !host.is_empty()), &path.decoded) {
            Found::Route(entry, captured) => {
                let uri = entry.uri(&captured, &path, &asked);
                let uri = uri.map_or("nothing".into(), |uri| uri.to_string());
                format!("{} => {uri}", entry.route.name)
            }
            Found::NoMethod(allowed) => format!("{allowed:?}"),
            Found::NoRoute => "no route".into(),
            Found::NoHost => "no host".into(),
        }
    }

    #[test]
    fn a_request_takes_the_route_that_says_most_about_it() {
        let table = table(&[
            "GET /api/{city}",
            "POST /api/{name}",
            "* /api/oslo",
            "GET /files/{*rest}",
            "GET api.example/api/{city}",
        ])
        .unwrap();
        let check = |asked: &str, found: &str| assert_eq!(find(&table, asked), found, "{asked}");
        check("GET /api/bergen", "GET /api/{city} => /api/bergen");
        check("HEAD /api/bergen", "GET /api/{city} => /api/bergen");
        check("POST /api/bergen", "POST /api/{name} => /api/bergen");
        check("PUT /api/bergen", "[GET, POST]");
        check("PUT /api/oslo", "* /api/oslo => /api/oslo");
        check("GET /files/a/b?c=d", "GET /files/{*rest} => /files/a/b?c=d");
        check("GET /files", "no route");
        check("GET //api//bergen", "GET /api/{city} => /api/bergen");
        check("GET api.example/api/bergen", "GET api.example/api/{city} => /api/bergen");
        check("POST api.example/api/bergen", "POST /api/{name} => /api/bergen");
        check("GET other.example/api/bergen", "GET /api/{city} => /api/bergen");
    }

    #[test]
    fn a_template_is_filled_with_what_the_path_captured() {
        let table = table(&[
            "GET /weather/{city} -> /v1/forecast?q={city}",
            "GET /at/{city} -> /{city}",
            "GET /deep/{a}/{*b} -> /x/{a}/{*b}",
        ])
        .unwrap();
        let check = |asked: &str, uri: &str| {
            let found = find(&table, asked);
            assert_eq!(found.split_once(" => ").map(|(_, uri)| uri), Some(uri), "{asked}: {found}");
        };
        check("GET /weather/oslo", "/v1/forecast?q=oslo");
        check("GET /weather/oslo?q=bergen", "/v1/forecast?q=oslo");
        check("GET /weather/a%26q=b%23", "/v1/forecast?q=a%26q%3Db%23");
        check("GET /at/oslo?units=metric", "/oslo?units=metric");
        check("GET /deep/1/2/3", "/x/1/2/3");
    }

    #[test]
    fn a_host_that_no_route_names_is_misdirected_only_if_all_routes_name_one() {
        let hosted = table(&["GET a.example/x"]).unwrap();
        assert_eq!(find(&hosted, "GET b.example/x"), "no host");
        assert_eq!(find(&hosted, "GET a.example/y"), "no route");
        assert_eq!(find(&table(&[]).unwrap(), "GET b.example/x"), "no route");
    }

    #[test]
    fn routes_that_stand_in_each_others_way_are_refused_by_name() {
        let check = |routes: &[&str], why: &str| {
            let bad = table(routes).map(|_| ()).unwrap_err();
            assert_eq!(bad.to_string(), why);
        };
        check(
            &["GET /a/{x}", "GET /a/{y}"],
            "route `GET /a/{y}`: is the same as route `GET /a/{x}`",
        );
        check(&["* /a", "* /a"], "route `* /a`: is the same as route `* /a`");
        check(&["GET a"], "route `GET a`: a path must begin with `/`");
        check(&["GET /{x} -> /{y}"], "route `GET /{x} -> /{y}`: there is no value of this name");
    }
}
