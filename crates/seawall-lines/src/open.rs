//! From a path to a source.
//!
//! Does not know: lines. Opening never waits: a FIFO without a writer is opened at once, and read
//! when there is something to read. Invariant: without being asked for, only regular files.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, PipeReader};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::coding::{Coding, SIGN_BYTES, Seen};
use crate::decoder::Decoder;
use crate::error::LineFault;
use crate::input::Input;
use crate::source::{Regular, Serial, Source};
use crate::waiting::Waiting;

/// Says what is opened.
#[derive(Debug)]
pub(crate) enum What {
    Path(Arc<Path>),
    File(File),
    Stdin,
}

/// Says how it is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) start: u64,
    pub(crate) ahead: usize,
    pub(crate) coding: Coding,
    pub(crate) is_any_kind: bool,
}

/// Is what opening comes to.
pub(crate) struct Opened {
    pub(crate) source: Source,
    /// How many bytes a regular file has, as it lies on the disk.
    pub(crate) length: Option<u64>,
    /// Whether it is compressed; what can only be read once says so later.
    pub(crate) is_coded: bool,
}

/// Opens; blocks for as long as the file system does.
pub(crate) fn open(what: What, how: How) -> Result<Opened, LineFault> {
    let file = match what {
        What::Path(path) => OpenOptions::new()
            .read(true)
            .custom_flags(NONBLOCK)
            .open(path)
            .map_err(|error| LineFault::Io(Arc::new(error)))?,
        What::File(file) => file,
        What::Stdin => return stdin(how).map_err(|error| LineFault::Io(Arc::new(error))),
    };
    let metadata = file.metadata().map_err(|error| LineFault::Io(Arc::new(error)))?;
    if !metadata.is_file() {
        let kind = kind(metadata.file_type());
        if !how.is_any_kind || metadata.is_dir() {
            return Err(LineFault::NotRegular(kind));
        }
        return waiting(file, how).map_err(|error| LineFault::Io(Arc::new(error)));
    }
    let length = metadata.len();
    let coding = match how.coding {
        Coding::Detect => match detect(&file).map_err(|error| LineFault::Io(Arc::new(error)))? {
            Seen::Is(coding) => coding,
            Seen::NotRead(what) => return Err(LineFault::NotRead(what)),
            Seen::More => Coding::Plain,
        },
        coding => coding,
    };
    if let Some(name) = coding.missing() {
        return Err(LineFault::Coding(name));
    }
    // What the kernel makes up as it is read (/proc) says that it has no bytes.
    if coding == Coding::Plain && length > 0 {
        if how.start > length {
            return Err(LineFault::Short { start: how.start, length });
        }
        let regular = Regular {
            file: Arc::new(file),
            next: how.start,
            length,
            ahead: how.ahead,
            flights: std::collections::VecDeque::new(),
            taken: how.start,
            fault: None,
        };
        let (source, length) = (Source::Regular(regular), Some(length));
        return Ok(Opened { source, length, is_coded: false });
    }
    let source = serial(Box::new(file), How { coding, ..how }, None);
    let is_coded = coding != Coding::Plain;
    Ok(Opened { source, length: (length > 0).then_some(length), is_coded })
}

/// Returns how a regular file is compressed, and leaves its cursor where it was.
fn detect(file: &File) -> io::Result<Seen> {
    let mut sign = [0; SIGN_BYTES];
    let read = file.read_at(&mut sign, 0)?;
    Ok(match Coding::of(&sign[..read]) {
        Seen::More => Coding::at_end(&sign[..read]),
        seen => seen,
    })
}

fn stdin(how: How) -> io::Result<Opened> {
    // Another handle of the same file: ours may be closed.
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    waiting(file, how)
}

fn waiting(file: File, how: How) -> io::Result<Opened> {
    let (gone, ours): (PipeReader, _) = io::pipe()?;
    let source = serial(Box::new(Waiting::new(file, gone)), how, Some(ours));
    Ok(Opened { source, length: None, is_coded: false })
}

fn serial(input: Input, how: How, gone: Option<io::PipeWriter>) -> Source {
    let fills = gone.is_none();
    let is_coded = how.coding != Coding::Plain;
    let input: Input = if is_coded { Box::new(Decoder::new(how.coding, input)) } else { input };
    Source::Serial(Serial {
        input: Some(input),
        flight: None,
        skip: how.start,
        is_coded,
        fills,
        has_ended: false,
        fault: None,
        _gone: gone,
    })
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "pipe"
    } else if kind.is_char_device() || kind.is_block_device() {
        "device"
    } else if kind.is_socket() {
        "socket"
    } else {
        "special file"
    }
}

/// A FIFO is opened without its writer. The flag means nothing to a regular file.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();
