//! What cargo says about the workspace and everything it depends on.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The workspace's packages and all they depend on, on this platform.
pub(crate) struct Metadata(Value);

/// What makes a package depend on another.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Edges {
    /// What ends up in the product.
    Normal,
    /// What only tests and benchmarks see.
    Dev,
}

impl Metadata {
    pub(crate) fn read() -> Self {
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform", &platform])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Returns the names of the workspace's own packages.
    pub(crate) fn members(&self) -> Vec<&str> {
        self.packages().filter(|package| package["source"].is_null()).map(name).collect()
    }

    /// Returns the binaries among which `cargo run` chooses.
    pub(crate) fn default_binaries(&self) -> Vec<&str> {
        let members = self.0["workspace_default_members"].as_array().unwrap();
        self.packages()
            .filter(|package| members.contains(&package["id"]))
            .flat_map(|package| package["targets"].as_array().unwrap())
            .filter(|target| target["kind"][0] == "bin")
            .map(name)
            .collect()
    }

    /// Returns every package.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.0["packages"].as_array().unwrap().iter()
    }

    /// Returns what a package imports itself.
    pub(crate) fn imports(&self, package: &str, edges: Edges) -> HashSet<&str> {
        let id = &self.packages().find(|value| name(value) == package).unwrap()["id"];
        self.imports_of(id, edges).map(|id| self.name_of(id)).collect()
    }

    /// Returns everything that ends up in a product with this package.
    pub(crate) fn reached(&self, package: &str) -> HashSet<&str> {
        let first = &self.packages().find(|value| name(value) == package).unwrap()["id"];
        let mut seen = HashSet::new();
        let mut open = vec![first];
        while let Some(id) = open.pop() {
            for id in self.imports_of(id, Edges::Normal) {
                if seen.insert(id.as_str().unwrap()) {
                    open.push(id);
                }
            }
        }
        self.packages().filter(|one| seen.contains(one["id"].as_str().unwrap())).map(name).collect()
    }

    fn imports_of(&self, id: &Value, edges: Edges) -> impl Iterator<Item = &Value> {
        let kind = if edges == Edges::Dev { Value::from("dev") } else { Value::Null };
        let nodes = self.0["resolve"]["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["id"] == *id).unwrap();
        let of_kind = move |import: &&Value| {
            import["dep_kinds"].as_array().unwrap().iter().any(|one| one["kind"] == kind)
        };
        node["deps"].as_array().unwrap().iter().filter(of_kind).map(|import| &import["pkg"])
    }

    fn name_of(&self, id: &Value) -> &str {
        name(self.packages().find(|package| package["id"] == *id).unwrap())
    }
}

/// Returns a package's name.
pub(crate) fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// Returns the workspace's directory.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
