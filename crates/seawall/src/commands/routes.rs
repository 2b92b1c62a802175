//! `seawall routes`: the routes, and what happens to one request.

use serde_json::json;

use super::Talk;
use crate::cli::{Global, RoutesAction};
use crate::exit::Exit;
use crate::settings::{Meant, RouteMeant};

pub(super) fn routes(global: &Global, action: Option<&RoutesAction>, talk: &Talk) -> Exit {
    let meant = match super::load(global, talk) {
        Ok(loaded) => loaded.meant,
        Err(exit) => return exit,
    };
    match action {
        None => list(&meant, talk),
        Some(RoutesAction::Test { .. }) => Exit::Bug,
    }
}

fn list(meant: &Meant, talk: &Talk) -> Exit {
    if talk.json {
        let routes: Vec<_> = meant.routes.iter().map(|route| document(meant, route)).collect();
        talk.document(&json!({ "schema": 1, "routes": routes }));
        return Exit::Done;
    }
    let rows = meant.routes.iter().filter_map(|route| {
        let upstream = meant.upstreams.get(route.upstream)?;
        let target = format!("{}{}", upstream.name, route.upstream_path.as_deref().unwrap_or(""));
        let worst = upstream.params.worst_case().answer();
        Some([route.name.to_string(), target, upstream.policy.to_string(), format!("{worst:?}")])
    });
    let heading = ["ROUTE", "UPSTREAM", "POLICY", "ANSWERS WITHIN"].map(str::to_owned);
    let rows: Vec<_> = [heading].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    for [route, target, policy, worst] in &rows {
        let [a, b, c] = widths;
        talk.answer(&format!("{route:<a$}  {target:<b$}  {policy:<c$}  {worst}"));
    }
    Exit::Done
}

fn document(meant: &Meant, route: &RouteMeant) -> serde_json::Value {
    let upstream = meant.upstreams.get(route.upstream);
    let worst = upstream.map(|upstream| upstream.params.worst_case().answer());
    json!({
        "route": &*route.name,
        "method": route.method.as_ref().map(|method| method.as_str()),
        "host": route.host.as_deref(),
        "path": &*route.path,
        "upstream": upstream.map(|upstream| &*upstream.name),
        "upstream_path": route.upstream_path.as_deref(),
        "policy": upstream.map(|upstream| &*upstream.policy),
        "answers_within_ms": worst.map(|worst| worst.as_millis() as u64),
    })
}
