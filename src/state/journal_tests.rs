//! Tests of journals: reading back, telling faults apart, full disks and files that were changed.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::state::frames::HEADER_LEN;

fn header() -> Header {
    Header { site: "paris".to_owned(), server: "https://nbu:1556/netbackup".to_owned() }
}

fn parts(texts: &[&'static str]) -> std::vec::IntoIter<io::Result<Vec<u8>>> {
    let parts = texts.iter().map(|text| Ok(text.as_bytes().to_vec()));
    parts.collect::<Vec<_>>().into_iter()
}

fn load(path: &Path) -> Result<(Vec<String>, u64), OpenError> {
    let mut frames = Vec::new();
    let opened = Journal::new(path.to_owned(), header()).open(|frame| {
        frames.push(String::from_utf8_lossy(frame).into_owned());
        Ok(())
    })?;
    Ok((frames, opened.map_or(0, |loaded| loaded.cut)))
}

fn written() -> (tempfile::TempDir, PathBuf, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("paris.state");
    let mut journal = Journal::new(path.clone(), header());
    journal.rewrite(parts(&["one", "two"])).unwrap();
    journal.append(b"three").unwrap();
    (directory, path, journal)
}

#[test]
fn frames_written_are_read_in_order() {
    let (_directory, path, mut journal) = written();
    assert_eq!(load(&path).unwrap(), (vec!["one".into(), "two".into(), "three".into()], 0));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), journal.length());
    journal.rewrite(parts(&["all"])).unwrap();
    journal.append(b"more").unwrap();
    assert_eq!(load(&path).unwrap().0, ["all", "more"]);
}

#[test]
fn file_cut_anywhere_gives_its_whole_transactions() {
    let (_directory, path, _journal) = written();
    let bytes = std::fs::read(&path).unwrap();
    let whole = load(&path).unwrap().0;
    let head = MAGIC.len() + HEADER_LEN + serde_json::to_vec(&header()).unwrap().len();
    for length in head..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (frames, cut) = load(&path).unwrap();
        assert_eq!(frames, whole[..frames.len()], "cut at {length}");
        let kept = bytes[..length].len() as u64 - cut;
        assert!(frames.len() == 3 || cut > 0 || kept == length as u64, "cut at {length}");
        // The next save takes the place of what was cut.
        let mut journal = Journal::new(path.clone(), header());
        journal.open(|_| Ok(())).unwrap();
        journal.append(b"next").unwrap();
        let (after, cut) = load(&path).unwrap();
        assert_eq!(
            (after.last().unwrap().as_str(), after.len(), cut),
            ("next", frames.len() + 1, 0)
        );
    }
    for length in 0..head {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = load(&path).unwrap_err();
        assert!(!matches!(error, OpenError::Io(_)), "cut at {length}: {error}");
    }
}

#[test]
fn byte_changed_before_the_last_save_is_damage() {
    let (_directory, path, journal) = written();
    let bytes = std::fs::read(&path).unwrap();
    let whole = load(&path).unwrap().0;
    let last = usize::try_from(journal.length()).unwrap() - HEADER_LEN - "three".len();
    for place in 0..bytes.len() {
        for flip in [0x41, 0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            std::fs::write(&path, &changed).unwrap();
            match load(&path) {
                Ok((frames, cut)) => {
                    assert!(place >= last && cut > 0, "byte {place} changed and was not seen");
                    assert_eq!(frames, whole[..2]);
                }
                Err(error) => {
                    assert!(place < last, "byte {place}: {error}");
                    assert!(!matches!(error, OpenError::Io(_)), "byte {place}: {error}");
                }
            }
        }
    }
}

#[test]
fn frame_missing_doubled_or_swapped_is_damage() {
    let (_directory, path, mut journal) = written();
    journal.append(b"four").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let third = bytes.windows(5).position(|bytes| bytes == b"three").unwrap() - HEADER_LEN;
    let fourth = third + HEADER_LEN + 5;
    let (before, three, four) = (&bytes[..third], &bytes[third..fourth], &bytes[fourth..]);
    for middle in [[four, &[]], [four, three]] {
        std::fs::write(&path, [before, middle[0], middle[1]].concat()).unwrap();
        assert!(matches!(load(&path), Err(OpenError::Corrupt(_))));
    }
    std::fs::write(&path, [before, three, three, four].concat()).unwrap();
    assert!(matches!(load(&path), Err(OpenError::Corrupt(_))));
}

