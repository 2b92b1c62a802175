//! The splitter that is too simple to be wrong, and files to split.

use std::io::Write;

use seawall_lines::{Bom, Eol, LineError, LineReader, OwnedLine};
use tempfile::NamedTempFile;

/// Splits as the documentation says lines are split; long ones are cut to `max` bytes.
pub(crate) fn split(bytes: &[u8], max: usize, eol: Eol, bom: Bom) -> Vec<OwnedLine> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let newline = bytes[start..].iter().position(|&byte| byte == b'\n').map(|at| start + at);
        let mut end = newline.unwrap_or(bytes.len());
        let next = newline.map_or(bytes.len(), |at| at + 1);
        if newline.is_some() && eol == Eol::LfOrCrLf && bytes[start..end].ends_with(b"\r") {
            end -= 1;
        }
        let mut begin = start;
        if start == 0 && bom == Bom::Strip && bytes[..end].starts_with(b"\xef\xbb\xbf") {
            begin = 3;
        }
        lines.push(OwnedLine {
            sequence: lines.len() as u64,
            offset: begin as u64,
            next_offset: next as u64,
            bytes: bytes[begin..end.min(begin.saturating_add(max))].to_vec(),
            length: (end - begin) as u64,
        });
        start = next;
    }
    lines
}

pub(crate) fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("there is room for a file");
    file.write_all(bytes).expect("there is room for a file");
    file
}

/// Reads to the end; checks on the way that batches follow each other without a gap.
pub(crate) async fn collect(reader: &mut LineReader) -> Result<Vec<OwnedLine>, LineError> {
    let mut lines = Vec::new();
    let mut at = reader.position();
    while let Some(batch) = reader.next().await? {
        assert_eq!(batch.first(), at, "a gap between batches");
        assert_eq!(batch.iter().count(), batch.len());
        lines.extend(batch.iter().map(|line| line.to_owned_line()));
        at = batch.end();
        let last = lines.last().expect("a batch is never empty");
        assert_eq!((last.sequence + 1, last.next_offset), (at.sequence, at.offset));
        assert_eq!(reader.position(), at);
    }
    Ok(lines)
}
