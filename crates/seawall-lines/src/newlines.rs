//! Where the newlines are: one bit for each byte, found 64 bytes at a time.
//!
//! Does not know: lines, chunks, files. This is the only file of the crate with `unsafe` in it:
//! one call of a function that needs AVX2, behind a question whether there is one, and its loads.
//! Invariant: every way of marking marks the same bits, and none beyond the last byte.

#![expect(unsafe_code, reason = "the vector loads, and the call that needs AVX2")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
};

/// Marks the newlines of `bytes`: bit `i % 64` of word `i / 64` stands for byte `i`.
///
/// A search that starts anew after each newline costs two to three times as much on lines of a
/// hundred bytes, which is why bits are set for all and walked later.
pub fn mark(bytes: &[u8], marks: &mut Vec<u64>) {
    marks.clear();
    marks.resize(bytes.len().div_ceil(64), 0);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; that was asked one line above.
        unsafe { mark_avx2(bytes, marks) };
        return;
    }
    mark_portable(bytes, marks);
}

/// Marks with the search of `memchr`, on processors without AVX2.
fn mark_portable(bytes: &[u8], marks: &mut [u64]) {
    for at in memchr::memchr_iter(b'\n', bytes) {
        marks[at / 64] |= 1 << (at % 64);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mark_avx2(bytes: &[u8], marks: &mut [u64]) {
    let (blocks, rest) = bytes.as_chunks::<64>();
    for (block, mark) in blocks.iter().zip(marks.iter_mut()) {
        *mark = mark_block(block);
    }
    if let (false, Some(mark)) = (rest.is_empty(), marks.last_mut()) {
        let mut block = [0; 64];
        block[..rest.len()].copy_from_slice(rest);
        *mark = mark_block(&block);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mark_block(block: &[u8; 64]) -> u64 {
    let newline = _mm256_set1_epi8(b'\n'.cast_signed());
    let [low, high] = [0, 32].map(|at| {
        let half = block[at..at + 32].as_ptr().cast::<__m256i>();
        // SAFETY: 32 bytes of the block begin at `half`; this load needs no alignment.
        let half = unsafe { _mm256_loadu_si256(half) };
        u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(half, newline)).cast_unsigned())
    });
    low | high << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8]) {
        let mut expected = vec![0; bytes.len().div_ceil(64)];
        mark_portable(bytes, &mut expected);
        // What was there before must not shine through.
        let mut marks = vec![u64::MAX; 3];
        mark(bytes, &mut marks);
        assert_eq!(marks, expected, "{} bytes", bytes.len());
        let marked: u32 = marks.iter().map(|word| word.count_ones()).sum();
        assert_eq!(marked as usize, bytes.iter().filter(|&&byte| byte == b'\n').count());
    }

    #[test]
    fn every_length_around_a_block_is_marked_to_its_last_byte() {
        for length in 0..=200 {
            check(&vec![b'\n'; length]);
            // One bit away from a newline, and the byte that a signed comparison could mistake.
            check(&vec![b'\n' ^ 0x80; length]);
            check(&vec![b'\n' ^ 1; length]);
        }
    }

    proptest! {
        #[test]
        fn newlines_are_where_memchr_finds_them(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..700),
            from in 0_usize..64,
        ) {
            // From any offset: the loads must not need alignment.
            check(&bytes[from.min(bytes.len())..]);
        }
    }
}
