//! The upstream that a flag names, and what else flags say of requests.
//!
//! Does not know: what is sent.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use seawall_call::Policy;
use seawall_core::{Silent, UpstreamId};
use seawall_http::{Options, Transport};
use seawall_policy::Params;
use seawall_settings::Source;
use seawall_upstream::{Http, Upstream};

use super::Console;
use crate::cli::Global;
use crate::exit::Exit;

/// Returns the upstream, which is a name in the settings or an address, behind its policy;
/// an empty text if the reason was already told.
pub(super) fn upstream_of(
    global: &Global,
    upstream: &str,
    policy: Option<&str>,
    console: &Console,
) -> Result<Upstream, (String, Exit)> {
    let is_address = upstream.contains("://") || upstream.starts_with("sim:");
    let has_settings = Source::find(global.config.as_deref()).is_some();
    let loaded = match !is_address || policy.is_some() || has_settings {
        true => Some(super::load(global, console).map_err(|exit| (String::new(), exit))?),
        false => None,
    };
    let settings = loaded.as_ref().map(|loaded| &loaded.settings);
    let (addresses, options, mut params) = match settings {
        Some(settings) if !is_address => {
            let named = settings.upstreams.iter().find(|one| *one.name == *upstream);
            let named = named.ok_or_else(|| {
                let all = settings.upstreams.iter().map(|upstream| &*upstream.name).collect();
                (format!("no upstream `{upstream}`: {}", names(all)), Exit::Usage)
            })?;
            (named.all(), named.options.clone(), named.params.clone())
        }
        _ => {
            let standard = settings.and_then(|settings| settings.policies.first());
            let params = standard.map_or_else(Params::standard, |policy| policy.params.clone());
            (vec![upstream], Options::default(), params)
        }
    };
    if let (Some(name), Some(settings)) = (policy, settings) {
        let named = settings.policies.iter().find(|policy| *policy.name == *name);
        let policy = named.ok_or_else(|| {
            let all = settings.policies.iter().map(|policy| &*policy.name).collect();
            (format!("no policy `{name}`: {}", names(all)), Exit::Usage)
        })?;
        params = policy.params.clone();
    }
    let transport = Transport::several(&addresses, options).map_err(|bad| (bad.0, Exit::Usage))?;
    let policy = Policy::new(UpstreamId(0), params, Arc::new(Silent));
    Ok(Upstream::new(upstream, policy, Http::new(transport)))
}

/// Lists what there is, for an error that names what there is not.
pub(super) fn names(list: Vec<&str>) -> String {
    match list.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there are: {}", list.join(", ")),
    }
}

/// Reads a header, as `name: value`.
pub(super) fn header_of(header: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = header.split_once(':').and_then(|(name, value)| {
        let name: HeaderName = name.trim().parse().ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    parsed.ok_or_else(|| format!("`{header}` is not `name: value`"))
}
