//! Secrets, which stand in the environment and never in the file.
//!
//! Does not know: what they are for. None is ever told in a report, only where it should be.

use seawall_core::Secret;

use super::keys::Key;
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::typed::SecretSource;

/// Reads the environment; tests bring their own.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a secret from where the settings say; nothing if they do not, or after reporting that it
/// is not there.
pub(super) fn secret(
    resolved: &Resolved,
    key: Key<Option<SecretSource>>,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> Option<Secret> {
    let (env, default) = resolved.get(key)?;
    let span = resolved.span(key).unwrap_or(0..0);
    match environment(env).map(Secret::new).or_else(|| default.cloned()) {
        None => {
            let title = format!("the environment variable {env} is not set");
            let help = format!("export {env}=…, or add `default = \"…\"` for this machine");
            report.add(SettingsProblem::error(title).at(span, "needed here").help(help));
            None
        }
        Some(secret) if secret.expose().trim().is_empty() => {
            let title = format!("the environment variable {env} is empty");
            report.add(SettingsProblem::error(title).at(span, "needed here"));
            None
        }
        secret => secret,
    }
}
