//! Reads the corpus files; other crates' tests include this file by its path.

#![allow(dead_code, reason = "each test that includes it reads one of the files")]

/// One entry of a corpus.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The first column.
    pub(crate) verdict: &'static str,
    /// The second.
    pub(crate) status: u16,
    /// The third: unique in its file.
    pub(crate) name: &'static str,
    /// The fourth, as bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Returns the raw requests.
pub(crate) fn requests() -> Vec<Entry> {
    read(include_str!("requests.txt"))
}

/// Returns the raw answers.
pub(crate) fn responses() -> Vec<Entry> {
    read(include_str!("responses.txt"))
}

fn read(text: &'static str) -> Vec<Entry> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(entry).collect()
}

fn entry(line: &'static str) -> Entry {
    let mut rest = line;
    let mut column = || {
        let (column, after) = rest.split_once(' ').expect("four columns");
        rest = after.trim_start_matches(' ');
        column
    };
    let (verdict, status, name) = (column(), column(), column());
    let status = status.parse().expect("a number");
    Entry { verdict, status, name, bytes: bytes(rest) }
}

/// Undoes the escapes that the head of `requests.txt` lists.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (piece, len) = piece(rest).unwrap_or_else(|| (first.to_string().into_bytes(), 1));
        bytes.extend(piece);
        rest = &rest[len..];
    }
    bytes
}

fn piece(text: &str) -> Option<(Vec<u8>, usize)> {
    const SHORT: [(&str, &str); 8] = [
        ("<N>", "\r\n"),
        ("<G>", "GET /a HTTP/1.1\r\nHost: a.example\r\n"),
        ("<P>", "POST /a HTTP/1.1\r\nHost: a.example\r\n"),
        ("<R>", "HTTP/1.1 200 OK\r\n"),
        ("<C>", "Transfer-Encoding: chunked\r\n\r\n"),
        ("\\r", "\r"),
        ("\\n", "\n"),
        ("\\t", "\t"),
    ];
    if let Some((short, long)) = SHORT.iter().find(|(short, _)| text.starts_with(short)) {
        return Some((long.as_bytes().to_vec(), short.len()));
    }
    if let Some(digits) = text.strip_prefix("\\x") {
        return Some((vec![u8::from_str_radix(&digits[..2], 16).expect("two digits")], 4));
    }
    if let Some(inside) = text.strip_prefix("\\{") {
        let (inside, _) = inside.split_once('}').expect("a closing brace");
        let (unit, times) = inside.rsplit_once('*').expect("a star");
        let times = times.parse().expect("how many times");
        return Some((bytes(unit).repeat(times), inside.len() + 3));
    }
    text.starts_with("\\\\").then(|| (vec![b'\\'], 2))
}
