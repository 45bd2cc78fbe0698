//! The directories in which a file can change: its own, and that of each symlink on the way to it.
//! Editors rename files over others, Kubernetes renames a link (`..data`) over another; both happen
//! in a directory, while a watch on the file would go on watching what was replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// As many symlinks as the kernel follows.
const MAX_LINKS: usize = 40;

/// Device and inode: a directory that was made again is another one.
pub(super) type Identity = (u64, u64);

pub(super) struct Found {
    /// Those that are there, each once, by a path without symlinks.
    pub(super) present: BTreeMap<PathBuf, Identity>,
    /// The files themselves and the symlinks on the way to them, by those paths: what else changes in
    /// the directories (a log, state) is no business of a watch.
    pub(super) entries: BTreeSet<PathBuf>,
    /// Those of them that are watched for whatever is in them.
    pub(super) whole: BTreeSet<PathBuf>,
    /// A directory is missing.
    pub(super) incomplete: bool,
}

pub(super) fn of<'p>(files: impl Iterator<Item = &'p PathBuf>) -> Found {
    // One directory may have several paths (bind mounts), and can have one watch only.
    let mut paths = BTreeMap::<Identity, PathBuf>::new();
    let (mut wanted, mut whole) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        wanted.extend(on_the_way(file));
        if let Ok(directory) = file.canonicalize()
            && let Ok(found) = fs::metadata(&directory)
            && found.is_dir()
        {
            let identity = (found.dev(), found.ino());
            whole.insert(paths.entry(identity).or_insert(directory).clone());
        }
    }
    let mut entries = BTreeSet::new();
    let mut missing = Vec::new();
    for entry in wanted {
        let (Some(directory), Some(name)) = (entry.parent(), entry.file_name()) else { continue };
        match fs::metadata(directory) {
            Ok(found) if found.is_dir() => {
                let identity = (found.dev(), found.ino());
                let watched = paths.entry(identity).or_insert_with(|| directory.to_owned());
                entries.insert(watched.join(name));
            }
            _ => missing.push(directory.to_owned()),
        }
    }
    let incomplete = !missing.is_empty();
    // What is made again in a directory that is watched all the same.
    for ancestor in missing.iter().flat_map(|directory| directory.ancestors()) {
        let (Some(directory), Some(name)) = (ancestor.parent(), ancestor.file_name()) else {
            continue;
        };
        let identity = fs::metadata(directory).map(|found| (found.dev(), found.ino()));
        if let Some(watched) = identity.ok().and_then(|identity| paths.get(&identity)) {
            entries.insert(watched.join(name));
        }
    }
    let present = paths.into_iter().map(|(id, path)| (path, id)).collect();
    Found { present, entries, whole, incomplete }
}

/// Walks to the file as the kernel does; returns it and each symlink that is passed.
fn on_the_way(file: &Path) -> BTreeSet<PathBuf> {
    let mut passed = BTreeSet::new();
    let mut links = 0;
    // Without symlinks, so that `..` is its parent.
    let mut here = PathBuf::from("/");
    let mut rest = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    loop {
        let mut components = rest.components();
        let next = components.next();
        let beyond = components.as_path().to_owned();
        match next {
            None => break,
            Some(Component::RootDir) => here = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(here.pop()),
            Some(Component::CurDir | Component::Prefix(_)) => {}
            Some(Component::Normal(name)) => {
                let path = here.join(name);
                match fs::read_link(&path) {
                    Ok(target) if links < MAX_LINKS => {
                        links += 1;
                        passed.insert(path);
                        rest = target.join(beyond);
                        continue;
                    }
                    _ => here = path,
                }
            }
        }
        rest = beyond;
    }
    passed.insert(here);
    passed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(found: &Found, below: &Path) -> Vec<String> {
        let relative = |path: &PathBuf| path.strip_prefix(below).unwrap().display().to_string();
        found.present.keys().map(relative).collect()
    }

    #[test]
    fn each_symlink_on_the_way_adds_its_directory() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for name in ["mount", "mount/..2026_1", "links", "etc"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("mount/..2026_1/config.yaml"), "").unwrap();
        symlink("..2026_1", root.join("mount/..data")).unwrap();
        symlink("..data/config.yaml", root.join("mount/config.yaml")).unwrap();
        symlink("../mount", root.join("links/current")).unwrap();
        symlink(root.join("links/current/config.yaml"), root.join("etc/config.yaml")).unwrap();

        let found = of([root.join("etc/./config.yaml")].iter());
        assert_eq!(names(&found, &root), ["etc", "links", "mount", "mount/..2026_1"]);
        assert!(!found.incomplete);
        let entries = found.entries.iter().map(|path| path.strip_prefix(&root).unwrap());
        let expected = [
            "etc/config.yaml",
            "links/current",
            "mount/..2026_1/config.yaml",
            "mount/..data",
            "mount/config.yaml",
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected.map(Path::new));

        fs::remove_dir_all(root.join("mount/..2026_1")).unwrap();
        let found = of([root.join("etc/config.yaml")].iter());
        assert_eq!(names(&found, &root), ["etc", "links", "mount"]);
        assert!(found.incomplete, "it cannot be told when the link leads somewhere again");
    }

    #[test]
    fn circle_of_symlinks_ends() {
        let place = tempfile::tempdir().unwrap();
        symlink("b", place.path().join("a")).unwrap();
        symlink("a", place.path().join("b")).unwrap();
        let found = of([place.path().join("a")].iter());
        assert_eq!((found.present.len(), found.entries.len()), (1, 2));
    }
}
