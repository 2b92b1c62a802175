//! `seawall check`: everything that is wrong with a settings file, and on request with the way to
//! its upstreams.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use seawall_settings::{self as settings, Loaded, SettingsProblem, SettingsReport, Severity};

use super::Console;
use crate::cli::{Check, CheckFormat, Global};
use crate::exit::Exit;

pub(super) fn check(global: &Global, flags: &Check, console: &Console) -> Exit {
    let source = match super::source(global, console) {
        Ok(source) => source,
        Err(exit) => return exit,
    };
    let (mut report, loaded) = match settings::load(&source) {
        Ok(loaded) => (loaded.warnings.clone(), Some(loaded)),
        Err(report) => (report, None),
    };
    if flags.connect {
        loaded.iter().for_each(|loaded| connect(loaded, &mut report));
    }
    match flags.format {
        CheckFormat::Human if !console.json => {
            console.answer(&human(&report, loaded.as_ref(), console))
        }
        CheckFormat::Github => console.answer(report.github().trim_end()),
        _ => console.document(&report.json()),
    }
    let is_refused = report.has_errors() || (flags.strict && !report.is_empty());
    if is_refused { Exit::No } else { Exit::Done }
}

fn human(report: &SettingsReport, loaded: Option<&Loaded>, console: &Console) -> String {
    let count = |severity, word: &str| match report.count(severity) {
        0 => None,
        1 => Some(format!("1 {word}")),
        more => Some(format!("{more} {word}s")),
    };
    let counts = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let counts = if counts.is_empty() { "fine".to_owned() } else { counts.join(", ") };
    let of = loaded.map_or(String::new(), |Loaded { settings, .. }| {
        let (routes, upstreams) = (settings.routes.len(), settings.upstreams.len());
        let s = |count| if count == 1 { "" } else { "s" };
        format!(" ({routes} route{}, {upstreams} upstream{})", s(routes), s(upstreams))
    });
    let problems = report.human(console.is_answer_colored());
    format!("{problems}{}: {counts}{of}", report.source().name)
}

/// Opens a connection to every upstream, and reports those that cannot be reached.
fn connect(loaded: &Loaded, report: &mut SettingsReport) {
    let upstreams = loaded.settings.upstreams.iter();
    let ways =
        upstreams.flat_map(|upstream| upstream.all().into_iter().map(move |a| (upstream, a)));
    for (upstream, address) in ways {
        let Some((host, port)) = settings::socket_of(address) else { continue };
        if let Err(error) = dial(&host, port, upstream.params.timeout.connect) {
            let title = format!("upstream `{}` cannot be reached: {error}", upstream.name);
            let problem =
                SettingsProblem::error(title).help(format!("is it running at {host}:{port}?"));
            report.add(match loaded.shown.place_of_url(&upstream.name) {
                Some(span) => problem.at(span, ""),
                None => problem,
            });
        }
    }
    report.sort();
}

fn dial(host: &str, port: u16, timeout: Duration) -> std::io::Result<()> {
    let mut last = std::io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
