//! Which route a request takes: by host, then by path, then by method.
//!
//! Does not know requests or upstreams. Two routes never answer the same request: a table in
//! which they could is refused when it is made.

use std::collections::HashMap;
use std::sync::Arc;

use http::{Method, Uri};
use matchit::{InsertError, Router};
use seawall_wire::{Path, Pattern, Template};

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
    pub(crate) fn uri(
        &self,
        captured: &[&str],
        path: &Path<'_>,
        query: Option<&str>,
    ) -> Option<Uri> {
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
