//! Policies for many upstreams: one instance for each key, named numbers for all of them.
//!
//! Does not know: what a key is (a host, a tenant, an upstream's name). Invariants: never more
//! instances than `instances_max`; an instance that somebody holds is never evicted, so all callers
//! of one key share one state; a reload reaches every instance, those included that are made
//! while it is going on.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use seawall_core::{Observers, UpstreamId};
use seawall_policy::{Catalog, Params};

use crate::{Policy, clock};

/// Holds one policy for each key, made when it is first asked for.
///
/// An instance is held by whoever has a clone of its [`Policy`], a call under way or an answer's
/// [`Permit`](crate::Permit). One that nobody holds is evicted when it has been idle for too long,
/// or when its place is needed. **Its state goes with it:** an open breaker, a spent rate limit and
/// what was learned begin anew with the next call. Keep a clone where that matters.
///
/// ```
/// use seawall_call::Registry;
/// use seawall_policy::{Catalog, Params};
///
/// let catalog = Catalog::builder()
///     .define("standard", Params::standard())
///     .extend("once", "standard", |params| params.retry = None)
///     .build()?;
/// let registry = Registry::new("standard", catalog)?;
///
/// let oslo = registry.get(&"oslo.example:443")?;
/// // The same state with other numbers, for one route.
/// let once = registry.get_as(&"oslo.example:443", "once")?;
/// assert!(once.params().retry.is_none() && oslo.params().retry.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<K> {
    standard: Arc<str>,
    catalog: ArcSwap<Catalog>,
    /// Held for a whole reload: two at once could leave instances on different catalogs.
    reloading: Mutex<()>,
    shards: Box<[Mutex<HashMap<K, Instance>>]>,
    hasher: RandomState,
    /// How many instances there are, those included that are being made.
    count: AtomicUsize,
    instances_max: usize,
    idle_for: Duration,
    observers: Observers,
    name: Box<dyn Fn(&K) -> UpstreamId + Send + Sync>,
}

struct Instance {
    policy: Policy,
    /// The same state with the numbers of other names.
    named: Vec<(Arc<str>, Policy)>,
    /// When it was last asked for, or seen in use.
    used: Instant,
}

/// Says why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryError {
    /// No policy has this name.
    Unknown {
        /// The name.
        name: Arc<str>,
    },
    /// There are as many instances as there may be, and somebody holds each of them.
    Full {
        /// How many there may be.
        instances_max: usize,
    },
}

impl<K: Hash + Eq + Clone> Registry<K> {
    /// Makes a registry of at most 10,000 instances, each of which may be idle for ten minutes;
    /// every instance has the policy with the name `standard`, unless another one is asked for.
    ///
    /// # Errors
    ///
    /// Returns [`RegistryError::Unknown`] if the catalog has no policy with this name.
    pub fn new(standard: impl Into<Arc<str>>, catalog: Catalog) -> Result<Self, RegistryError> {
        let standard = standard.into();
        find(&catalog, &standard)?;
        Ok(Self {
            standard,
            catalog: ArcSwap::from_pointee(catalog),
            reloading: Mutex::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            instances_max: 10_000,
            idle_for: Duration::from_secs(600),
            observers: Observers::default(),
            name: Box::new(|_| UpstreamId(0)),
        })
    }

    /// Bounds how many instances there are, at least one, and how long each may be idle.
    #[must_use]
    pub fn bounded(mut self, instances_max: usize, idle_for: Duration) -> Self {
        self.instances_max = instances_max.max(1);
        self.idle_for = idle_for;
        self
    }

    /// Tells somebody of every event; `name` gives each key the number by which events speak of it.
    #[must_use]
    pub fn observed(
        mut self,
        observers: impl Into<Observers>,
        name: impl Fn(&K) -> UpstreamId + Send + Sync + 'static,
    ) -> Self {
        self.observers = observers.into();
        self.name = Box::new(name);
        self
    }

    /// Returns the policy of a key; makes it if it is not there.
    ///
    /// # Errors
    ///
    /// Returns [`RegistryError::Full`] if it is not there and no other may go for it.
    pub fn get(&self, key: &K) -> Result<Policy, RegistryError> {
        self.with(key, |instance, _| Ok(instance.policy.clone()))
    }

    /// Returns a policy with the state of a key and the numbers of a name. The places and their
    /// queue stay those of the standard one, see [`Policy::derive`].
    ///
    /// # Errors
    ///
    /// Returns [`RegistryError::Full`] as [`get`](Self::get) does, and
    /// [`RegistryError::Unknown`] if no policy has this name.
    pub fn get_as(&self, key: &K, name: &str) -> Result<Policy, RegistryError> {
        self.with(key, |instance, catalog| {
            if name == &*self.standard {
                return Ok(instance.policy.clone());
            }
            let known = instance.named.iter().position(|(one, _)| &**one == name);
            // No more than there are names in the catalog.
            let params = find(catalog, name)?;
            let place = known.unwrap_or_else(|| {
                let derived = instance.policy.derive_as_is(params.clone());
                instance.named.push((name.into(), derived));
                instance.named.len() - 1
            });
            Ok(instance.named[place].1.clone())
        })
    }

    /// Puts a new catalog in force, for every instance and for those to come. All state is kept;
    /// calls in flight finish on the numbers they began with, see [`Policy::reload`]. Policies
    /// whose name is gone keep their numbers for those who hold them.
    ///
    /// # Errors
    ///
    /// Returns [`RegistryError::Unknown`] if the standard policy is not among them; then nothing
    /// has changed.
    pub fn reload(&self, catalog: Catalog) -> Result<(), RegistryError> {
        find(&catalog, &self.standard)?;
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = Arc::new(catalog);
        // First, so that whoever makes an instance in a shard that has been visited reads it.
        self.catalog.store(catalog.clone());
        for shard in &self.shards {
            for instance in lock(shard).values_mut() {
                instance.reload(&self.standard, &catalog);
            }
        }
        Ok(())
    }

