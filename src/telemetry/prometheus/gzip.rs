//! The gzip stream of a page, joined from a segment that is compressed once a rendering and a small one
//! that is compressed at each scrape.

use std::io::Write as _;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Text beside its compressed form, a segment of a gzip stream. Its bytes are shared, never copied.
#[derive(Debug)]
pub struct GzipSegment {
    text: Bytes,
    /// Raw deflate blocks that end on a byte boundary; the last segment of a stream ends it.
    deflated: Bytes,
    /// Of the text, to go on from.
    checksum: crc32fast::Hasher,
}

/// End of a sync flush: an empty block, stored (RFC 1951, section 3.2.4).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Flushes after which a stream is given up; a few are needed at most.
const FLUSHES: usize = 1_000;

pub type Chunks = Vec<Bytes>;

impl GzipSegment {
    /// Compresses a segment that others follow.
    pub fn first(text: Vec<u8>) -> Self {
        Self::compress(text, false)
    }

    fn compress(text: Vec<u8>, last: bool) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to a Vec cannot fail.
        let _ = encoder.write_all(&text);
        let deflated = if last {
            encoder.finish().unwrap_or_default()
        } else {
            // A sync flush ends the block on a byte boundary without ending the stream. One of a large
            // text may stop before that, without saying so, and goes on when it is asked again.
            for _ in 0..FLUSHES {
                let _ = encoder.flush();
                if encoder.get_ref().ends_with(&FLUSHED) {
                    break;
                }
            }
            encoder.get_ref().clone()
        };
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&text);
        Self { text: text.into(), deflated: deflated.into(), checksum }
    }

    pub fn plain(&self, last: Vec<u8>) -> Chunks {
        vec![self.text.clone(), last.into()]
    }

    /// Returns a gzip stream of two segments (RFC 1952) as one member: some clients read only the first.
    pub fn gzip(&self, last: Vec<u8>) -> Chunks {
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
        let last = Self::compress(last, true);
        let mut checksum = self.checksum.clone();
        checksum.update(&last.text);
        // The length modulo 2^32, as the format has it.
        let length = u32::try_from((self.text.len() + last.text.len()) & 0xffff_ffff);
        let end = [checksum.finalize(), length.unwrap_or_default()].map(u32::to_le_bytes).concat();
        vec![Bytes::from_static(&HEADER), self.deflated.clone(), last.deflated, end.into()]
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn two_pieces_are_one_gzip_stream() {
        for (first, last) in [("", ""), ("a", ""), ("", "b"), ("text ", "more"), ("x\n", "y\n")] {
            let first = GzipSegment::first(first.repeat(10_000).into_bytes());
            let last = last.as_bytes().to_vec();
            let gzip = first.gzip(last.clone()).concat();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut read).unwrap();
            assert_eq!(read, first.plain(last).concat());
        }
    }

    /// Texts of half a megabyte for which one flush stopped before its end; others are fuzzed easily.
    #[test]
    fn large_page_survives_any_flush_of_its_first_segment() {
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
            let first = GzipSegment::first(text.into_bytes());
            let gzip = first.gzip(b"the rest\n".to_vec()).concat();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut read).unwrap();
            assert_eq!(read, first.plain(b"the rest\n".to_vec()).concat(), "{seed}");
        }
    }
}
