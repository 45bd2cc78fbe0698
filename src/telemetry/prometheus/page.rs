//! The page as a list of *entries* (the head of a family, or the lines of some of its series) in the order
//! in which they are shown. Entries live in blocks of some tens of KiB, and a block is compressed again only
//! if one of its entries changes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;

use super::gzip::{Block, GzipPage};
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
}

/// New texts of entries; `None` removes one.
pub(super) type Edits = BTreeMap<EntryKey, Option<Bytes>>;

#[derive(Debug, Default)]
pub(super) struct Page {
    blocks: Vec<KeyedBlock>,
}

/// A block with the keys of its texts, of which there are some.
#[derive(Debug)]
struct KeyedBlock {
    keys: Vec<EntryKey>,
    block: Arc<Block>,
}

impl KeyedBlock {
    fn first(&self) -> Option<&EntryKey> {
        self.keys.first()
    }
}

impl Page {
    /// Applies edits. Costs little for each entry of the blocks with an edit, and less for each other block.
    pub(super) fn apply(&mut self, edits: Edits) {
        let mut edits = edits.into_iter().peekable();
        if edits.peek().is_none() {
            return;
        }
        let mut old = std::mem::take(&mut self.blocks).into_iter().peekable();
        let mut open = OpenBlock::default();
        loop {
            let block = old.next();
            let end = old.peek().and_then(KeyedBlock::first);
            let mut mine = Vec::new();
            while let Some(edit) = edits.next_if(|(key, _)| end.is_none_or(|end| key < end)) {
                mine.push(edit);
            }
            match block {
                Some(block) if mine.is_empty() && open.is_large_enough() => {
                    self.close(&mut open);
                    self.blocks.push(block);
                }
                block => {
                    let is_last = block.is_none();
                    self.merge(block, mine, &mut open);
                    if is_last {
                        break;
                    }
                }
            }
        }
        self.close(&mut open);
    }

    /// Appends the entries of a block and its edits to the open block, which is closed whenever it is full.
    fn merge(
        &mut self,
        block: Option<KeyedBlock>,
        edits: Vec<(EntryKey, Option<Bytes>)>,
        open: &mut OpenBlock,
    ) {
        let mut edits = edits.into_iter().peekable();
        let (keys, block) = block.map(|block| (block.keys, block.block)).unwrap_or_default();
        for (key, text) in keys.into_iter().zip(block.texts()) {
            while let Some((key, text)) = edits.next_if(|(edited, _)| *edited < key) {
                self.append(key, text, open);
            }
            match edits.next_if(|(edited, _)| *edited == key) {
                Some((key, text)) => self.append(key, text, open),
                None => self.append(key, Some(text.clone()), open),
            }
        }
        for (key, text) in edits {
            self.append(key, text, open);
        }
    }

    fn append(&mut self, key: EntryKey, text: Option<Bytes>, open: &mut OpenBlock) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if open.length > 0 && open.length + text.len() > BLOCK_SIZE {
            self.close(open);
        }
        open.length += text.len();
        open.keys.push(key);
        open.texts.push(text);
    }

    fn close(&mut self, open: &mut OpenBlock) {
        let OpenBlock { mut keys, mut texts, length } = std::mem::take(open);
        if length == 0 {
            return;
        }
        keys.shrink_to_fit();
        texts.shrink_to_fit();
        self.blocks.push(KeyedBlock { keys, block: Arc::new(Block::new(texts)) });
    }

    /// Returns the bytes for scrapes.
    pub(super) fn bytes(&self) -> GzipPage {
        GzipPage::new(self.blocks.iter().map(|block| Arc::clone(&block.block)).collect())
    }
}

/// Block that is being put together.
#[derive(Debug, Default)]
struct OpenBlock {
    keys: Vec<EntryKey>,
    texts: Vec<Bytes>,
    length: usize,
}

impl OpenBlock {
    fn is_large_enough(&self) -> bool {
        self.length == 0 || self.length >= MIN_BLOCK_SIZE
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

    fn shown(page: &Page) -> String {
        let chunks = page.bytes().plain(&GzipPage::default());
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[test]
    fn page_shows_its_entries_in_order_after_any_edits() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut page, mut expected) = (Page::default(), BTreeMap::new());
        for round in 0..200 {
            let mut edits = BTreeMap::new();
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
            let edits = edits.into_iter().map(|(key, text)| (key, text.map(Bytes::from)));
            page.apply(edits.collect());
            assert!(shown(&page) == expected.values().cloned().collect::<String>(), "{round}");
            let sizes: Vec<_> = page.blocks.iter().map(|block| block.keys.len()).collect();
            assert!(!sizes.contains(&0), "{sizes:?}");
        }
        page.apply(expected.keys().map(|key| (key.clone(), None)).collect());
        assert_eq!((shown(&page), page.blocks.len()), (String::new(), 0));
    }

    #[test]
    fn blocks_without_an_edit_stay_as_they_are() {
        let mut page = Page::default();
        let line = "nbu_jobs_count{site=\"paris\"} 1\n".repeat(20);
        page.apply((0..5_000).map(|number| (key(number), Some(line.clone().into()))).collect());
        let blocks = |page: &Page| -> Vec<Arc<Block>> {
            page.blocks.iter().map(|block| Arc::clone(&block.block)).collect()
        };
        let before = blocks(&page);
        page.apply([(key(77), Some("changed\n".into()))].into());
        let after = blocks(&page);
        let kept = before.iter().filter(|block| after.iter().any(|it| Arc::ptr_eq(it, block)));
        assert_eq!((before.len(), kept.count()), (after.len(), before.len() - 1));
    }
}
