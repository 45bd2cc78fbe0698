//! The directory: whose it is, and for how long.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn said(path: &Path) -> String {
    StateDir::open(path).expect_err("it cannot be had").to_string()
}

#[test]
fn missing_directory_is_created_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let directory = StateDir::open(&path).unwrap();
    assert_eq!(directory.path(), path);
    for made in [&path, path.parent().unwrap()] {
        assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<BTreeSet<_>>(), ["instance-id", "lock"].map(Into::into).into());
}

#[test]
fn directory_is_locked_until_last_clone_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let first = StateDir::open(folder.path()).unwrap();
    let clone = first.clone();
    let id = first.instance_id().map(str::to_owned);
    let earlier = first.downgrade();
    drop(first);
    let held = format!("another agent uses it (process {})", std::process::id());
    assert!(said(folder.path()).contains(&held), "{}", said(folder.path()));
    assert_eq!(earlier.upgrade(), Some(clone.clone()));
    drop(clone);
    assert_eq!(earlier.upgrade(), None);
    let again = StateDir::open(folder.path()).unwrap();
    assert_eq!(again.instance_id().map(str::to_owned), id);
}

#[test]
fn lock_without_process_id_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join(LOCK)).unwrap();
    file.lock().unwrap();
    for text in ["", "x", "-1", "99999999999999999999999999"] {
        fs::write(folder.path().join(LOCK), text).unwrap();
        assert!(said(folder.path()).contains("another agent uses it; "), "{text}");
    }
}

#[test]
fn path_that_is_no_directory_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    for path in [file.clone(), file.join("below")] {
        let text = said(&path);
        assert!(text.starts_with(&format!("state.directory {}: ", path.display())), "{text}");
        assert!(text.contains("not a directory; use a directory"), "{text}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn directory_matches_every_path_until_recreated() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("real"), folder.path().join("link"));
    let directory = StateDir::open(&path).unwrap();
    symlink(&path, &link).unwrap();
    assert!(directory.is(&path) && directory.is(&link) && directory.is(&path.join("../real")));
    assert!(!directory.is(folder.path()) && !directory.is(&path.join("nothing")));
    // Beside it, so that the new one cannot get its number.
    fs::rename(&path, folder.path().join("old")).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!directory.is(&path));
}

#[test]
fn unwritable_directory_is_an_error() {
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root; `errors_name_the_path_and_the_remedy` has the words.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(LOCK), "").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    assert!(said(folder.path()).contains("permission denied; the user that runs the agent"));
}

#[test]
fn removed_lock_is_reacquired_before_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let directory = StateDir::open(&path).unwrap();
    directory.check_lock().unwrap();
    fs::remove_file(path.join(LOCK)).unwrap();
    directory.check_lock().unwrap();
    assert!(said(&path).contains("another agent uses it"), "{}", said(&path));
    fs::remove_dir_all(&path).unwrap();
    directory.check_lock().unwrap();
    assert!(directory.is(&path));
    assert!(said(&path).contains("another agent uses it"));
    let kept = fs::read_to_string(path.join("instance-id")).unwrap();
    assert_eq!(Some(kept.trim()), directory.instance_id());
}

#[test]
fn lock_of_another_agent_is_not_overridden() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let directory = StateDir::open(&path).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let _other = StateDir::open(&path).unwrap();
    let error = directory.check_lock().unwrap_err().to_string();
    assert!(error.contains("another agent uses it"), "{error}");
}

#[tokio::test]
async fn file_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDir::open(folder.path()).unwrap();
    let first = directory.claim("a").await;
    let _other = directory.claim("b").await;
    let soon = std::time::Duration::from_millis(5);
    assert!(tokio::time::timeout(soon, directory.claim("a")).await.is_err());
    drop(first);
    directory.claim("a").await;
}