    /// Evicts every instance that nobody holds and that has been idle for too long; returns how
    /// many. New instances do it on their way; call it from time to time if there are none.
    pub fn evict_idle(&self) -> usize {
        let now = clock::now();
        self.shards.iter().map(|shard| self.evict_idle_in(&mut lock(shard), now)).sum()
    }

    /// Returns how many instances there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does something to the policy of every key, for example to put it on a page.
    pub fn for_each(&self, mut visit: impl FnMut(&K, &Policy)) {
        for shard in &self.shards {
            // Foreign code does not run under the lock.
            let seen: Vec<(K, Policy)> = lock(shard)
                .iter()
                .map(|(key, instance)| (key.clone(), instance.policy.clone()))
                .collect();
            seen.iter().for_each(|(key, policy)| visit(key, policy));
        }
    }

    fn with<T>(
        &self,
        key: &K,
        run: impl FnOnce(&mut Instance, &Catalog) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        let shard = &self.shards[place];
        let now = clock::now();
        if let Some(instance) = lock(shard).get_mut(key) {
            instance.used = now;
            return run(instance, &self.catalog.load());
        }
        // Foreign code does not run under the lock.
        let id = (self.name)(key);
        self.reserve(place, now)?;
        let mut instances = lock(shard);
        let is_new = !instances.contains_key(key);
        if !is_new {
            // Another thread was quicker.
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        // Read under the lock of the shard: a reload visits it before or after.
        let catalog = self.catalog.load();
        let standard = find(&catalog, &self.standard)?;
        let instance = instances.entry(key.clone()).or_insert_with(|| {
            let policy = Policy::new(id, standard.clone(), self.observers.clone());
            Instance { policy, named: Vec::new(), used: now }
        });
        instance.used = now;
        run(instance, &catalog)
    }

    /// Makes room for one more instance, first in the shard it is for.
    fn reserve(&self, place: usize, now: Instant) -> Result<(), RegistryError> {
        self.evict_idle_in(&mut lock(&self.shards[place]), now);
        loop {
            let counted = self
                .count
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                    (count < self.instances_max).then_some(count + 1)
                })
                .is_ok();
            if counted {
                return Ok(());
            }
            let mut shards = (0..SHARDS).map(|step| &self.shards[(place + step) % SHARDS]);
            if !shards.any(|shard| self.evict_oldest_in(&mut lock(shard), now)) {
                return Err(RegistryError::Full { instances_max: self.instances_max });
            }
        }
    }

    fn evict_idle_in(&self, instances: &mut HashMap<K, Instance>, now: Instant) -> usize {
        let before = instances.len();
        instances.retain(|_, instance| {
            instance.is_held(now) || now.saturating_duration_since(instance.used) < self.idle_for
        });
        let evicted = before - instances.len();
        self.count.fetch_sub(evicted, Ordering::Relaxed);
        evicted
    }

    fn evict_oldest_in(&self, instances: &mut HashMap<K, Instance>, now: Instant) -> bool {
        let idle = instances
            .iter_mut()
            .filter_map(|(key, instance)| (!instance.is_held(now)).then_some((instance.used, key)));
        let Some(oldest) = idle.min_by_key(|(used, _)| *used).map(|(_, key)| key.clone()) else {
            return false;
        };
        instances.remove(&oldest);
        self.count.fetch_sub(1, Ordering::Relaxed);
        true
    }
}

impl Instance {
    /// Returns whether anybody holds it; whoever does is using it now.
    fn is_held(&mut self, now: Instant) -> bool {
        // Only what is in the registry can be cloned from here, and that under the shard's lock:
        // when nobody else holds the core, nobody can come to hold it.
        let is_held = Arc::strong_count(&self.policy.core) > 1 + self.named.len();
        if is_held {
            self.used = now;
        }
        is_held
    }

    fn reload(&mut self, standard: &str, catalog: &Catalog) {
        // Whoever holds one whose name is gone keeps it, and with it the instance.
        self.named.retain(|(name, _)| catalog.get(name).is_some());
        let named = self.named.iter().map(|(name, policy)| (&**name, policy));
        for (name, policy) in [(standard, &self.policy)].into_iter().chain(named) {
            if let Some(params) = catalog.get(name)
                && policy.params() != *params
            {
                policy.reload_as_is(Params::clone(params));
            }
        }
    }
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Params, RegistryError> {
    let params = catalog.get(name).map(|params| &**params);
    params.ok_or_else(|| RegistryError::Unknown { name: name.into() })
}

fn lock<K>(shard: &Mutex<HashMap<K, Instance>>) -> MutexGuard<'_, HashMap<K, Instance>> {
    // A key whose `Hash` or `Eq` panics leaves a whole map behind, or an entry too few.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> fmt::Debug for Registry<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("standard", &self.standard)
            .field("count", &self.count)
            .field("instances_max", &self.instances_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RegistryError {
    /// Says it so that it reads after "could not take the policy: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(f, "no policy is called `{name}`"),
            Self::Full { instances_max } => {
                write!(f, "all {instances_max} instances are held by somebody")
            }
        }
    }
}

impl std::error::Error for RegistryError {}

/// Enough that threads rarely meet.
const SHARDS: usize = 16;
