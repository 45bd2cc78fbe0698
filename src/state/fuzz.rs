//! Fuzz target of the files in the state directory.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a fuzz target may panic")]

use std::fs;
use std::path::Path;

use uuid::Uuid;

use super::frames::{Header, MAGIC, OpenError, frame};
use super::journal::{Journal, Loaded, header};
use super::{document, instance, site};

/// Reads a file that holds the input; the first byte chooses its kind.
pub(crate) fn file(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("nbu-otel-agent-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    match kind % 5 {
        0 => arbitrary_journal(content, &folder.join("journal")),
        1 => damaged_journal(content, &folder.join("journal")),
        2 => arbitrary_document(content, &folder.join("document.saved")),
        3 => arbitrary_instance(content, &folder),
        _ => {
            let path = folder.join("mark");
            fs::write(&path, content).unwrap();
            let _ = site::read_mark(&path);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn ours() -> Header {
    Header { site: "paris".to_owned(), server: "https://h:1556/netbackup".to_owned() }
}

/// Returns the beginning of a journal of ours, and each frame of `payloads` after it.
fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let header = serde_json::to_vec(&ours()).unwrap();
    for (number, payload) in std::iter::once(&header).chain(payloads).enumerate() {
        bytes.extend(frame(u32::try_from(number).unwrap(), payload).unwrap());
    }
    bytes
}

fn read(path: &Path) -> (Result<Option<Loaded>, OpenError>, Vec<Vec<u8>>, Journal) {
    let (mut journal, mut payloads) = (Journal::new(path.to_owned(), ours()), Vec::new());
    let loaded = journal.open(|payload| {
        payloads.push(payload.to_vec());
        Ok(())
    });
    (loaded, payloads, journal)
}

/// Reads a file that may be a journal. Frames that are read are those at its beginning.
fn arbitrary_journal(content: &[u8], path: &Path) {
    fs::write(path, content).unwrap();
    let _ = header(path);
    let (loaded, payloads, _) = read(path);
    if let Ok(loaded) = loaded {
        let loaded = loaded.expect("a file that is there");
        assert_eq!(
            (loaded.length + loaded.cut, loaded.frames),
            (content.len() as u64, payloads.len())
        );
        // The header may be spelt otherwise, so only what follows it is compared.
        let frames: Vec<u8> =
            (1..).zip(&payloads).flat_map(|(n, it)| frame(n, it).unwrap()).collect();
        assert!(content[..usize::try_from(loaded.length).unwrap()].ends_with(&frames));
    }
}

/// Reads a journal of ours that was cut, and of which a byte was changed: both places come first, two bytes each, and
/// then the transactions, each after its length. Transactions that are read are those that were written first; a cut
/// alone is never an error, and the journal goes on after it.
fn damaged_journal(input: &[u8], path: &Path) {
    let Some((places, mut rest)) = input.split_first_chunk::<4>() else { return };
    let mut payloads = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (payload, after) = after.split_at(after.len().min(usize::from(*length)));
        payloads.push(payload.to_vec());
        rest = after;
    }
    let whole = written(&payloads);
    let [cut, change] = [[places[0], places[1]], [places[2], places[3]]].map(u16::from_le_bytes);
    let mut damaged = whole[..whole.len().min(cut.into())].to_vec();
    let changed = damaged.get_mut(usize::from(change)).map(|byte| *byte ^= 0x40).is_some();
    fs::write(path, &damaged).unwrap();
    let (loaded, found, mut journal) = read(path);
    assert_eq!(found, payloads[..found.len()], "what was read was written");
    let has_header = damaged.len() >= written(&[]).len();
    assert!(loaded.is_ok() || changed || !has_header, "{loaded:?}");
    if loaded.is_ok() {
        assert!(changed || damaged.len() < whole.len() || found.len() == payloads.len());
        journal.append(b"more").unwrap();
        let (loaded, found, _) = read(path);
        assert!(loaded.is_ok_and(|loaded| loaded.is_some_and(|loaded| loaded.cut == 0)));
        assert_eq!(found.last().map(Vec::as_slice), Some(&b"more"[..]));
    }
}

/// Reads a file that may be a document. It is the content that was saved, or is set aside as it was.
fn arbitrary_document(content: &[u8], path: &Path) {
    fs::write(path, content).unwrap();
    let intact = document::is_intact(path).unwrap();
    match document::load(path).unwrap() {
        document::Content::Bytes(bytes) => {
            assert!(intact && content.ends_with(&bytes));
            document::save(path, &bytes).unwrap();
            assert_eq!(fs::read(path).unwrap(), content);
        }
        document::Content::SetAside(aside) => {
            assert!(!intact && !path.exists());
            assert_eq!(fs::read(&aside).unwrap(), content);
            fs::remove_file(aside).unwrap();
        }
        document::Content::Missing => unreachable!("it was written"),
    }
}

/// Reads a file that may be the identity of the agent. It is one at any rate, and stays the same.
fn arbitrary_instance(content: &[u8], folder: &Path) {
    fs::write(folder.join("instance-id"), content).unwrap();
    let id = instance::id(folder, None);
    assert!(Uuid::parse_str(&id).is_ok());
    assert_eq!(instance::id(folder, None), id);
}
