//! That no two files of a crate name each other, unless one is the other's parent.
//!
//! Does not know: what a name stands for. It reads `use` trees and paths that begin with `crate` or
//! `super`, and follows what another file only imports to the file where it stands. Tests may name
//! anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{code, code_of, shown, sources};

/// What one file names. Modules are written as `http1/flow`, the root as nothing.
struct File {
    /// The paths in its code.
    named: Vec<Vec<String>>,
    /// The names that it imports, each with its path: others may have them from here.
    imported: BTreeMap<String, Vec<String>>,
}

/// The files of a crate by their modules.
struct Files(BTreeMap<String, File>);

#[test]
fn no_two_files_name_each_other() {
    let mut crates: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for path in sources() {
        let name = shown(&path);
        let Some((owner, file)) = name.split_once("/src/") else { continue };
        let owner = owner.strip_prefix("crates/").unwrap();
        crates.entry(owner.to_owned()).or_default().push((module(file), code(&path)));
    }
    let mut found = Vec::new();
    for (owner, files) in &crates {
        found.extend(circles(files).into_iter().map(|circle| format!("{owner}: {circle}")));
    }
    assert!(found.is_empty(), "two files that name each other: {found:#?}");
}

/// Returns the pairs of files that name each other.
fn circles(files: &[(String, Vec<String>)]) -> Vec<String> {
    let is_test = |module: &str| module == "tests" || module.ends_with("/tests");
    let files = files.iter().filter(|(module, _)| !is_test(module));
    let files = Files(files.map(|(module, code)| (module.clone(), File::read(code))).collect());
    let mut edges = BTreeSet::new();
    for (module, file) in &files.0 {
        let named = file.named.iter().filter_map(|path| files.owner_of(module, path));
        edges.extend(named.map(|other| (module.clone(), other)));
    }
    let is_inside = |module: &str, parent: &str| {
        parent.is_empty() || module.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
    };
    let both = edges.iter().filter(|(one, other)| {
        one < other && !is_inside(other, one) && edges.contains(&(other.clone(), one.clone()))
    });
    both.map(|(one, other)| format!("{one} <-> {other}")).collect()
}

/// Returns the module that a file below `src` is.
fn module(file: &str) -> String {
    let module = file.trim_end_matches(".rs");
    let module = module.strip_suffix("/mod").unwrap_or(module);
    if module == "lib" { String::new() } else { module.to_owned() }
}

impl File {
    fn read(code: &[String]) -> Self {
        let (mut named, mut imported) = (Vec::new(), BTreeMap::new());
        let mut lines = code.iter();
        while let Some(line) = lines.next() {
            let Some(tree) = import(line) else {
                named.extend(paths(line));
                continue;
            };
            let mut tree = tree.to_owned();
            while !tree.contains(';') {
                tree += lines.next().unwrap();
            }
            let mut found = Vec::new();
            expand(&[], tree.split(';').next().unwrap(), &mut found);
            named.extend(found.iter().map(|(_, path)| path.clone()));
            // What stands further in is not the file's: a function has it, or a module within.
            if !line.starts_with(' ') {
                imported.extend(found);
            }
        }
        Self { named, imported }
    }
}

impl Files {
    /// Returns the module of this crate in which stands what a path of another one names.
    fn owner_of(&self, from: &str, path: &[String]) -> Option<String> {
        let (first, mut rest) = path.split_first()?;
        let mut module = from.to_owned();
        match first.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => {
                module = parent(&module);
                while let Some((first, others)) = rest.split_first()
                    && first == "super"
                {
                    (module, rest) = (parent(&module), others);
                }
            }
            first if self.0.contains_key(&child(from, first)) => rest = path,
            _ => return None,
        }
        while let Some((first, others)) = rest.split_first()
            && self.0.contains_key(&child(&module, first))
        {
            (module, rest) = (child(&module, first), others);
        }
        let path = rest.first().and_then(|name| self.0.get(&module)?.imported.get(name));
        let owner = path.and_then(|path| self.owner_of(&module, path));
        owner.or_else(|| self.0.contains_key(&module).then_some(module))
    }
}

fn parent(module: &str) -> String {
    module.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned()
}

fn child(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}/{name}") }
}

