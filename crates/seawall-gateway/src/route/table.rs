//! Which route a request takes: by host, then by path, then by method.
//!
//! Does not know requests or upstreams. Two routes never answer the same request: a table in
//! which they could is refused when it is made.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use matchit::{InsertError, Router};
use seawall_wire::Pattern;

use crate::{BadRoute, Route, Server, Settings};

/// Holds one generation of settings, ready to be asked.
pub(crate) struct Table {
    pub(crate) server: Server,
    entries: Vec<Entry>,
    hosts: HashMap<Arc<str>, Paths>,
    any_host: Paths,
}

/// Holds one route, read.
pub(crate) struct Entry {
    pub(crate) route: Route,
    pattern: Pattern,
}

/// Says what a request asks for.
pub(crate) enum Found<'t> {
    /// A route.
    Route(&'t Entry),
    /// Routes with this path, but none with this method; the methods that would do.
    NoMethod(Vec<&'t Method>),
    /// No route with this path.
    NoRoute,
    /// No route for this host at all.
    NoHost,
}

/// The routes of one host: a path leads to the routes that share it.
#[derive(Default)]
struct Paths(Router<Node>);

/// The routes that share a path.
#[derive(Default)]
struct Node {
    /// Those whose own path it is.
    own: Vec<usize>,
    /// Those that end in `/{*rest}` and take the folder before it too, unless another one does.
    folder: Vec<usize>,
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
        };
        for route in settings.routes {
            table.insert(route)?;
        }
        Ok(table)
    }

    /// Finds the route for a request; `host` is in lower case and without a port, `path` as
    /// [`seawall_wire::path::canonical`] gives it.
    pub(crate) fn find(&self, method: &Method, host: Option<&str>, path: &str) -> Found<'_> {
        let own = host.and_then(|host| self.hosts.get(host));
        if own.is_none() && self.entries.iter().all(|entry| entry.route.host.is_some()) {
            return if self.entries.is_empty() { Found::NoRoute } else { Found::NoHost };
        }
        let mut allowed = Vec::new();
        for paths in own.into_iter().chain([&self.any_host]) {
            let Ok(matched) = paths.0.at(path) else { continue };
            for indexes in [&matched.value.own, &matched.value.folder] {
                let entries = || indexes.iter().map(|&index| &self.entries[index]);
                let chosen = entries()
                    .find(|entry| entry.route.method.as_ref() == Some(method))
                    .or_else(|| entries().find(|entry| entry.serves_head_of(method)))
                    .or_else(|| entries().find(|entry| entry.route.method.is_none()));
                if let Some(entry) = chosen {
                    return Found::Route(entry);
                }
                allowed.extend(entries().filter_map(|entry| entry.route.method.as_ref()));
            }
        }
        if allowed.is_empty() { Found::NoRoute } else { Found::NoMethod(allowed) }
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
        let pattern = numbered(parsed.matcher());
        let paths = match &route.host {
            Some(host) => self.hosts.entry(Arc::clone(host)).or_default(),
            None => &mut self.any_host,
        };
        let index = self.entries.len();
        let node = match paths.node(&pattern) {
            Ok(node) => node,
            Err(InsertError::Conflict { with }) => {
                let other = self.named(&route, &with);
                return Err(bad(format!("stands in the way of route `{other}`")));
            }
            Err(other) => return Err(bad(other.to_string().to_lowercase())),
        };
        for &other in &node.own {
            let other = &self.entries[other].route;
            if other.method == route.method {
                return Err(bad(format!("is the same as route `{}`", other.name)));
            }
        }
        node.own.push(index);
        if let Some(folder) = folder(&parsed, &pattern) {
            let node = paths.node(folder).map_err(|error| bad(error.to_string().to_lowercase()))?;
            node.folder.push(index);
        }
        self.entries.push(Entry { route, pattern: parsed });
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

impl Paths {
    /// Returns the routes of a pattern, which is put in if it is not there yet.
    fn node(&mut self, pattern: &str) -> Result<&mut Node, InsertError> {
        match self.0.insert(pattern, Node::default()) {
            Err(InsertError::Conflict { with }) if with != pattern => {
                return Err(InsertError::Conflict { with });
            }
            Ok(()) | Err(InsertError::Conflict { .. }) => {}
            Err(other) => return Err(other),
        }
        match self.0.at_mut(pattern) {
            Ok(matched) => Ok(matched.value),
            Err(_) => Err(InsertError::Conflict { with: pattern.to_owned() }),
        }
    }
}

/// Returns the folder of a pattern that ends in `/{*rest}`: what a catch-all does not match.
fn folder<'p>(pattern: &Pattern, numbered: &'p str) -> Option<&'p str> {
    pattern.names().last().filter(|name| name.is_rest)?;
    Some(&numbered[..numbered.rfind("{*")?])
}

impl Entry {
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

    use http::Uri;
    use seawall_call::Policy;
    use seawall_core::{RouteId, Silent, UpstreamId};
    use seawall_http::{Options, Transport};
    use seawall_policy::Params;
    use seawall_upstream::{Http, Operation, Upstream};
    use seawall_wire::path;

    use super::*;
    use crate::RouteEnd;

