//! The gzip stream of a page, joined from blocks that are compressed when it is first asked for.

use std::sync::{Arc, OnceLock};

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

/// Texts that are compressed together when somebody asks for it, and stay so.
#[derive(Debug, Default)]
pub(super) struct Block {
    texts: Vec<Bytes>,
    pub(super) length: usize,
    packed: OnceLock<Packed>,
}

#[derive(Debug)]
struct Packed {
    /// Raw deflate that ends on a byte boundary.
    deflated: Bytes,
    checksum: Checksum,
}

impl Block {
    pub(super) fn new(texts: Vec<Bytes>) -> Self {
        let length = texts.iter().map(Bytes::len).sum();
        Self { texts, length, packed: OnceLock::new() }
    }

    pub(super) fn texts(&self) -> &[Bytes] {
        &self.texts
    }

    /// Compresses it, unless it is. Nobody waits for another who does the same.
    fn pack(&self, deflater: &mut Deflater) {
        if self.packed.get().is_none() {
            let text = self.texts.concat();
            let (deflated, checksum) = (deflater.block(&text), Checksum::of(&text));
            let _ = self.packed.set(Packed { deflated, checksum });
        }
    }
}

/// A page in blocks, which it shares with those before and after it.
#[derive(Debug, Default)]
pub struct GzipPage {
    blocks: Vec<Arc<Block>>,
    length: usize,
    checksum: OnceLock<Checksum>,
}

impl GzipPage {
    pub(super) fn new(blocks: Vec<Arc<Block>>) -> Self {
        let length = blocks.iter().map(|block| block.length).sum();
        Self { blocks, length, checksum: OnceLock::new() }
    }

    /// Returns the bytes that it takes in memory by now.
    pub fn size(&self) -> usize {
        let packed = self.blocks.iter().filter_map(|block| block.packed.get());
        self.length + packed.map(|packed| packed.deflated.len()).sum::<usize>()
    }

    /// Compresses blocks ahead, until no more than `rest` bytes of text are left to the first who asks for it.
    pub(super) fn pack(&self, rest: usize, deflater: &mut Deflater) {
        let open = || self.blocks.iter().filter(|block| block.packed.get().is_none());
        let mut left: usize = open().map(|block| block.length).sum();
        for block in open() {
            if left <= rest {
                return;
            }
            block.pack(deflater);
            left -= block.length;
        }
    }

    /// Returns the text of two pages.
    pub(super) fn plain(&self, next: &Self) -> Vec<Bytes> {
        let blocks = self.blocks.iter().chain(&next.blocks);
        blocks.flat_map(|block| block.texts()).cloned().collect()
    }

    /// Returns the gzip stream (RFC 1952) of two pages, of one member: some clients read only the first.
    /// Compresses what was not compressed yet.
    pub(super) fn gzip(&self, next: &Self, deflater: &mut Deflater) -> Vec<Bytes> {
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
        // The last block of a deflate stream, empty.
        const END: [u8; 2] = [3, 0];
        let blocks = || self.blocks.iter().chain(&next.blocks);
        blocks().for_each(|block| block.pack(deflater));
        let mut checksum = self.checksum().clone();
        checksum.append(next.checksum());
        // The length modulo 2^32, as the format has it.
        let length = u32::try_from((self.length + next.length) & 0xffff_ffff).unwrap_or_default();
        let trailer = [checksum.0.finalize(), length].map(u32::to_le_bytes).concat();
        let end = [&END[..], &trailer].concat();
        let deflated = blocks().filter_map(|block| block.packed.get());
        let deflated = deflated.map(|packed| packed.deflated.clone());
        let ends = (Bytes::from_static(&HEADER), Bytes::from(end));
        std::iter::once(ends.0).chain(deflated).chain(std::iter::once(ends.1)).collect()
    }

    /// Returns the checksum of its blocks, which are compressed.
    fn checksum(&self) -> &Checksum {
        self.checksum.get_or_init(|| {
            let mut checksum = Checksum::default();
            let packed = self.blocks.iter().filter_map(|block| block.packed.get());
            packed.for_each(|packed| checksum.append(&packed.checksum));
            checksum
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Read as _;

    use super::*;

    fn page(blocks: &[&[u8]]) -> GzipPage {
        let block = |text: &&[u8]| Arc::new(Block::new(vec![Bytes::copy_from_slice(text)]));
        GzipPage::new(blocks.iter().map(block).collect())
    }

    fn check(blocks: &[&[u8]], next: &[&[u8]]) {
        let (page, next) = (page(blocks), page(next));
        let gzip = page.gzip(&next, &mut Deflater::default()).concat();
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
    fn blocks_are_compressed_ahead_except_for_a_rest() {
        let (page, mut deflater) = (page(&[b"one ", b"two ", b"three"]), Deflater::default());
        let open = || page.blocks.iter().filter(|block| block.packed.get().is_none()).count();
        for (rest, left) in [(100, 3), (13, 3), (12, 2), (4, 0)] {
            page.pack(rest, &mut deflater);
            assert_eq!(open(), left, "{rest}");
        }
        assert!(page.size() > 13);
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
