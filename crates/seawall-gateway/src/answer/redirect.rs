//! Redirects on their way back: what names the upstream is made to name what the client asked for.
//!
//! Does not know caches: what is kept names the upstream, and each client is told in its own words.
//! As nginx does by default, `Location` and `Refresh` are looked at, and an address without a host
//! passes as it is.

use http::{HeaderValue, Uri};
use seawall_upstream::{HttpRequest, Operation, UpstreamUrl};
use seawall_wire::Fields;
use seawall_wire::headers as rules;
use seawall_wire::name::{LOCATION, REFRESH};

/// Rewrites the redirects in an answer's headers.
///
/// `request` is what the upstream was sent, `asked` what the client asked for.
pub(crate) fn rewrite(
    headers: &mut Fields,
    operation: &Operation,
    request: &HttpRequest,
    asked: &Uri,
) {
    if !headers.contains(LOCATION) && !headers.contains(REFRESH) {
        return;
    }
    let (roots, names) = (operation.roots(asked), operation.names());
    headers.change(|name, value| {
        if name != LOCATION && name != REFRESH {
            return None;
        }
        let text = value.to_str()?;
        let at = if name == LOCATION { 0..text.len() } else { in_refresh(text) };
        let url = names.read(&text[at.clone()])?;
        let target = here(&url, roots.as_ref(), rules::asked(&request.headers));
        HeaderValue::try_from(format!("{}{target}{}", &text[..at.start], &text[at.end..])).ok()
    });
}

/// Finds the address in `5; url=http://...`; it may stand in quotes.
fn in_refresh(text: &str) -> std::ops::Range<usize> {
    let Some(at) = text.to_ascii_lowercase().find("url=") else { return 0..0 };
    let start = at + "url=".len();
    match text[start..].chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inside = &text[start + 1..];
            start + 1..start + 1 + inside.find(quote).unwrap_or(inside.len())
        }
        _ => start..text.len(),
    }
}

/// Writes an address of the upstream as the client would have asked for it.
fn here(
    url: &UpstreamUrl<'_>,
    roots: Option<&(String, &str)>,
    asked: (&str, Option<&str>),
) -> String {
    let target = url.below();
    let moved = roots
        .and_then(|(there, here)| Some(format!("{here}{}", target.strip_prefix(there.as_str())?)));
    let target = moved.as_deref().unwrap_or(target);
    match asked {
        (scheme, Some(host)) => format!("{scheme}://{host}{target}"),
        // Two slashes would begin a host.
        (_, None) => format!("/{}", target.trim_start_matches('/')),
    }
}
