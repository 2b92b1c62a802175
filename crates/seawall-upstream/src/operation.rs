//! What a route calls, under the route's name: an upstream, the path that is asked for, and what
//! stands in when the call fails.
//!
//! Does not know: how a request came, or how the reply is told. A gateway calls it for each request
//! of the route; whoever else knows it by its name, a hub's method or a job, calls it the same way.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use seawall_call::Context;
use seawall_policy::Params;
use seawall_wire::template::FillFlaw;
use seawall_wire::{Pattern, Template, query};
use thiserror::Error;

use crate::address::{UpstreamHost, UpstreamNames};
use crate::{Fallback, HttpRequest, Reply, Upstream, cache, fallback};

/// A call that has a name.
#[derive(Clone)]
pub struct Operation {
    /// Its name, which is its route's.
    pub name: Arc<str>,
    /// The upstream, with the policy of the route.
    pub upstream: Upstream,
    /// The host that the upstream is told.
    pub upstream_host: UpstreamHost,
    /// Whether its bodies are streams, which may come slowly and be silent for long, whatever their
    /// media types.
    pub is_stream: bool,
    /// What it answers when its call has failed; `None` for the failure.
    pub fallback: Option<Fallback>,
    pattern: Pattern,
    /// The path and query to ask the upstream for; `None` for those that were asked for.
    template: Option<Template>,
    /// The route's own path, to be filled in where nobody has asked for one; nothing if that
    /// cannot be done.
    own: Option<Template>,
}

/// What is wrong with an operation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{name}`: {why}")]
pub struct BadOperation {
    /// The operation.
    pub name: Arc<str>,
    /// What is wrong with its path, or with the upstream's.
    pub why: String,
}

/// Why there is no path to ask an upstream for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPath {
    /// Once it is filled in, it is longer than a request line takes.
    #[error("the path is too long for the upstream")]
    TooLong,
    /// What was asked for is no path, or a value cannot stand in one.
    #[error("the path cannot be asked for: {0}")]
    Unfit(String),
}

impl Operation {
    /// Makes an operation that asks the upstream for what it is asked for itself, on the paths of a
    /// route: `/api/weather/{city}`.
    ///
    /// # Errors
    ///
    /// Fails if the path is none.
    pub fn new(
        name: impl Into<Arc<str>>,
        upstream: Upstream,
        path: &str,
    ) -> Result<Self, BadOperation> {
        let name = name.into();
        let bad = |why: String| BadOperation { name: Arc::clone(&name), why };
        let pattern = Pattern::parse(path).map_err(|flaw| bad(flaw.to_string()))?;
        let own = Template::parse(path).ok();
        Ok(Self {
            name,
            upstream,
            upstream_host: UpstreamHost::default(),
            is_stream: false,
            fallback: None,
            pattern,
            template: None,
            own,
        })
    }

    /// Asks the upstream for this path and query instead: `/v1/forecast?q={city}`.
    ///
    /// # Errors
    ///
    /// Fails if it is none, or has a placeholder that the route's path has not.
    pub fn asking_for(mut self, upstream_path: &str) -> Result<Self, BadOperation> {
        let bad = |why: String| BadOperation { name: Arc::clone(&self.name), why };
        let template = Template::parse(upstream_path).map_err(|flaw| bad(flaw.to_string()))?;
        template.check_names(&self.pattern).map_err(|flaw| bad(flaw.to_string()))?;
        self.template = Some(template);
        Ok(self)
    }

    /// Calls: what is stored and fresh > a call shared with others > the policy's call > what is
    /// stored and stale > the fallback.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up; the reason is read from the context. A call that
    /// others wait for goes on.
    pub async fn call(&self, request: &HttpRequest, mut context: Context<'_>) -> Reply {
        context.enter();
        let params = self.upstream.policy().params();
        if self.fallback.is_none() && !cache::is_used(&params, request) {
            // Not by way of the others: a reply is large, and each moves it once more.
            let reply = self.upstream.send_by(&params, request, context).await.into();
            cache::forget_changed(&self.names(), request, &reply);
            return reply;
        }
        // Boxed: calls with neither carry no room for it.
        Box::pin(self.call_with_all(&params, request, context)).await
    }

