//! The name of a public type stands once in the workspace.
//!
//! Does not know: names that a macro puts together, and what is public only within its crate.

use std::collections::BTreeMap;

use crate::metadata::root;
use crate::source::{code_of, shown, sources};

/// The names that every module may have once, by custom: people read them with their module.
const IN_EACH_MODULE: &[&str] = &["Error", "Params", "Settings", "State"];

/// How a type is declared.
const KEYWORDS: &[&str] = &["struct", "enum", "union", "trait", "type"];

#[test]
fn the_name_of_a_public_type_stands_once() {
    let mut files = BTreeMap::<String, Vec<String>>::new();
    for path in sources().into_iter().filter(|path| is_shipped(&shown(path))) {
        for name in public_types(&std::fs::read_to_string(&path).unwrap()) {
            files.entry(name).or_default().push(shown(&path));
        }
    }
    assert!(files.contains_key("Policy"), "no type was found in {}", root().display());
    let doubled = doubled(&files);
    assert!(doubled.is_empty(), "give one of each a name that says what it holds: {doubled:#?}");
}

/// Returns the names that stand more often than they may, with the files they stand in.
fn doubled(files: &BTreeMap<String, Vec<String>>) -> Vec<(&str, &[String])> {
    let is_doubled = |(name, files): &(&String, &Vec<String>)| {
        let is_usual = IN_EACH_MODULE.contains(&name.as_str());
        files.len() > 1 && !(is_usual && files.windows(2).all(|pair| pair[0] != pair[1]))
    };
    files.iter().filter(is_doubled).map(|(name, files)| (name.as_str(), files.as_slice())).collect()
}

/// Returns whether a file belongs to a crate's own code, and is no file of its unit tests.
fn is_shipped(file: &str) -> bool {
    let mut parts = file.split('/').skip(2);
    parts.next() == Some("src")
        && parts.all(|part| part != "tests" && part != "tests.rs" && !part.ends_with("_tests.rs"))
}

/// Returns the names of the public types that are declared in a text, in their order.
fn public_types(text: &str) -> Vec<String> {
    code_of(text).iter().filter_map(|line| public_type(line)).map(str::to_owned).collect()
}

fn public_type(line: &str) -> Option<&str> {
    let declaration = line.trim_start().strip_prefix("pub ")?;
    let (keyword, rest) = declaration.split_once(' ')?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let name = &rest[..end.unwrap_or(rest.len())];
    (KEYWORDS.contains(&keyword) && !name.is_empty()).then_some(name)
}

#[test]
fn only_public_types_are_found() {
    let text = "pub struct One<T>(T);\nstruct Private;\npub(crate) enum Inner {}\nmod open {\n    \
                pub trait Two: Send {}\n}\n/// pub struct Said;\npub type Three = u8;\n\
                pub fn struct_of() {}\npub struct $name;\npub use other::Four;\n\
                #[cfg(test)]\nmod tests {\n    pub enum Five {}\n}\npub enum Six {\n";
    assert_eq!(public_types(text), ["One", "Two", "Three", "Six"]);
}

#[test]
fn tests_are_not_shipped() {
    assert!(is_shipped("crates/seawall-wire/src/http1/head.rs"));
    assert!(!is_shipped("crates/seawall-wire/tests/http1.rs"));
    assert!(!is_shipped("crates/seawall-call/src/gate/tests.rs"));
    assert!(!is_shipped("crates/seawall-watch/src/recorder_tests.rs"));
}

#[test]
fn a_usual_name_stands_once_in_each_module() {
    let listed = |names: &[(&str, &[&str])]| -> BTreeMap<String, Vec<String>> {
        let owned = |files: &[&str]| files.iter().map(|&file| file.to_owned()).collect();
        names.iter().map(|(name, files)| ((*name).to_owned(), owned(files))).collect()
    };
    let names = |files: &BTreeMap<String, Vec<String>>| -> Vec<String> {
        doubled(files).into_iter().map(|(name, _)| name.to_owned()).collect()
    };
    let found = listed(&[("Params", &["a.rs", "b.rs"]), ("Place", &["a.rs"])]);
    assert!(names(&found).is_empty());
    let found = listed(&[("Params", &["a.rs", "a.rs"]), ("Place", &["a.rs", "b.rs"])]);
    assert_eq!(names(&found), ["Params", "Place"]);
}
