//! What a package imports, it uses.

use std::path::Path;

use crate::metadata::{Metadata, name};
use crate::source::{has_word, sources};

#[test]
fn every_dependency_is_used() {
    let metadata = Metadata::read();
    let sources = sources();
    let mut idle = Vec::new();
    for package in metadata.packages().filter(|package| package["source"].is_null()) {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap();
        // The examples are a package of their own, whose sources are not listed.
        let own: Vec<_> = sources.iter().filter(|path| path.starts_with(folder)).collect();
        if own.is_empty() {
            continue;
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let is_dev = dependency["kind"] == "dev";
            let given = dependency["rename"].as_str().unwrap_or_else(|| name(dependency));
            let word = given.replace('-', "_");
            let is_used = own.iter().any(|path| {
                let is_product = path.starts_with(folder.join("src"));
                (is_dev || is_product) && has_word(&std::fs::read_to_string(path).unwrap(), &word)
            });
            if !is_used {
                idle.push(format!("{} does not use {given}", name(package)));
            }
        }
    }
    assert!(idle.is_empty(), "{idle:#?}");
}
