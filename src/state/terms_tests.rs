//! Leaders that take turns, and leaders of the past that go on writing.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::state::{Content, Document, Header, Maintenance, Owner, SiteFiles, StateDir};

fn open(path: &Path, number: u64, shared: bool) -> Result<StateDir, crate::state::Error> {
    StateDir::open_as(path, Owner::Leader(Term { number, shared }))
}

fn header() -> Header {
    Header { site: "paris".to_owned(), server: "https://a:1556/netbackup".to_owned() }
}

async fn files(directory: &StateDir) -> SiteFiles {
    SiteFiles::claim(directory, header()).await
}

/// Reads what is there, as the next leader does: its frames, and whether totals go on.
fn load(files: &mut SiteFiles) -> Option<(Vec<u8>, bool)> {
    let mut read = Vec::new();
    let resumed = files.load(|frame| {
        read.extend_from_slice(frame);
        Ok(())
    });
    resumed.unwrap().map(|resumed| (read, resumed.last_in_force))
}

fn rewrite(files: &mut SiteFiles, content: u8) -> io::Result<()> {
    files.rewrite(std::iter::once(Ok(vec![content]))).map(drop)
}

/// Closes a directory, and waits until the threads that own its files have ended.
async fn let_go(directory: StateDir) {
    let open = directory.downgrade();
    drop(directory);
    while open.upgrade().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A leader begins the next term.
    Begin,
    /// The leader of this many terms ago appends, or writes everything again.
    Append(usize),
    Rewrite(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Begin),
        (0..3_usize).prop_map(Step::Append),
        (0..3_usize).prop_map(Step::Rewrite),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The oracle: what the present leader has saved, or what it began with, is what the next one reads.
    #[test]
    fn leaders_of_the_past_change_nothing(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut leaders: Vec<SiteFiles> = Vec::new();
            let mut kept: Vec<u8> = Vec::new();
            for (number, step) in std::iter::once(Step::Begin).chain(steps).enumerate() {
                let content = u8::try_from(number).unwrap() + 1;
                match step {
                    Step::Begin => {
                        let directory = open(folder.path(), leaders.len() as u64, true).unwrap();
                        let mut next = files(&directory).await;
                        let found = load(&mut next).map(|(frames, goes_on)| {
                            assert!(goes_on);
                            frames
                        });
                        assert_eq!(found.unwrap_or_default(), kept);
                        // As the ledger does before it shows anything.
                        let all = kept.iter().map(|content| Ok(vec![*content]));
                        next.rewrite(all).unwrap();
                        leaders.push(next);
                    }
                    Step::Append(ago) | Step::Rewrite(ago) => {
                        let Some(place) = leaders.len().checked_sub(ago + 1) else { continue };
                        let files = &mut leaders[place];
                        let appends = matches!(step, Step::Append(_));
                        let appended = appends && files.append(&[content]).is_ok();
                        let written = appended || rewrite(files, content).is_ok();
                        if ago > 0 {
                            continue;
                        }
                        assert!(written, "the present leader can save");
                        if !appended {
                            kept.clear();
                        }
                        kept.push(content);
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn files_of_earlier_terms_are_removed_once_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let plain = StateDir::open(folder.path()).unwrap();
    rewrite(&mut files(&plain).await, 1).unwrap();
    Document::new(&plain, "push").save(b"one".to_vec()).await.unwrap();
    let id = plain.instance_id().map(str::to_owned);
    let_go(plain).await;
    let mut before = 1;
    for number in 0..4 {
        let directory = open(folder.path(), number, true).unwrap();
        assert_eq!(directory.instance_id().map(str::to_owned), id);
        let mut files = files(&directory).await;
        let content = u8::try_from(number).unwrap();
        assert_eq!(load(&mut files), Some((vec![before], true)));
        rewrite(&mut files, content).unwrap();
        before = content;
        let mut document = Document::new(&directory, "push");
        assert_eq!(document.load().await.unwrap(), Content::Bytes(b"one".to_vec()));
        document.save(b"one".to_vec()).await.unwrap();
        let own = format!("leader-{number}");
        assert_eq!(names(folder.path()), ["instance-id", &own, "lock"]);
        assert_eq!(names(&folder.path().join(own)).len(), 3);
        drop((files, document));
        let_go(directory).await;
    }
    let plain = StateDir::open(folder.path()).unwrap();
    assert_eq!(load(&mut files(&plain).await), Some((vec![3], true)));
    assert_eq!(names(folder.path()).len(), 6, "{:?}", names(folder.path()));
}

#[test]
fn term_that_is_there_cannot_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let _leader = open(folder.path(), 5, true).unwrap();
    for number in [0, 4, 5] {
        let error = open(folder.path(), number, true).unwrap_err();
        assert_eq!(error.overtaken(), Some(5), "{error}");
    }
    open(folder.path(), 6, true).unwrap();
    for strange in ["leader-", "leader-x", "leader-07", "leader--1", "leader-7.aside"] {
        fs::create_dir(folder.path().join(strange)).unwrap();
    }
    open(folder.path(), 7, true).unwrap();
}

#[tokio::test]
async fn own_directory_goes_on_from_the_own_last_term_only() {
    let folder = tempfile::tempdir().unwrap();
    for (number, expected) in
        [(0, None), (1, Some(1)), (3, None), (4, Some(4)), (9, None), (12, None)]
    {
        let directory = open(folder.path(), number, false).unwrap();
        let mut files = files(&directory).await;
        let found = load(&mut files).map(|(frames, _)| frames);
        assert_eq!(found, expected.map(|content| vec![content]), "term {number}");
        rewrite(&mut files, u8::try_from(number).unwrap() + 1).unwrap();
    }
    let aside: Vec<_> =
        names(folder.path()).into_iter().filter(|name| name.contains("aside")).collect();
    assert_eq!(aside, ["leader-9.aside"], "the last one is kept for people");
}

#[tokio::test]
async fn own_state_goes_on_after_a_person_has_changed_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path(), 6, false).unwrap();
    let mut first = files(&directory).await;
    rewrite(&mut first, 1).unwrap();
    drop((first, directory));
    drop(Maintenance::to_change(folder.path()).unwrap());
    let directory = open(folder.path(), 7, false).unwrap();
    assert_eq!(load(&mut files(&directory).await), Some((vec![1], true)));
}

#[test]
fn leaders_and_single_agents_keep_each_other_out() {
    let folder = tempfile::tempdir().unwrap();
    let leader = open(folder.path(), 0, true).unwrap();
    let error = StateDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another agent uses it"), "{error}");
    drop(leader);
    let single = StateDir::open(folder.path()).unwrap();
    let error = open(folder.path(), 1, true).unwrap_err().to_string();
    assert!(error.contains("another agent uses it"), "{error}");
    drop(single);
    assert_eq!(names(folder.path()), ["instance-id", "last-term", "lock"], "terms have ended");
}

#[tokio::test]
async fn removed_folder_is_made_again_unless_a_later_term_began() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path(), 0, true).unwrap();
    let mut files = files(&directory).await;
    rewrite(&mut files, 1).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    rewrite(&mut files, 2).unwrap();
    assert_eq!(load(&mut files), Some((vec![2], true)));
    let _next = open(folder.path(), 1, true).unwrap();
    fs::remove_dir_all(folder.path().join("leader-0")).unwrap();
    fs::remove_file(folder.path().join("lock")).unwrap();
    rewrite(&mut files, 3).unwrap_err();
    assert!(!folder.path().join("leader-0").exists());
}

#[tokio::test]
async fn person_sees_newest_files_of_leaders() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..2 {
        let directory = open(folder.path(), number, true).unwrap();
        let mut files = files(&directory).await;
        load(&mut files);
        // The second leader ends before it has saved anything.
        if number == 0 {
            rewrite(&mut files, 1).unwrap();
            Document::new(&directory, "push").save(b"one".to_vec()).await.unwrap();
        }
        drop(files);
        let_go(directory).await;
    }
    let seen = Maintenance::to_inspect(folder.path()).unwrap();
    let [journal] = &seen.journals().unwrap()[..] else { panic!("one journal") };
    assert_eq!(journal.path.parent(), Some(&*folder.path().join("leader-0")));
    assert_eq!(seen.documents().unwrap().len(), 1);
    assert_eq!(seen.last_server("paris"), Some(header().server));
    drop(seen);
    let changed = Maintenance::to_change(folder.path()).unwrap();
    let [journal] = &changed.journals().unwrap()[..] else { panic!("one journal") };
    assert_eq!(journal.path.parent(), Some(folder.path()));
    changed.rename(&journal.path, "lyon").unwrap();
    assert_eq!(changed.last_server("lyon"), Some(header().server));
}
