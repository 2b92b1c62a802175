//! A disk whose power can be cut: what was not made durable is lost, kept, or torn.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use seawall_core::Chance;
use seawall_worker::{Disk, DiskFile};

/// Is a disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<State>>);

struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that no directory was asked to keep yet, in order.
    renamed: Vec<Named>,
    chance: Chance,
    /// How many more changes there will be before the power is cut.
    left: Option<u64>,
    is_off: bool,
    is_locked: bool,
    /// Which change fails, and with what; the ones after it do not.
    fault: Option<(u64, Fault)>,
    changes: u64,
    syncs: u64,
}

/// Says which change fails next, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The disk is full: half of a write is done.
    Full,
    /// What was to be made durable is lost, though it can still be read.
    SyncFails,
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum Named {
    Is(PathBuf, usize),
    Moved(PathBuf, PathBuf),
    Gone(PathBuf),
}

const BLOCK: usize = 512;

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamed: Vec::new(),
            chance: Chance::seeded(seed),
            left: None,
            is_off: false,
            is_locked: false,
            fault: None,
            changes: 0,
            syncs: 0,
        })))
    }

    /// Cuts the power after so many changes.
    pub(crate) fn cut_after(&self, changes: u64) {
        self.state().left = Some(changes);
    }

    /// Lets one of the changes to come fail.
    pub(crate) fn fail_after(&self, changes: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.changes + changes, fault));
    }

    /// Returns whether the fault that was asked for has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().fault.is_none()
    }

    pub(crate) fn is_off(&self) -> bool {
        self.state().is_off
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Starts anew after the process died: all that was written is there.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        (state.left, state.is_off, state.is_locked, state.fault) = (None, false, false, None);
    }

    /// Starts anew after the power was gone: of what was not made durable, anything is there.
    pub(crate) fn power_up(&self) {
        self.restart();
        let state = &mut *self.state();
        let kept = state.renamed.len() as u64 + 1;
        let kept = (state.chance.bits() % kept) as usize;
        state.names = state.durable_names.clone();
        for named in state.renamed.drain(..).take(kept) {
            apply(&mut state.names, named);
        }
        state.durable_names = state.names.clone();
        for inode in &mut state.inodes {
            tear(inode, &mut state.chance);
        }
    }

    /// Returns what is in a file.
    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.names.get(path).map(|&at| state.inodes[at].now.clone()).unwrap_or_default()
    }

    /// Puts something into a file, as if it had always been there.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let at = state.names[path];
        state.inodes[at].now = bytes.to_vec();
        state.inodes[at].durable = bytes.to_vec();
    }

    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Makes a copy that changes on its own.
    pub(crate) fn copy(&self) -> Self {
        let other = Self::new(1);
        let (from, mut to) = (self.state(), other.state());
        to.inodes = from.inodes.clone();
        to.names = from.names.clone();
        to.durable_names = from.durable_names.clone();
        drop(to);
        drop(from);
        other
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// Loses what was not made durable, or some of it.
fn tear(inode: &mut Inode, chance: &mut Chance) {
    let Inode { now, durable, dirty } = inode;
    let (short, long) = (now.len().min(durable.len()), now.len().max(durable.len()));
    // All that is lost, all that is there, or a mixture.
    let (length, kept) = match chance.bits() % 4 {
        0 => (durable.len(), 0.0),
        1 => (now.len(), 1.0),
        _ => (short + (chance.bits() % (long - short + 1) as u64) as usize, chance.unit()),
    };
    let mut torn = durable.clone();
    torn.resize(length, 0);
    for &block in dirty.iter() {
        let from = block * BLOCK;
        let to = (from + BLOCK).min(length).min(now.len());
        if from < to && chance.happens(kept) {
            torn[from..to].copy_from_slice(&now[from..to]);
        }
    }
    dirty.clear();
    (*now, *durable) = (torn.clone(), torn);
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, named: Named) {
    match named {
        Named::Is(path, at) => {
            names.insert(path, at);
        }
        Named::Moved(from, to) => {
            if let Some(at) = names.remove(&from) {
                names.insert(to, at);
            }
        }
        Named::Gone(path) => {
            names.remove(&path);
        }
    }
}

impl State {
    /// Counts one change; fails if the power is gone, or goes with it.
    fn change(&mut self) -> io::Result<Option<Fault>> {
        if self.is_off {
            return Err(io::Error::other("the power is gone"));
        }
        self.changes += 1;
        if let Some(left) = &mut self.left {
            if *left == 0 {
                self.is_off = true;
                return Err(io::Error::other("the power is gone"));
            }
            *left -= 1;
        }
        Ok(self.fault.filter(|(at, _)| self.changes >= *at).map(|(_, fault)| fault))
    }

    fn rename(&mut self, named: Named) {
        apply(&mut self.names, named.clone());
        self.renamed.push(named);
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

pub(crate) struct SimFile {
    disk: Sim,
    at: usize,
}

/// Is given back when it is dropped.
pub(crate) struct SimLock(Sim);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.state().is_locked = false;
    }
}

impl Disk for Sim {
    type File = SimFile;
    type Lock = SimLock;

    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        state.change()?;
        state.syncs += 1;
        let of = |named: &Named| match named {
            Named::Is(name, _) | Named::Moved(_, name) | Named::Gone(name) => {
                name.parent() == Some(path)
            }
        };
        let (durable, left) = state.renamed.drain(..).partition::<Vec<_>, _>(of);
        state.renamed = left;
        durable.into_iter().for_each(|named| apply(&mut state.durable_names, named));
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Option<SimFile>> {
        Ok(self.state().names.get(path).map(|&at| SimFile { disk: self.clone(), at }))
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.state();
        if state.change()? == Some(Fault::Full) {
            state.fault = None;
            return Err(full());
        }
        state.inodes.push(Inode::default());
        let at = state.inodes.len() - 1;
        state.rename(Named::Is(path.to_owned(), at));
        Ok(SimFile { disk: self.clone(), at })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.rename(Named::Moved(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.rename(Named::Gone(path.to_owned()));
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<SimLock>> {
        let mut state = self.state();
        let was_locked = std::mem::replace(&mut state.is_locked, true);
        Ok((!was_locked).then(|| SimLock(self.clone())))
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.at].now.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        let state = self.disk.state();
        let bytes = &state.inodes[self.at].now;
        let from = at as usize;
        let Some(found) = bytes.get(from..from + buffer.len()) else { return Ok(false) };
        buffer.copy_from_slice(found);
        Ok(true)
    }

    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let state = &mut *self.disk.state();
        let changed = state.change();
        let mut wanted = bytes.len();
        // A write that is cut off has written some of it.
        let result = match changed {
            Ok(Some(Fault::Full)) => {
                wanted /= 2;
                state.fault = None;
                Err(full())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                wanted = (state.chance.bits() % (wanted as u64 + 1)) as usize;
                Err(error)
            }
        };
        let inode = &mut state.inodes[self.at];
        let (from, to) = (at as usize, at as usize + wanted);
        if wanted > 0 {
            inode.now.resize(inode.now.len().max(to), 0);
            inode.now[from..to].copy_from_slice(&bytes[..wanted]);
            inode.dirty.extend(from / BLOCK..=(to - 1) / BLOCK);
        }
        result
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let state = &mut *self.disk.state();
        state.change()?;
        state.inodes[self.at].now.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let state = &mut *self.disk.state();
        let fault = state.change()?;
        state.syncs += 1;
        let inode = &mut state.inodes[self.at];
        if fault == Some(Fault::SyncFails) {
            // What could not be written is no longer marked as to be written, as on Linux.
            inode.dirty.clear();
            state.fault = None;
            return Err(io::Error::other("Input/output error"));
        }
        let Inode { now, durable, dirty } = inode;
        durable.resize(now.len(), 0);
        for block in std::mem::take(dirty) {
            let from = (block * BLOCK).min(now.len());
            let to = (from + BLOCK).min(now.len());
            durable[from..to].copy_from_slice(&now[from..to]);
        }
        Ok(())
    }
}
