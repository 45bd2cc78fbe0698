//! The page as a list of *entries* (the head of a family, or the lines of some of its series) in the order
//! in which they are shown. Entries live in blocks of some tens of KiB, and a block is put together and
//! compressed again only if one of its entries changes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;

use super::gzip::{Checksum, Deflater, GzipPage};
use crate::snapshot::Place;

/// Size to which blocks are filled, bytes: small, so that a change compresses little beside itself, and
/// large enough to compress well.
const BLOCK_SIZE: usize = 24 * 1024;

/// Size below which a block that changed takes in the next one.
const MIN_BLOCK_SIZE: usize = BLOCK_SIZE / 4;

/// Name that is shared by most keys that are compared: then its text need not be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SharedName(pub(super) Arc<str>);

impl Ord for SharedName {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for SharedName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Key of an entry, in the order of the page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey {
    /// Name of the family in the exposition.
    pub(super) family: SharedName,
    /// Empty for the agent's own series, and for the head of the family.
    pub(super) site: SharedName,
    pub(super) place: Place,
    /// Number among the entries of one family of one part.
    pub(super) chunk: usize,
}

impl EntryKey {
    pub(super) fn head(family: &SharedName) -> Self {
        let (site, place) = Default::default();
        Self { family: family.clone(), site, place, chunk: 0 }
    }

    pub(super) fn is_head(&self) -> bool {
        self.site.0.is_empty() && self.place == Place::default()
    }
}

/// New texts of entries; `None` removes one.
pub(super) type Edits = BTreeMap<EntryKey, Option<String>>;

#[derive(Debug, Default)]
pub(super) struct Page {
    blocks: Vec<Block>,
    deflater: Deflater,
}

#[derive(Debug)]
struct Block {
    /// Not empty, with the length of each entry.
    entries: Vec<(EntryKey, usize)>,
    text: Bytes,
    deflated: Bytes,
    checksum: Checksum,
}

impl Block {
    fn first(&self) -> Option<&EntryKey> {
        self.entries.first().map(|(key, _)| key)
    }

