//! That pages say what is so: names they quote exist, and what users meet has a page.

use std::collections::BTreeSet;

use crate::floors::floor;
use crate::metadata::{Metadata, root};
use crate::source::{shown, sources};

#[test]
fn every_name_in_the_architecture_page_exists() {
    let page = read("ARCHITECTURE.md");
    let text = all_sources();
    let missing: Vec<&str> =
        page.split('`').skip(1).step_by(2).filter(|name| !exists(name, &text)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn cargo_run_knows_which_binary_is_meant() {
    let metadata = Metadata::read();
    assert_eq!(
        metadata.default_binaries(),
        ["seawall"],
        "the first command of README.md is `cargo run`"
    );
}

#[test]
fn every_metric_that_a_text_names_is_in_the_list_of_names() {
    let names = read("crates/seawall-watch/src/names.rs");
    let mut unknown = BTreeSet::new();
    let mut texts: Vec<_> = sources()
        .iter()
        .map(|path| (shown(path), std::fs::read_to_string(path).unwrap()))
        .collect();
    texts.extend(pages().into_iter().map(|page| (page.clone(), read(&page))));
    for (file, text) in texts {
        for area in ["gateway", "call", "upstream", "worker", "config", "runtime"] {
            let start = format!("seawall_{area}_");
            for (at, _) in text.match_indices(&start) {
                let is_path = text[at..].split(|letter: char| !is_of_name(letter)).next().unwrap();
                let name = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| is_path.strip_suffix(end))
                    .unwrap_or(is_path);
                let is_known = names.contains(&format!("\"{name}\"")) || name.ends_with('_');
                if !is_known && !text[at + is_path.len()..].starts_with("::") {
                    unknown.insert(format!("{file}: {name}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut lost = BTreeSet::new();
    for page in pages() {
        let folder = root().join(&page);
        for link in links(&read(&page)) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !folder.parent().unwrap().join(path).exists() {
                lost.insert(format!("{page}: {link}"));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn the_index_names_every_page_of_the_documentation() {
    let index = read("docs/README.md");
    let named: BTreeSet<String> =
        links(&index).map(|link| format!("docs/{}", link.split('#').next().unwrap())).collect();
    assert!(named.contains("docs/decisions"), "the decisions are named as a folder");
    let is_page = |page: &String| {
        page.starts_with("docs/")
            && !page.starts_with("docs/decisions/")
            && *page != "docs/README.md"
    };
    let missing: Vec<String> =
        pages().into_iter().filter(is_page).filter(|page| !named.contains(page)).collect();
    assert!(missing.is_empty(), "docs/README.md does not name {missing:?}");
}

#[test]
fn every_problem_type_has_a_section_in_the_page_of_errors() {
    let page = read("docs/errors/README.md");
    let mut missing = BTreeSet::new();
    for path in sources().iter().filter(|path| shown(path).contains("seawall-gateway/src/")) {
        let text = std::fs::read_to_string(path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        for after in product.split("word: \"").skip(1) {
            let word = after.split('"').next().unwrap();
            if !page.contains(&format!("### {word}\n")) {
                missing.insert(word.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "docs/errors/README.md does not explain {missing:?}");
}

#[test]
fn every_page_with_rust_in_it_is_compiled() {
    let (sources, policy) = (all_sources(), read("crates/seawall-call/src/guide.rs"));
    let is_compiled = |page: &String| match page.strip_prefix("docs/guide/policy/") {
        Some(name) => policy.contains(&format!("=> \"{name}\"")),
        None => sources.contains(&format!("include_str!(\"../../../{page}\")")),
    };
    let with_rust: Vec<_> =
        pages().into_iter().filter(|page| read(page).contains("```rust")).collect();
    assert!(with_rust.len() > 10, "{with_rust:?}");
    let forgotten: Vec<_> = with_rust.iter().filter(|page| !is_compiled(page)).collect();
    assert!(forgotten.is_empty(), "nothing compiles the Rust of {forgotten:?}");
}

/// Returns the links of a page that lead to files.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|after| after.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

/// Returns every page that people read, in order.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    pages.push("CONTRIBUTING.md".to_owned());
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(end) if end == "md" => pages.push(shown(&path)),
                _ => {}
            }
        }
    }
    pages.sort();
    pages
}

/// Returns whether a quoted name is a path, a crate, or something declared in the sources; what
/// is none of these by its look (a header, a command) is taken as it is.
fn exists(name: &str, text: &str) -> bool {
    if name.starts_with("seawall-") && !name.contains(' ') {
        return floor(name).is_some() || text.contains(&format!("\"{name}\"")); // Or a header.
    }
    if [".rs", ".md", ".toml"].iter().any(|end| name.ends_with(end)) {
        return root().join(name).exists() || name == "seawall.toml";
    }
    let is_type = name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.contains(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(|letter| is_of_name(letter) || letter == ':');
    if !is_type {
        return true;
    }
    name.split("::").all(|part| {
        let declared = ["struct ", "enum ", "trait ", "type ", "fn ", "const "];
        declared.iter().any(|kind| text.contains(&format!("{kind}{part}")))
            || text.contains(&format!("    {part}")) // A variant.
    })
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn all_sources() -> String {
    sources().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}