/// Returns the tree that a line imports, or begins to.
fn import(line: &str) -> Option<&str> {
    let (visibility, tree) = line.split_once("use ")?;
    let visibility = visibility.trim();
    let is_restricted = visibility.starts_with("pub(") && visibility.ends_with(')');
    (visibility.is_empty() || visibility == "pub" || is_restricted).then_some(tree)
}

/// Returns the paths of a `use` tree, each with the name it has from then on.
fn expand(prefix: &[String], tree: &str, found: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    if let Some((front, inner)) = tree.split_once('{') {
        let prefix = [prefix, &segments(front)].concat();
        let inner = inner.strip_suffix('}').unwrap();
        // After a comma at the end nothing is named.
        let parts = parts(inner).into_iter().filter(|part| !part.trim().is_empty());
        parts.for_each(|part| expand(&prefix, part, found));
        return;
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias)),
        None => (tree, None),
    };
    let mut path = [prefix, &segments(path)].concat();
    let is_glob = path.pop_if(|last| last == "*").is_some();
    // `a::{self, B}` names `a`.
    path.pop_if(|last| last == "self");
    if let Some(last) = path.last() {
        // What a glob brings has no name here.
        let name = if is_glob { "*" } else { alias.unwrap_or(last) };
        found.push((name.to_owned(), path));
    }
}

/// Splits at the commas that stand in no inner braces.
fn parts(list: &str) -> Vec<&str> {
    let mut depth = 0;
    list.split(|letter| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .collect()
}

/// Returns the paths outside imports that begin with `crate` or `super`.
fn paths(line: &str) -> impl Iterator<Item = Vec<String>> {
    let is_of_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = line.split(move |letter| !is_of_path(letter));
    words.filter(|word| word.starts_with("crate::") || word.starts_with("super::")).map(segments)
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> =
            files.iter().map(|(file, text)| (module(file), code_of(text))).collect();
        circles(&files)
    }

    #[test]
    fn a_circle_through_a_re_export_is_found() {
        let root = "pub use transport::{\n    BadAddress as Bad, Transport,\n};\n";
        let address = "use std::fmt;\n\nuse crate::{\n    Bad,\n    head::{Head},\n};\n";
        let transport = "fn open(to: &crate::address::Address) {}\n";
        let files = [("lib.rs", root), ("address.rs", address), ("transport.rs", transport)];
        assert_eq!(check(&files), ["address <-> transport"]);
        assert!(check(&files[..2]).is_empty());
        let keys = ("keys.rs", "pub use super::table::KEYS;\n");
        assert_eq!(check(&[keys, ("table.rs", "use crate::keys::Key;\n")]), ["keys <-> table"]);
    }

    #[test]
    fn a_circle_through_the_parent_is_found() {
        let reader = ("http1/reader.rs", "use super::refusal::{self, Refusal};\n");
        let refusal = ("http1/refusal.rs", "use super::Place;\n");
        let parent = ("http1/mod.rs", "pub(crate) use reader::Place;\n");
        assert_eq!(check(&[parent, reader, refusal]), ["http1/reader <-> http1/refusal"]);
        let refusal = ("http1/refusal.rs", "use super::super::http1::reader::Place;\n");
        assert_eq!(check(&[parent, reader, refusal]), ["http1/reader <-> http1/refusal"]);
    }

    #[test]
    fn a_parent_and_its_child_may_name_each_other() {
        let root = ("lib.rs", "use sim::Drip;\n\nstruct Body;\n");
        let parent =
            ("sim.rs", "use drip::Drip;\nuse crate::Body;\nmod inner {\n    use super::*;\n}\n");
        let child = ("sim/drip.rs", "use super::Simulation;\nuse crate::Body;\n");
        assert!(check(&[root, parent, child]).is_empty());
    }

    #[test]
    fn what_tests_and_comments_name_makes_no_circle() {
        let one =
            ("one.rs", "// crate::two::Two\n#[cfg(test)]\nmod tests {\n    use crate::two;\n}\n");
        let two = ("two.rs", "use crate::one::One;\n");
        let tests = ("two/tests.rs", "use crate::one::One;\n");
        let other = ("one.rs", "use crate::two::tests::Three;\n");
        assert!(check(&[one, two]).is_empty());
        assert!(check(&[other, tests]).is_empty());
    }
}