#[test]
fn last_save_that_never_reached_the_disk_is_cut() {
    let (_directory, path, journal) = written();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = usize::try_from(journal.length()).unwrap() - HEADER_LEN - "three".len();
    // Its length did, its bytes did not; or some of its blocks did.
    bytes[last..].fill(0);
    bytes.extend([0; 4096]);
    for tail in [&[][..], b"rest of a payload"] {
        std::fs::write(&path, [&bytes, tail].concat()).unwrap();
        let (frames, cut) = load(&path).unwrap();
        assert_eq!(frames, ["one", "two"]);
        assert!(cut > 4096);
    }
}

#[test]
fn file_of_another_server_or_version_is_not_damaged() {
    let (_directory, path, _journal) = written();
    let other = Header { server: "https://other/netbackup".to_owned(), ..header() };
    let error = Journal::new(path.clone(), other).open(|_| Ok(())).unwrap_err();
    assert!(matches!(error, OpenError::Foreign(found) if found == header()));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[15] = b'9';
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(load(&path), Err(OpenError::Version('9'))));
    std::fs::write(&path, "a text of somebody else's").unwrap();
    assert!(matches!(load(&path), Err(OpenError::Kind)));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(load(&path), Err(OpenError::Kind)));
}

#[test]
fn rewrite_is_due_once_the_file_has_grown() {
    let (_directory, path, mut journal) = written();
    assert!(!journal.has_grown());
    let block = vec![b'x'; 700 * 1024];
    journal.append(&block).unwrap();
    assert!(!journal.has_grown());
    journal.append(&block).unwrap();
    assert!(journal.has_grown());
    let gone = std::iter::once(Err(io::Error::other("given up")));
    journal.rewrite(gone).unwrap_err();
    assert_eq!(load(&path).unwrap().0.len(), 5, "half of it must not replace the whole");
    assert!(journal.open.is_some() && !journal.has_grown(), "it is appended to meanwhile");
    journal.append(&block).unwrap();
    journal.append(&block).unwrap();
    assert!(journal.has_grown());
    journal.rewrite(parts(&["small"])).unwrap();
    assert!(!journal.has_grown());
    assert_eq!(load(&path).unwrap().0, ["small"]);
    assert!(Journal::new(path, header()).open.is_none(), "nothing was opened");
}

#[test]
fn file_removed_or_replaced_is_noticed_and_written_again() {
    let (_directory, path, mut journal) = written();
    let other = path.with_extension("other");
    let meddle: [(&str, &dyn Fn()); 4] = [
        ("removed", &|| std::fs::remove_file(&path).unwrap()),
        ("replaced", &|| {
            std::fs::write(&other, "somebody's").unwrap();
            std::fs::rename(&other, &path).unwrap();
        }),
        ("replaced", &|| {
            std::fs::copy(&path, &other).unwrap();
            std::fs::rename(&other, &path).unwrap();
        }),
        ("cut", &|| std::fs::write(&path, "").unwrap()),
    ];
    let mut asides = 0;
    for (what, meddle) in meddle {
        meddle();
        let error = journal.append(b"lost?").unwrap_err();
        assert_eq!(error.to_string(), format!("the file was {what}"));
        assert!(journal.open.is_none());
        asides += usize::from(journal.rewrite(parts(&["all"])).unwrap().is_some());
        journal.append(b"more").unwrap();
        assert_eq!(load(&path).unwrap().0, ["all", "more"], "{what}");
    }
    assert_eq!(asides, 2, "what somebody put there is not overwritten");
}

#[test]
fn file_that_was_not_opened_is_never_overwritten() {
    let (directory, path, _journal) = written();
    let mut other = Journal::new(path.clone(), header());
    let aside = other.rewrite(parts(&["new"])).unwrap().unwrap();
    assert_eq!(aside, directory.path().join("paris.state.aside"));
    assert_eq!(load(&aside).unwrap().0.len(), 3);
    assert_eq!(load(&path).unwrap().0, ["new"]);
}

#[test]
fn unwritable_journal_is_read_and_appended_later() {
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root.
        return;
    }
    let (_directory, path, _journal) = written();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let mut journal = Journal::new(path.clone(), header());
    assert!(journal.open(|_| Ok(())).unwrap().is_some());
    assert!(matches!(journal.append(b"four"), Err(AppendError::Io(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    journal.append(b"four").unwrap();
    assert_eq!(load(&path).unwrap().0.len(), 4);
}
