//! The gzip stream of a page, joined from blocks that were compressed when they changed.

use axum::body::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// End of a sync flush: an empty block, stored (RFC 1951, section 3.2.4).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Compresses texts one by one into raw deflate, each as if it were the first.
#[derive(Debug)]
pub(super) struct Deflater {
    compress: Compress,
    /// Room for the result, which is copied out.
    deflated: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { compress: Compress::new(Compression::fast(), false), deflated: Vec::new() }
    }
}

impl Deflater {
    /// Compresses a text that others follow: its end is on a byte boundary.
    pub(super) fn block(&mut self, text: &[u8]) -> Bytes {
        let Self { compress, deflated } = self;
        compress.reset();
        deflated.clear();
        deflated.reserve(text.len() / 4 + 64);
        loop {
            let read = usize::try_from(compress.total_in()).unwrap_or(usize::MAX).min(text.len());
            let status = compress.compress_vec(&text[read..], deflated, FlushCompress::Sync);
            let has_room = deflated.len() < deflated.capacity();
            // A flush of a large text may stop before its end without saying so: it is asked again.
            let is_whole = compress.total_in() == text.len() as u64 && deflated.ends_with(&FLUSHED);
            if has_room && (is_whole || !matches!(status, Ok(Status::Ok))) {
                return Bytes::copy_from_slice(deflated);
            }
            deflated.reserve(deflated.len() / 2 + 64);
        }
    }
}

/// Checksum of a text, which can be put together from those of its blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(text);
        Self(checksum)
    }

    pub(super) fn append(&mut self, next: &Self) {
        self.0.combine(&next.0);
    }
}

/// Text in blocks, beside its compressed form. Its bytes are shared, never copied.
#[derive(Debug, Default)]
pub struct GzipPage {
    pub(super) texts: Vec<Bytes>,
    pub(super) length: usize,
    /// Raw deflate blocks that end on a byte boundary.
    pub(super) deflated: Bytes,
    pub(super) checksum: Checksum,
}

impl GzipPage {
    /// Returns the bytes that it takes in memory.
    pub fn size(&self) -> usize {
        self.length + self.deflated.len()
    }

    /// Returns the text of two pages.
    pub(super) fn plain(&self, next: &Self) -> Vec<Bytes> {
        self.texts.iter().chain(&next.texts).cloned().collect()
    }

    /// Returns the gzip stream (RFC 1952) of two pages, of one member: some clients read only the first.
    pub(super) fn gzip(&self, next: &Self) -> Vec<Bytes> {
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
        // The last block of a deflate stream, empty.
        const END: [u8; 2] = [3, 0];
        let mut checksum = self.checksum.clone();
        checksum.append(&next.checksum);
        // The length modulo 2^32, as the format has it.
        let length = u32::try_from((self.length + next.length) & 0xffff_ffff).unwrap_or_default();
        let trailer = [checksum.0.finalize(), length].map(u32::to_le_bytes).concat();
        let end = [&END[..], &trailer].concat();
        let parts = [self.deflated.clone(), next.deflated.clone(), end.into()];
        [Bytes::from_static(&HEADER)].into_iter().chain(parts).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Read as _;

    use super::*;

    fn page(blocks: &[&[u8]]) -> GzipPage {
        let (mut page, mut deflater, mut deflated) =
            (GzipPage::default(), Deflater::default(), Vec::new());
        for block in blocks {
            page.texts.push(Bytes::copy_from_slice(block));
            page.length += block.len();
            page.checksum.append(&Checksum::of(block));
            deflated.extend(deflater.block(block));
        }
        page.deflated = deflated.into();
        page
    }

    fn check(blocks: &[&[u8]], next: &[&[u8]]) {
        let (page, next) = (page(blocks), page(next));
        let gzip = page.gzip(&next).concat();
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut read).unwrap();
        assert!(read == page.plain(&next).concat(), "{} bytes", page.length);
    }

    #[test]
    fn blocks_of_two_pages_are_one_gzip_stream() {
        for (first, second, next) in
            [("", "", ""), ("a", "", ""), ("", "a", "b"), ("text ", "more", "x\n"), ("x", "y", "z")]
        {
            let (first, second) = (first.repeat(10_000), second.repeat(300));
            check(&[first.as_bytes(), second.as_bytes()], &[next.as_bytes()]);
        }
        check(&[], &[]);
        check(&[], &[b"x"]);
    }

    #[test]
    fn large_text_survives_any_flush_of_its_block() {
        for seed in [146, 184, 215, 220, 251, 728] {
            let mut random = fastrand::Rng::with_seed(seed);
            let length = random.usize(200_000..700_000);
            let mut text = String::new();
            while text.len() < length {
                let (kind, status) = (random.u8(0..40), random.u8(0..160));
                let count = random.u16(0..900);
                let _ = writeln!(
                    text,
                    "nbu_jobs_completed_total{{action=\"BACKUP\",policy_type=\"TYPE_{kind}\",site=\"paris\",status=\"{status}\"}} {count}"
                );
            }
            check(&[text.as_bytes(), &text.as_bytes()[..length / 3]], &[b"the rest\n"]);
            let noise: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            check(&[&noise, text.as_bytes(), &noise[..100]], &[b"the rest\n"]);
        }
    }
}
