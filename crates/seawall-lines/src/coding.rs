//! How an input is compressed, and what its first bytes tell.
//!
//! Does not know: how any coding is read. Invariant: no more is looked at than it takes to tell.

/// Says how an input is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Its first bytes say: gzip, Zstandard and UTF-16 have signs that no other text begins with,
    /// and so have forms that are refused.
    #[default]
    Detect,
    /// Not at all.
    Plain,
    /// With gzip; several members may follow each other.
    Gzip,
    /// With Zstandard; several frames may follow each other. A frame may ask for a window of up
    /// to 128 MiB, and then that much memory is needed.
    Zstd,
    /// Not compressed, but in UTF-16, the lower byte first: lines are handed over in UTF-8. It may
    /// begin with a byte order mark.
    Utf16Le,
    /// The same, the higher byte first.
    Utf16Be,
}

/// Says what the first bytes of an input tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing yet: more must be seen.
    More,
    /// What it is.
    Is(Coding),
    /// That it is what is not read here.
    NotRead(&'static str),
}

/// How many bytes tell one coding from another.
pub(crate) const SIGN_BYTES: usize = 7;

impl Coding {
    /// Says what an input is that begins with these bytes.
    pub(crate) fn of(sign: &[u8]) -> Seen {
        if let Some((_, seen)) = SIGNS.iter().find(|(whole, _)| sign.starts_with(whole)) {
            return *seen;
        }
        // Frames that are to be skipped, which pzstd begins with.
        let is_skipped = |sign: &[u8]| {
            let [first, rest @ ..] = sign else { return true };
            first & 0xf0 == SKIPPED[0] && SKIPPED[1..].starts_with(&rest[..rest.len().min(3)])
        };
        let is_begun = |whole: &[u8]| whole.starts_with(sign);
        match sign.len() {
            0 => Seen::More,
            4.. if is_skipped(&sign[..4]) => Seen::Is(Self::Zstd),
            ..4 if is_skipped(sign) => Seen::More,
            _ if SIGNS.iter().any(|(whole, _)| is_begun(whole)) => Seen::More,
            _ => Self::at_end(sign),
        }
    }

    /// Says what an input is that has no more bytes than these.
    pub(crate) fn at_end(sign: &[u8]) -> Seen {
        Seen::Is(match sign {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::Plain,
        })
    }

    /// Returns its name if this build cannot read it.
    pub(crate) const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Gzip if cfg!(not(feature = "gzip")) => Some("gzip"),
            Self::Zstd if cfg!(not(feature = "zstd")) => Some("zstd"),
            _ => None,
        }
    }
}

/// How inputs begin that are no plain text. Of two that begin alike the longer one comes first.
const SIGNS: [(&[u8], Seen); 10] = [
    (&[0x1f, 0x8b, 0x08], Seen::Is(Coding::Gzip)),
    (&[0x28, 0xb5, 0x2f, 0xfd], Seen::Is(Coding::Zstd)),
    (&[0xff, 0xfe, 0, 0], Seen::NotRead("UTF-32")),
    (&[0, 0, 0xfe, 0xff], Seen::NotRead("UTF-32")),
    (&[0xfe, 0xff], Seen::Is(Coding::Utf16Be)),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Seen::NotRead("compressed with xz")),
    (b"BZh91AY", Seen::NotRead("compressed with bzip2")),
    (&[0x04, 0x22, 0x4d, 0x18], Seen::NotRead("compressed with lz4")),
    (b"PK\x03\x04", Seen::NotRead("a zip archive")),
    (b"7z\xbc\xaf\x27\x1c", Seen::NotRead("a 7z archive")),
];
/// The last bytes of each; the lower half of the first says nothing.
const SKIPPED: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_looked_at_than_it_takes_to_tell() {
        let check = |sign: &[u8], expected| assert_eq!(Coding::of(sign), expected, "{sign:?}");
        let is = Seen::Is;
        check(b"", Seen::More);
        check(b"a", is(Coding::Plain));
        check(b"\x1f", Seen::More);
        check(b"\x1f\x8b", Seen::More);
        check(b"\x1f\x8b\x08", is(Coding::Gzip));
        check(b"\x1f\x8b\x07", is(Coding::Plain));
        check(b"(\xb5/", Seen::More);
        check(b"(\xb5/\xfd", is(Coding::Zstd));
        check(b"(\xb5\n", is(Coding::Plain));
        check(b"P*M\x18", is(Coding::Zstd));
        check(b"_*M\x18", is(Coding::Zstd));
        check(b"P*", Seen::More);
        check(b"P*M ", is(Coding::Plain));
        check(b"Oslo", is(Coding::Plain));
        check(b"\xff\xfe", Seen::More);
        check(b"\xff\xfea\0", is(Coding::Utf16Le));
        check(b"\xff\xfe\0\0", Seen::NotRead("UTF-32"));
        check(b"\xfe\xff", is(Coding::Utf16Be));
        check(b"BZh", Seen::More);
        check(b"BZhello", is(Coding::Plain));
        check(b"PK\x03\x04", Seen::NotRead("a zip archive"));
        assert_eq!(Coding::at_end(b"\xff\xfe"), is(Coding::Utf16Le));
        assert_eq!(Coding::at_end(b"\x1f"), is(Coding::Plain));
    }
}
