//! Policies by name, each of which may extend another.
//!
//! Does not know: where names come from, or who uses a policy. Invariant: every policy in a catalog
//! is sound, and every name that one extends is there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::sync::Arc;

use crate::{ParamProblem, Params};

/// Holds sound policies by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    policies: BTreeMap<Arc<str>, Arc<Params>>,
}

/// Collects policies until they are complete; the order does not matter.
///
/// ```
/// use std::time::Duration;
///
/// use seawall_policy::{Catalog, Params};
///
/// let catalog = Catalog::builder()
///     .define("standard", Params::standard())
///     .extend("reports", "standard", |params| {
///         params.timeout.total = Duration::from_secs(300);
///         params.retry = None;
///     })
///     .build()?;
/// let reports = catalog.get("reports").expect("it has just been defined");
/// // Nobody said how long an attempt may take: it follows.
/// assert_eq!(reports.timeout.attempt, Duration::from_secs(300));
/// # Ok::<(), seawall_policy::CatalogError>(())
/// ```
#[derive(Default)]
#[must_use = "a catalog is not there before it is built"]
pub struct CatalogBuilder {
    entries: Vec<(Arc<str>, Entry)>,
}

enum Entry {
    Whole(Box<Params>),
    Extends { base: Arc<str>, change: Box<dyn FnOnce(&mut Params)> },
}

/// Lists everything that is wrong with the policies of a catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogError {
    /// What is wrong, each with the name of its policy.
    pub flaws: Vec<(Arc<str>, CatalogFlaw)>,
}

/// Says what is wrong with one policy of a catalog.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CatalogFlaw {
    /// It was defined before.
    Twice,
    /// It extends one that is not there.
    Unknown {
        /// What it extends.
        base: Arc<str>,
    },
    /// It extends itself, directly or through others.
    Circle,
    /// Its numbers cannot work.
    Unsound(ParamProblem),
}

impl Catalog {
    /// Begins a catalog without policies.
    pub fn builder() -> CatalogBuilder {
        CatalogBuilder::default()
    }

    /// Returns the policy with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Params>> {
        self.policies.get(name)
    }

    /// Returns all policies with their names, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Params>)> {
        self.policies.iter().map(|(name, params)| (&**name, params))
    }
}

impl CatalogBuilder {
    /// Defines a policy by all its numbers.
    pub fn define(mut self, name: impl Into<Arc<str>>, params: Params) -> Self {
        self.entries.push((name.into(), Entry::Whole(Box::new(params))));
        self
    }

    /// Defines a policy by what is different from another one. What was not changed follows what
    /// was, see [`Params::follow`].
    pub fn extend(
        mut self,
        name: impl Into<Arc<str>>,
        base: impl Into<Arc<str>>,
        change: impl FnOnce(&mut Params) + 'static,
    ) -> Self {
        let (base, change) = (base.into(), Box::new(change));
        self.entries.push((name.into(), Entry::Extends { base, change }));
        self
    }

    /// Makes the catalog.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong at once: names that are missing, defined twice or extend
    /// each other in a circle, and numbers that cannot work.
    pub fn build(self) -> Result<Catalog, CatalogError> {
        let mut flaws = Vec::new();
        let mut open: BTreeMap<Arc<str>, Entry> = BTreeMap::new();
        for (name, entry) in self.entries {
            match open.entry(name) {
                Slot::Occupied(first) => flaws.push((first.key().clone(), CatalogFlaw::Twice)),
                Slot::Vacant(slot) => {
                    slot.insert(entry);
                }
            }
        }
        let mut policies: BTreeMap<Arc<str>, Arc<Params>> = BTreeMap::new();
        // Each round takes in those whose base is there; as many rounds as there are generations.
        loop {
            let (ready, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
                open.into_iter().partition(|(_, entry)| match entry {
                    Entry::Whole(_) => true,
                    Entry::Extends { base, .. } => policies.contains_key(base),
                });
            open = rest;
            if ready.is_empty() {
                break;
            }
            for (name, entry) in ready {
                let params = entry.params(&policies);
                let problems = params.check().into_iter();
                flaws.extend(problems.map(|one| (name.clone(), CatalogFlaw::Unsound(one))));
                policies.insert(name, Arc::new(params));
            }
        }
        for (name, entry) in &open {
            let Entry::Extends { base, .. } = entry else { continue };
            let is_known = open.contains_key(base);
            let unknown = CatalogFlaw::Unknown { base: base.clone() };
            flaws.push((name.clone(), if is_known { CatalogFlaw::Circle } else { unknown }));
        }
        if flaws.is_empty() { Ok(Catalog { policies }) } else { Err(CatalogError { flaws }) }
    }
}

impl Entry {
    fn params(self, policies: &BTreeMap<Arc<str>, Arc<Params>>) -> Params {
        match self {
            Self::Whole(params) => *params,
            Self::Extends { base, change } => {
                // Only those whose base is there are asked.
                let before =
                    policies.get(&base).map_or_else(Params::standard, |base| (**base).clone());
                let mut params = before.clone();
                change(&mut params);
                params.follow(&before);
                params
            }
        }
    }
}

impl fmt::Debug for CatalogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(name, _)| name)).finish()
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, flaw)) in self.flaws.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}policy `{name}`: {flaw}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CatalogFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str("it is defined twice"),
            Self::Unknown { base } => write!(f, "it extends `{base}`, which is not there"),
            Self::Circle => f.write_str("it extends itself, or one that waits for such a policy"),
            Self::Unsound(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for CatalogError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn two_seconds(params: &mut Params) {
        params.timeout.total = Duration::from_secs(2);
    }

    #[test]
    fn a_policy_takes_over_what_it_does_not_change_whatever_the_order() {
        let catalog = Catalog::builder()
            .extend("once", "quick", |params| params.retry = None)
            .extend("quick", "standard", two_seconds)
            .define("standard", Params::standard())
            .build()
            .expect("all are sound");
        let once = catalog.get("once").expect("it is there");
        assert_eq!(once.timeout.total, Duration::from_secs(2));
        assert_eq!(once.breaker, Params::standard().breaker);
        let names: Vec<&str> = catalog.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["once", "quick", "standard"]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let error = Catalog::builder()
            .define("standard", Params::standard())
            .define("standard", Params::bare())
            .extend("one", "other", |_| ())
            .extend("other", "one", |_| ())
            .extend("lost", "nowhere", |_| ())
            .extend("broken", "standard", |params| params.timeout.idle = Duration::ZERO)
            .build()
            .expect_err("five are wrong");
        assert_eq!(
            error.to_string(),
            "policy `standard`: it is defined twice; policy `broken`: timeout.idle is zero; \
             policy `lost`: it extends `nowhere`, which is not there; \
             policy `one`: it extends itself, or one that waits for such a policy; \
             policy `other`: it extends itself, or one that waits for such a policy"
        );
    }
}
