//! The names of the files of sites.

use std::fmt::Write as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::directory::StateDir;

/// The characters of a site's name that are in the name of its file, so that people find it.
const READABLE: usize = 60;

impl StateDir {
    /// Returns the journal of a site whose server has this identity: another for each pair, and always the
    /// same for one.
    pub(crate) fn site_file(&self, site: &str, server: &str) -> PathBuf {
        self.file(site_name(site, server))
    }

    /// Returns the file that names the server of a site that was polled last.
    pub(super) fn mark_file(&self, site: &str) -> PathBuf {
        self.file(mark_name(site))
    }
}

/// Returns the name of the journal of a site and server.
pub(super) fn site_name(site: &str, server: &str) -> String {
    document_name(site, server, "state")
}

/// Returns the name of a document of a site and server, without its ending.
pub(super) fn document_name(site: &str, server: &str, content: &str) -> String {
    // No name has this byte, so that no two pairs run together to one text.
    let hash = Sha256::new().chain_update(site).chain_update([0xff]).chain_update(server);
    file_name(site, hash, content)
}

/// Returns the name of the mark of a site.
pub(super) fn mark_name(site: &str) -> String {
    file_name(site, Sha256::new().chain_update(site), "site")
}

fn file_name(site: &str, hash: Sha256, extension: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut name: String =
        site.chars().take(READABLE).map(|c| if plain(c) { c } else { '_' }).collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    name.push('-');
    for byte in &hash.finalize()[..8] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name + "." + extension
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_site_and_server_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        let long = "ä/".repeat(200);
        let sites = ["a", "A", "a/b", "a_b", "", ".", "..", "../x", long.as_str(), "lock"];
        let servers = ["https://h:1556/netbackup", "https://h:1557/netbackup", ""];
        let mut files = BTreeSet::new();
        for site in sites {
            for server in servers {
                let file = directory.site_file(site, server);
                assert_eq!(file, directory.site_file(site, server));
                assert_eq!(file.parent(), Some(folder.path()));
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                assert!(name.is_ascii() && !name.starts_with('.'), "{name}");
                let stem = name.strip_suffix(".state").expect("the extension");
                assert!(stem.len() <= 60 + 1 + 16, "{name}");
                files.insert(name);
            }
        }
        assert_eq!(files.len(), sites.len() * servers.len());
        // On disk, so it must never change.
        let name = directory.site_file("paris", "https://h:1556/netbackup");
        assert_eq!(name.file_name().unwrap(), "paris-52267bc26be499c2.state");
    }
}
