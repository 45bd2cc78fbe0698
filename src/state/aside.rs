//! Files that cannot be used are set aside, never deleted.

use std::io;
use std::path::{Path, PathBuf};

/// Renames a file to `NAME.aside`, or `NAME.aside.1` and so on; returns its new path.
///
/// # Errors
///
/// Where it cannot be renamed.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".aside");
    let first = PathBuf::from(&name);
    let numbered = (1..).map(|number| {
        let mut name = name.clone();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    });
    let free = std::iter::once(first).chain(numbered).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| PathBuf::from(name.clone()));
    std::fs::rename(path, &aside)?;
    Ok(aside)
}