    /// Makes a route of `GET host/path -> /upstream/path`; `*` stands for any method.
    fn route(text: &str) -> Result<Route, BadRoute> {
        let (asked, upstream_path) = match text.split_once(" -> ") {
            Some((asked, path)) => (asked, Some(path)),
            None => (text, None),
        };
        let (method, rest) = asked.split_once(' ').unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let id = UpstreamId(0);
        let policy = Policy::new(id, Params::standard(), Arc::new(Silent));
        let transport = Transport::new(&format!("http://{nowhere}"), Options::default()).unwrap();
        let upstream = Upstream::new("u", policy, Http::new(transport));
        let method = (method != "*").then(|| method.parse().unwrap());
        let host = (!host.is_empty()).then(|| host.into());
        let mut operation = Operation::new(text, upstream, path)?;
        if let Some(upstream_path) = upstream_path {
            operation = operation.asking_for(upstream_path)?;
        }
        Ok(Route { host, ..Route::to(RouteId(0), method, path, operation) })
    }

    fn operation(entry: &Entry) -> &Operation {
        let RouteEnd::Call(operation) = &entry.route.to else { panic!("it calls nothing") };
        operation
    }

    fn table(routes: &[&str]) -> Result<Table, BadRoute> {
        let routes = routes.iter().map(|text| route(text)).collect::<Result<_, _>>()?;
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
        match table.find(&method, Some(host).filter(|host| !host.is_empty()), &path) {
            Found::Route(entry) => {
                let uri = operation(entry).uri(&asked);
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
        check("GET //api//bergen", "GET /api/{city} => //api//bergen");
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
        check("GET /weather/oslo?units=us", "/v1/forecast?q=oslo&units=us");
        check("GET /weather/a%26q=b%23", "/v1/forecast?q=a%26q%3Db%23");
        check("GET /at/a%2Fb;c:d@e?units=metric", "/a%2Fb;c:d@e?units=metric");
        check("GET //deep/%41//2//3%2f", "/x/%41/2//3%2f");
        check("GET /at/oslo?units=metric", "/oslo?units=metric");
        check("GET /deep/1/2/3", "/x/1/2/3");
    }

    #[test]
    fn what_has_no_template_passes_byte_for_byte() {
        let table = table(&["GET /{*rest}", "GET /v/{name}/x"]).unwrap();
        let targets = [
            "//a///b//",
            "/%41%7e",
            "/v/%2F/x",
            "/a;b=c,d@e:f!$&'()*+",
            "/a|\"^{}",
            "/a%c3%a9",
            "/a?",
            "/?a=%41&&b=//../{|}",
            "/",
        ];
        for target in targets {
            let found = find(&table, &format!("GET {target}"));
            assert_eq!(found.split_once(" => ").map(|(_, uri)| uri), Some(target), "{found}");
        }
        let absolute = |text: &str| {
            let asked: Uri = text.parse().unwrap();
            let Found::Route(entry) = table.find(&Method::GET, None, "/") else {
                panic!("a route")
            };
            operation(entry).uri(&asked).ok().unwrap().to_string()
        };
        assert_eq!(absolute("http://a.example"), "/");
        assert_eq!(absolute("http://a.example?b=c"), "/?b=c");
        assert_eq!(absolute("http://a.example//b%41"), "//b%41");
    }

    #[test]
    fn a_rest_takes_the_folder_it_stands_in_and_a_route_of_its_own_wins() {
        let table = table(&[
            "GET /b/{*rest} -> /up/{*rest}",
            "* /c/{*rest}",
            "POST /c/",
            "GET /{a}/d/{*rest} -> /{a}/{*rest}",
            "GET h.example/{*rest} -> /{*rest}?r={rest}",
        ])
        .unwrap();
        let check = |asked: &str, found: &str| {
            let own = find(&table, asked);
            assert_eq!(own.rsplit(" => ").next(), Some(found), "{asked}: {own}");
        };
        check("GET /b/", "/up/");
        check("GET /b//", "/up/");
        check("GET /b/?x=1", "/up/?x=1");
        check("GET /b/x/", "/up/x/");
        check("GET /b", "no route");
        check("POST /b/", "[GET]");
        check("GET /x/d/", "/x/");
        check("GET /x/d/y", "/x/y");
        check("GET h.example/", "/?r=");
        assert!(find(&table, "POST /c/").starts_with("POST /c/ "));
        assert!(find(&table, "GET /c/").starts_with("* /c/{*rest} "));
    }

    #[test]
    fn what_an_upstream_has_below_one_root_is_asked_for_below_another() {
        let table = table(&["GET /b/{t}/{*rest} -> /up/{t}/{*rest}?x=1", "GET /{a} -> /x/{a}"]);
        let table = table.unwrap();
        let roots = |target: &str| {
            let asked: Uri = target.parse().unwrap();
            let path = path::canonical(asked.path()).unwrap();
            let Found::Route(entry) = table.find(&Method::GET, None, &path) else { panic!() };
            operation(entry).roots(&asked).map(|(there, here)| (there, here.to_owned()))
        };
        let pair = |there: &str, here: &str| Some((there.to_owned(), here.to_owned()));
        assert_eq!(roots("/b/%41/x/y"), pair("/up/%41/", "/b/%41/"));
        assert_eq!(roots("//b/t//"), pair("/up/t/", "//b/t//"));
        assert_eq!(roots("/oslo"), None);
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
