//! Two queries made one: what a route writes, and what the client asks beside it.
//!
//! Does not know routes. The invariant: a parameter that the route names is the route's alone.

use percent_encoding::percent_decode_str;

/// Adds the client's query to a target that may have one of its own. What the client says of a
/// parameter that the target has already is left out.
///
/// ```
/// use seawall_wire::query;
///
/// let target = query::join("/v1/forecast?units=metric".to_owned(), "q=oslo&units=us");
/// assert_eq!(target, "/v1/forecast?units=metric&q=oslo");
/// ```
pub fn join(mut target: String, client: &str) -> String {
    let Some(at) = target.find('?') else {
        target.push('?');
        target.push_str(client);
        return target;
    };
    let names: Vec<String> = names(&target[at + 1..]).collect();
    for piece in client.split('&').filter(|piece| !piece.is_empty()) {
        if self::names(piece).any(|name| names.contains(&name)) {
            continue;
        }
        if !target.ends_with(['?', '&']) {
            target.push('&');
        }
        target.push_str(piece);
    }
    target
}

/// Returns the names of a query's parameters as the most lenient reader takes them: some take `;`
/// for `&`, some mind no case, and PHP takes `a.b` for `a_b` and `a[]` for `a`.
fn names(query: &str) -> impl Iterator<Item = String> {
    query.split(['&', ';']).map(|pair| {
        let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
        let name = percent_decode_str(&name).decode_utf8_lossy().to_ascii_lowercase();
        let name = name.trim_start().split(['[', '\0']).next().unwrap_or_default();
        name.replace([' ', '.'], "_")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, client: &str, want: &str) {
        assert_eq!(join(target.to_owned(), client), want, "{target} {client}");
    }

    #[test]
    fn the_clients_query_stands_beside_the_routes() {
        check("/x", "a=1&b", "/x?a=1&b");
        check("/x", "", "/x?");
        check("/x?u=1", "a=1&b=%26&c", "/x?u=1&a=1&b=%26&c");
        check("/x?u=1", "", "/x?u=1");
        check("/x?", "a=1", "/x?a=1");
        check("/x?u=1&", "&a=1&&", "/x?u=1&a=1");
    }

    #[test]
    fn a_parameter_of_the_route_is_not_the_clients_to_set() {
        for client in
            ["u=2", "u", "%75=2", "U=2", "u[]=2", "u%5B0%5D=2", "+u=2", "u%00=2", "x;u=2", "u=2;x"]
        {
            check("/x?u=1", client, "/x?u=1");
        }
        check("/x?u_v=1", "u.v=2&u%20v=2&uv=2", "/x?u_v=1&uv=2");
    }
}