    async fn call_with_all(
        &self,
        params: &Params,
        request: &HttpRequest,
        context: Context<'_>,
    ) -> Reply {
        let names = self.names();
        let reply = cache::call(&names, params, request, context).await;
        match &self.fallback {
            None => reply,
            Some(fallback) => fallback::stand_in(&names, fallback, reply, request, context).await,
        }
    }

    /// Returns the path and query at the upstream for what was asked for; without a template that
    /// is the same, byte for byte.
    ///
    /// # Errors
    ///
    /// Refuses what cannot be filled in, or is too long once it is.
    pub fn uri(&self, asked: &Uri) -> Result<Uri, BadPath> {
        let Some(template) = &self.template else {
            let target = asked.path_and_query().ok_or_else(|| unfit("it is empty"))?;
            if target.as_str().starts_with('/') {
                return Ok(Uri::from(target.clone()));
            }
            // After an authority the path may be empty, which means `/` and is written so.
            return Uri::try_from(target.to_string()).map_err(unfit);
        };
        let filled = self.fill(template, asked, None)?;
        let target = match asked.query() {
            Some(client) => query::join(filled, client),
            None => filled,
        };
        to_uri(target)
    }

    /// Returns the path and query at the upstream with these values in the places of the route's
    /// path.
    ///
    /// # Errors
    ///
    /// Refuses a place without a value, a value that cannot stand in a path, and a path that is too
    /// long once it is filled in.
    pub fn uri_with<'v>(&self, value_of: impl Fn(&str) -> Option<&'v str>) -> Result<Uri, BadPath> {
        let template = self.template.as_ref().or(self.own.as_ref());
        let template = template.ok_or_else(|| unfit("the route's path cannot be filled in"))?;
        to_uri(template.fill(value_of)?)
    }

    /// Returns what stands before the `{*rest}` that both paths end in: at the upstream, and in
    /// what was asked for. All that the upstream has below the one is found below the other.
    pub fn roots<'u>(&self, asked: &'u Uri) -> Option<(String, &'u str)> {
        let template = self.template.as_ref()?;
        let rest = self.pattern.names().last().filter(|name| name.is_rest)?;
        template.names().iter().find(|name| name.is_rest && name.name == rest.name)?;
        let filled = self.fill(template, asked, Some(&rest.name)).ok()?;
        let root = filled.split('?').next().unwrap_or_default().to_owned();
        let asked = asked.path();
        let sent = self.pattern.capture(&rest.name, asked)?;
        Some((root, asked.strip_suffix(sent)?))
    }

    /// Returns the names that its upstream has in answers.
    pub fn names(&self) -> UpstreamNames<'_> {
        let other = match &self.fallback {
            Some(Fallback::Upstream(other)) => Some(other),
            Some(Fallback::Prepared(_)) | None => None,
        };
        UpstreamNames { upstream: &self.upstream, told: &self.upstream_host, other }
    }

    /// Fills a template in; with `without` as if that placeholder stood for nothing.
    fn fill(
        &self,
        template: &Template,
        asked: &Uri,
        without: Option<&str>,
    ) -> Result<String, FillFlaw> {
        let value_of = |name: &str| match without {
            Some(without) if name == without => Some(""),
            _ => self.pattern.capture(name, asked.path()),
        };
        template.fill_raw(value_of)
    }
}

impl From<FillFlaw> for BadPath {
    fn from(flaw: FillFlaw) -> Self {
        match flaw {
            FillFlaw::TooLong => Self::TooLong,
            FillFlaw::Missing(_) | FillFlaw::NotASegment(_) => unfit(flaw),
        }
    }
}

fn to_uri(target: String) -> Result<Uri, BadPath> {
    match target.len() <= TARGET_BYTES_MAX {
        true => Uri::try_from(target).map_err(unfit),
        false => Err(BadPath::TooLong),
    }
}

fn unfit(why: impl fmt::Display) -> BadPath {
    BadPath::Unfit(why.to_string())
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The longest that the `http` crate takes.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;
