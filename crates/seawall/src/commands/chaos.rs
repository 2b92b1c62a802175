//! `seawall chaos`: injects faults into the attempts of a running server, always with an end.

use seawall_admin::ChaosChange;
use serde_json::json;

use super::Console;
use super::remote::Remote;
use crate::cli::{self, Global};
use crate::exit::Exit;

pub(super) fn chaos(global: &Global, flags: &cli::ChaosFlags, console: &Console) -> Exit {
    let change = ChaosChange {
        upstream: flags.upstream.clone(),
        for_seconds: (!flags.clear).then_some(flags.for_long.as_secs_f64()),
        // A latency without a share is for all that nothing else happens to.
        latency: match (flags.latency, flags.latency_share) {
            (Some(_), Some(share)) => share,
            (Some(_), None) => (1.0 - flags.fail - flags.hang - flags.reset).max(0.0),
            (None, _) => 0.0,
        },
        latency_seconds: flags.latency.unwrap_or_default().as_secs_f64(),
        errors: flags.fail,
        hangs: flags.hang,
        resets: flags.reset,
        key: flags.key.clone(),
    };
    match Remote::find(global, flags.admin, console) {
        Ok(remote) => remote.change("POST /chaos", &json!(change), console),
        Err(exit) => exit,
    }
}
