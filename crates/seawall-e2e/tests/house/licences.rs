//! The lists of `deny.toml`, held over everything we depend on.
//!
//! cargo-deny reads the same file and does this better, but takes longer to build than all of
//! Seawall. Does not know: advisories, which need the network.

use serde_json::Value;

use crate::metadata::{Metadata, name, root};

#[test]
fn every_dependency_has_an_allowed_licence() {
    let (metadata, lists) = (Metadata::read(), lists());
    let allowed = strings(&lists["licenses"]["allow"]);
    let mut wrong = Vec::new();
    for package in metadata.packages() {
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{}: {licence}", name(package)));
        }
    }
    assert!(wrong.is_empty(), "not allowed by deny.toml: {wrong:?}");
}

#[test]
fn every_dependency_comes_from_the_registry_or_from_here() {
    let metadata = Metadata::read();
    let elsewhere: Vec<&str> = metadata
        .packages()
        .filter(|one| one["source"].as_str().is_some_and(|from| !from.starts_with("registry+")))
        .map(name)
        .collect();
    assert!(elsewhere.is_empty(), "not from the registry: {elsewhere:?}");
}

#[test]
fn no_dependency_is_banned() {
    let (metadata, lists) = (Metadata::read(), lists());
    for ban in lists["bans"]["deny"].as_array().unwrap() {
        let banned = ban["crate"].as_str().unwrap();
        let reason = ban["reason"].as_str().expect("a ban says why");
        assert!(!metadata.packages().any(|one| name(one) == banned), "{banned}: {reason}");
    }
}

#[test]
fn a_licence_expression_is_read_as_cargo_writes_it() {
    let allowed = ["MIT", "Apache-2.0"].map(String::from);
    check("MIT OR Apache-2.0", &allowed, true);
    check("GPL-3.0 OR MIT", &allowed, true);
    check("MIT/Apache-2.0", &allowed, true);
    check("(MIT OR GPL-3.0) AND Apache-2.0", &allowed, true);
    check("MIT AND Unicode-3.0", &allowed, false);
    check("GPL-3.0", &allowed, false);
    check("Apache-2.0 WITH LLVM-exception OR GPL-3.0", &allowed, false);

    fn check(licence: &str, allowed: &[String], expected: bool) {
        assert_eq!(is_allowed(licence, allowed), expected, "{licence}");
    }
}

/// Returns whether a licence expression can be met: every part of an `AND`, one of an `OR`.
fn is_allowed(licence: &str, allowed: &[String]) -> bool {
    let licence = licence.replace('/', " OR ");
    // `AND` binds tighter than `OR`, but people write brackets only around `OR`; so split at the
    // `AND`s outside brackets if there are any brackets, else at the `OR`s first.
    if licence.contains('(') {
        return licence.split(" AND ").all(|part| {
            is_allowed(part.trim_matches(|letter| letter == '(' || letter == ')'), allowed)
        });
    }
    licence.split(" OR ").any(|choice| {
        choice.split(" AND ").all(|one| allowed.iter().any(|licence| licence == one.trim()))
    })
}

fn lists() -> Value {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}
