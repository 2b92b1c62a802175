//! What a route answers when its call has failed, as it is meant.
//!
//! Does not know: when that is. The file of a prepared body is read here, once: what the settings
//! say holds, whatever becomes of the file.

use std::fs;

use http::{HeaderValue, StatusCode};
use seawall_upstream::Prepared;

use super::keys::{self, Key};
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::typed::Text;
use super::types::FallbackSettings;

/// Reads a route's fallback; nothing after reporting what is wrong with it. `find` finds an
/// upstream by the key that names it, or reports that it is not there.
pub(super) fn fallback(
    section: &Section,
    resolved: &Resolved,
    report: &mut SettingsReport,
    find: impl FnOnce(&mut SettingsReport) -> Option<usize>,
) -> Option<Option<FallbackSettings>> {
    if !resolved.get(keys::ROUTE_FALLBACK) {
        return Some(None);
    }
    if let Some((name, span)) = section.text(keys::ROUTE_FALLBACK_UPSTREAM) {
        if section.text(keys::ROUTE_UPSTREAM).is_some_and(|(own, _)| own == name) {
            let problem = SettingsProblem::error("a route cannot fall back on its own upstream");
            report.add(problem.at(span, "").help("name another one, or take it out"));
            return None;
        }
        if let Some(other) = BODIES.into_iter().find_map(|key| resolved.span(key)) {
            let problem =
                SettingsProblem::error("a fallback is another upstream, or a body, not both");
            report.add(problem.at(span, "another upstream").at(other, "a body"));
            return None;
        }
        return find(report).map(FallbackSettings::Upstream).map(Some);
    }
    let status = u16::try_from(resolved.get(keys::ROUTE_FALLBACK_STATUS)).unwrap_or_default();
    let text = resolved.get(keys::ROUTE_FALLBACK_CONTENT_TYPE);
    let Ok(content_type) = HeaderValue::from_str(text) else {
        let span = resolved.span(keys::ROUTE_FALLBACK_CONTENT_TYPE).unwrap_or(0..0);
        report.add(SettingsProblem::error("not a media type").at(span, ""));
        return None;
    };
    let body = body(section, report)?;
    let status = StatusCode::from_u16(status).ok()?;
    Some(Some(FallbackSettings::Prepared(Prepared::new(status, content_type, body))))
}

fn body(section: &Section, report: &mut SettingsReport) -> Option<Vec<u8>> {
    let text = section.text(keys::ROUTE_FALLBACK_BODY);
    let Some((path, span)) = section.text(keys::ROUTE_FALLBACK_FILE) else {
        return Some(text.map(|(text, _)| text.as_bytes().to_vec()).unwrap_or_default());
    };
    if let Some((_, other)) = text {
        let problem = SettingsProblem::error("a fallback has one body, here or in a file");
        report.add(problem.at(other, "here").at(span, "in a file"));
        return None;
    }
    let read = fs::metadata(path).and_then(|seen| match seen.len() {
        // A pipe or a device has no end.
        _ if !seen.is_file() => Err(std::io::Error::other("not a regular file")),
        bytes if bytes > BYTES_MAX => Err(std::io::Error::other("larger than 1 MiB")),
        _ => fs::read(path),
    });
    match read {
        Ok(body) => Some(body),
        Err(error) => {
            let problem = SettingsProblem::error(format!("could not read `{path}`: {error}"));
            report.add(problem.at(span, "the body of a fallback"));
            None
        }
    }
}

/// The keys that say which body is prepared.
const BODIES: [Key<Option<Text>>; 2] = [keys::ROUTE_FALLBACK_BODY, keys::ROUTE_FALLBACK_FILE];
const BYTES_MAX: u64 = 1024 * 1024;
