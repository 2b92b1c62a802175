//! What would happen to a request, without sending it: for people who ask.
//!
//! Does not know: anything that the data path does not. It asks the same table.

use http::{Method, Uri};
use seawall_wire::path;

use crate::route::{Found, Table};
use crate::{BadRoute, Route, RouteEnd, Settings};

/// Answers what would happen to requests under some settings.
pub struct Explainer(Table);

/// Says where a request would go.
#[derive(Clone)]
pub struct Explained {
    /// The route that would take it.
    pub route: Route,
    /// The path and query that the upstream would be asked for, before its base.
    pub uri: Uri,
}

/// Says why a request would go nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Its target is refused before any route: 400.
    Refused(String),
    /// No route has this path: 404.
    NoRoute,
    /// No route is for this host: 421.
    NoHost,
    /// Routes have this path, but for these methods: 405.
    NoMethod(Vec<Method>),
}

impl Explainer {
    /// Reads settings as the gateway would.
    ///
    /// # Errors
    ///
    /// Names the route whose path cannot be read, or that stands in another one's way.
    pub fn new(settings: Settings) -> Result<Self, BadRoute> {
        Table::new(settings).map(Self)
    }

    /// Says where a request for a path and query would go; `host` is in lower case, without port.
    ///
    /// # Errors
    ///
    /// Says why it would go nowhere.
    pub fn explain(
        &self,
        method: &Method,
        host: Option<&str>,
        target: &str,
    ) -> Result<Explained, NotTaken> {
        let refused = |why: &dyn ToString| NotTaken::Refused(why.to_string());
        let uri: Uri = target.parse().map_err(|error| refused(&error))?;
        let path = path::canonical(uri.path()).map_err(|flaw| refused(&flaw))?;
        match self.0.find(method, host, &path) {
            Found::Route(entry) => {
                let uri = match &entry.route.to {
                    RouteEnd::Call(operation) => {
                        operation.uri(&uri).map_err(|why| refused(&why))?
                    }
                    RouteEnd::Prepared(_) | RouteEnd::Responder(_) => uri,
                };
                Ok(Explained { route: entry.route.clone(), uri })
            }
            Found::NoMethod(allowed) => {
                Err(NotTaken::NoMethod(allowed.into_iter().cloned().collect()))
            }
            Found::NoRoute => Err(NotTaken::NoRoute),
            Found::NoHost => Err(NotTaken::NoHost),
        }
    }
}
