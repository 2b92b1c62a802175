//! The placeholders of other routers, written as ours: what people try first.
//!
//! Does not know: what is reported. It only says what to write instead.

use seawall_wire::Pattern;

/// Writes the placeholders of other routers (`:id`, a last `*`) in a path for an upstream as ours,
/// if they can only be meant: the upstream may have such segments too.
pub(super) fn foreign(path: &str, pattern: &Pattern) -> Option<String> {
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let rest = pattern.names().last().filter(|name| name.is_rest);
    let segment = |segment: &str| match (segment.strip_prefix(':'), rest) {
        (Some(name), _) if pattern.names().iter().any(|own| own.name == name && !own.is_rest) => {
            format!("{{{name}}}")
        }
        (None, Some(rest)) if segment == "*" && path.ends_with("/*") => {
            format!("{{*{}}}", rest.name)
        }
        _ => segment.to_owned(),
    };
    let written = path.split('/').map(segment).collect::<Vec<_>>().join("/");
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    (written != path).then(|| written + &query)
}

/// Writes the placeholders of other routers in a route's path as ours: `*`, `*path`, `:id`, `<id>`.
pub(super) fn ours(path: &str) -> Option<String> {
    let last = path.split('/').count() - 1;
    let segment = |(index, segment): (usize, &str)| {
        let is_last = index == last;
        let braced = segment.strip_prefix('<').and_then(|inside| inside.strip_suffix('>'));
        // Flask writes `<int:id>` and `<path:rest>`.
        let braced = braced.map(|inside| inside.split_once(':').unwrap_or(("", inside)));
        let name = segment.trim_start_matches(['*', ':']).trim_end_matches(['?', '*', '+']);
        let is_rest = segment.starts_with('*') || segment.ends_with('*');
        match braced {
            Some(("path", name)) if is_last => format!("{{*{name}}}"),
            Some((_, name)) => format!("{{{name}}}"),
            None if is_rest && is_last && name.is_empty() => "{*rest}".to_owned(),
            None if is_rest && name.is_empty() => "{name}".to_owned(),
            None if is_rest && is_last && segment.starts_with([':', '*']) => format!("{{*{name}}}"),
            None if segment.starts_with(':') => format!("{{{name}}}"),
            None => segment.to_owned(),
        }
    };
    let written = path.split('/').enumerate().map(segment).collect::<Vec<_>>().join("/");
    (written != path && Pattern::parse(&written).is_ok()).then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_another_router_is_written_as_ours() {
        let check =
            |path: &str, want: Option<&str>| assert_eq!(ours(path).as_deref(), want, "{path}");
        check("/api/*", Some("/api/{*rest}"));
        check("/*", Some("/{*rest}"));
        check("/api/**", Some("/api/{*rest}"));
        check("/api/*/x", Some("/api/{name}/x"));
        check("/files/*path", Some("/files/{*path}"));
        check("/files/:path*", Some("/files/{*path}"));
        check("/users/:id", Some("/users/{id}"));
        check("/users/:id?/posts/:post", Some("/users/{id}/posts/{post}"));
        check("/users/<int:id>", Some("/users/{id}"));
        check("/files/<path:rest>", Some("/files/{*rest}"));
        check("/users/<id>/x", Some("/users/{id}/x"));
        check("/users/{id}", None);
        check("/a/*.php", None);
        check("/a//b", None);
    }

    #[test]
    fn a_path_for_an_upstream_is_only_doubted_where_its_route_has_the_name() {
        let pattern = Pattern::parse("/users/{id}/{*rest}").expect("a pattern");
        let check = |path: &str, want: Option<&str>| {
            assert_eq!(foreign(path, &pattern).as_deref(), want, "{path}");
        };
        check("/v1/:id", Some("/v1/{id}"));
        check("/v1/:id/*?x=:id", Some("/v1/{id}/{*rest}?x=:id"));
        check("/v1/:other", None);
        check("/logs-*/_search", None);
        check("/*/x", None);
        check("/v1/{id}", None);
    }
}
