//! The floors: a crate imports only from strictly lower ones.

use crate::metadata::{Edges, Metadata};

/// Every crate and its floor. A new crate gets a line here, and a line in ARCHITECTURE.md.
const FLOORS: &[(&str, u8)] = &[
    ("seawall-core", 0),
    ("seawall-policy", 1),
    ("seawall-wire", 1),
    ("seawall-call", 2),
    ("seawall-lines", 2),
    ("seawall-jobs", 2),
    ("seawall-simulate", 2),
    ("seawall-http", 2),
    ("seawall-watch", 2),
    ("seawall-testkit", 2),
    ("seawall-upstream", 3),
    ("seawall-gateway", 4),
    ("seawall-worker", 4),
    ("seawall-settings", 5),
    ("seawall-admin", 5),
    ("seawall", 6),
    ("seawall-e2e", 6),
    ("seawall-bench", 6),
    ("seawall-examples", 6),
];

/// What floors 0 and 1 must never reach, not even through others: a runtime, a socket, a log, a
/// source of randomness that has no seed.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio-util",
    "hyper",
    "hyper-util",
    "h2",
    "mio",
    "socket2",
    "rustix",
    "tracing",
    "log",
    "rand",
    "getrandom",
    "fastrand",
    "futures-timer",
    "async-io",
    "chrono",
    "time",
];

#[test]
fn every_crate_has_a_floor() {
    let metadata = Metadata::read();
    let mut members = metadata.members();
    members.retain(|member| floor(member).is_none());
    assert!(members.is_empty(), "no floor is known for {members:?}");
}

#[test]
fn a_crate_imports_only_from_strictly_lower_floors() {
    let metadata = Metadata::read();
    let mut wrong = Vec::new();
    for member in metadata.members() {
        for import in metadata.imports(member, Edges::Normal) {
            if floor(import) >= floor(member) && floor(import).is_some() {
                wrong.push(format!("{member} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not strictly downward: {wrong:?}");
}

#[test]
fn tests_import_nothing_from_above_and_only_the_testkit_from_beside() {
    let metadata = Metadata::read();
    let mut wrong = Vec::new();
    for member in metadata.members() {
        for import in metadata.imports(member, Edges::Dev) {
            let beside = import == "seawall-testkit" && floor(import) <= floor(member);
            if floor(import).is_some() && floor(import) >= floor(member) && !beside {
                wrong.push(format!("{member} imports {import} for its tests"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_testkit_is_never_part_of_the_product() {
    assert!(!Metadata::read().reached("seawall").contains("seawall-testkit"));
}

#[test]
fn floors_0_and_1_reach_no_runtime_socket_log_or_unseeded_chance() {
    let metadata = Metadata::read();
    let mut wrong = Vec::new();
    for (member, _) in FLOORS.iter().filter(|(_, floor)| *floor <= 1) {
        let reached = metadata.reached(member);
        wrong.extend(IMPURE.iter().filter(|one| reached.contains(**one)).map(|one| (member, one)));
    }
    assert!(wrong.is_empty(), "reached from a pure floor: {wrong:?}");
}

/// Returns a crate's floor; `None` for a crate that is not ours.
pub(crate) fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(one, _)| *one == name).map(|(_, floor)| *floor)
}