    fn content(&self) -> impl Iterator<Item = (&EntryKey, &[u8])> {
        let mut rest: &[u8] = &self.text;
        self.entries.iter().map(move |(key, length)| {
            let (text, after) = rest.split_at(*length);
            rest = after;
            (key, text)
        })
    }
}

impl Page {
    /// Returns the text of an entry; an empty one if there is no such entry.
    pub(super) fn text(&self, key: &EntryKey) -> &str {
        let next = self.blocks.partition_point(|block| block.first().is_some_and(|at| at <= key));
        let block = next.checked_sub(1).and_then(|place| self.blocks.get(place));
        let mut content = block.into_iter().flat_map(Block::content);
        let text = content.find(|(known, _)| *known == key).map_or(&[][..], |(_, text)| text);
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Applies edits. Costs what the blocks with an edit cost, and little for each other block.
    pub(super) fn apply(&mut self, edits: Edits) {
        let mut edits = edits.into_iter().peekable();
        if edits.peek().is_none() {
            return;
        }
        let mut old = std::mem::take(&mut self.blocks).into_iter().peekable();
        let mut open = OpenBlock::default();
        loop {
            let block = old.next();
            let end = old.peek().and_then(Block::first).cloned();
            let belongs = |key: &EntryKey| end.as_ref().is_none_or(|end| key < end);
            let mut mine = Edits::new();
            while let Some((key, text)) = edits.next_if(|(key, _)| belongs(key)) {
                mine.insert(key, text);
            }
            match block {
                Some(block) if mine.is_empty() && open.is_large_enough() => {
                    self.close(&mut open);
                    self.blocks.push(block);
                }
                block => {
                    let is_last = block.is_none();
                    self.merge(block.as_ref(), mine, &mut open);
                    if is_last {
                        break;
                    }
                }
            }
        }
        self.close(&mut open);
    }

    /// Appends the entries of a block and its edits to the open block, which is closed whenever it is full.
    fn merge(&mut self, block: Option<&Block>, edits: Edits, open: &mut OpenBlock) {
        let mut edits = edits.into_iter().peekable();
        for (key, text) in block.into_iter().flat_map(Block::content) {
            while let Some((key, text)) = edits.next_if(|(edited, _)| edited < key) {
                self.append(key, text.unwrap_or_default().as_bytes(), open);
            }
            match edits.next_if(|(edited, _)| edited == key) {
                Some((key, text)) => self.append(key, text.unwrap_or_default().as_bytes(), open),
                None => self.append(key.clone(), text, open),
            }
        }
        for (key, text) in edits {
            self.append(key, text.unwrap_or_default().as_bytes(), open);
        }
    }

    fn append(&mut self, key: EntryKey, text: &[u8], open: &mut OpenBlock) {
        if text.is_empty() {
            return;
        }
        if !open.text.is_empty() && open.text.len() + text.len() > BLOCK_SIZE {
            self.close(open);
        }
        open.entries.push((key, text.len()));
        open.text.extend_from_slice(text);
    }

    fn close(&mut self, open: &mut OpenBlock) {
        let OpenBlock { mut entries, text } = std::mem::take(open);
        if text.is_empty() {
            return;
        }
        entries.shrink_to_fit();
        self.blocks.push(Block {
            entries,
            deflated: self.deflater.block(&text),
            checksum: Checksum::of(&text),
            text: Bytes::copy_from_slice(&text),
        });
        // Its room serves the next block.
        open.text = text;
        open.text.clear();
    }

    /// Returns the bytes for scrapes. The compressed blocks are joined, and share the joined bytes.
    pub(super) fn bytes(&mut self) -> GzipPage {
        let size = self.blocks.iter().map(|block| block.deflated.len()).sum();
        let mut joined = Vec::with_capacity(size);
        let mut page = GzipPage::default();
        for block in &self.blocks {
            joined.extend_from_slice(&block.deflated);
            page.texts.push(block.text.clone());
            page.length += block.text.len();
            page.checksum.append(&block.checksum);
        }
        page.deflated = joined.into();
        let mut at = 0;
        for block in &mut self.blocks {
            let end = at + block.deflated.len();
            block.deflated = page.deflated.slice(at..end);
            at = end;
        }
        page
    }
}

/// Block that is being put together.
#[derive(Debug, Default)]
struct OpenBlock {
    entries: Vec<(EntryKey, usize)>,
    text: Vec<u8>,
}

impl OpenBlock {
    fn is_large_enough(&self) -> bool {
        self.text.is_empty() || self.text.len() >= MIN_BLOCK_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> EntryKey {
        let family = SharedName(format!("family{:02}", number % 50).into());
        let site = SharedName("paris".into());
        EntryKey { family, site, place: Place::default(), chunk: number / 50 }
    }

    fn shown(page: &mut Page) -> String {
        let chunks = page.bytes().plain(&GzipPage::default());
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[test]
    fn page_shows_its_entries_in_order_after_any_edits() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut page, mut expected) = (Page::default(), BTreeMap::new());
        for round in 0..200 {
            let mut edits = Edits::new();
            for _ in 0..random.usize(0..60) {
                let length = if random.u8(0..20) == 0 { 60_000 } else { random.usize(0..3_000) };
                let text = random.bool().then(|| format!("{round} {}\n", "x".repeat(length)));
                edits.insert(key(random.usize(0..2_000)), text);
            }
            for (key, text) in &edits {
                match text {
                    Some(text) => expected.insert(key.clone(), text.clone()),
                    None => expected.remove(key),
                };
            }
            page.apply(edits);
            assert!(shown(&mut page) == expected.values().cloned().collect::<String>(), "{round}");
            let wrong = expected.iter().find(|(key, text)| page.text(key) != text.as_str());
            assert_eq!(wrong, None);
            let sizes: Vec<_> = page.blocks.iter().map(|block| block.entries.len()).collect();
            assert!(!sizes.contains(&0), "{sizes:?}");
        }
        assert_eq!(page.text(&key(9_999)), "");
        page.apply(expected.keys().map(|key| (key.clone(), None)).collect());
        assert_eq!((shown(&mut page), page.blocks.len()), (String::new(), 0));
    }

    #[test]
    fn blocks_without_an_edit_stay_as_they_are() {
        let mut page = Page::default();
        let line = "nbu_jobs_count{site=\"paris\"} 1\n".repeat(20);
        page.apply((0..5_000).map(|number| (key(number), Some(line.clone()))).collect());
        let before: Vec<Bytes> = page.bytes().texts;
        page.apply([(key(77), Some("changed\n".to_owned()))].into());
        let after = page.bytes().texts;
        let pointer = |text: &Bytes| text.as_ptr();
        let kept = before.iter().filter(|text| after.iter().any(|it| pointer(it) == pointer(text)));
        assert_eq!((before.len(), kept.count()), (after.len(), before.len() - 1));
    }
}
