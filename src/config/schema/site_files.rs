//! The directory of site files: primary servers in files of their own, so that a tool adds and removes one without
//! an edit of a file that others edit, too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::kinds::Text;
use super::nbuservers::{Name, Server};
use crate::config::entries::Entry;
use crate::config::fingerprint;
use crate::config::yaml::context::{Context, Parts};
use crate::config::yaml::diagnostics::Cause;
use crate::config::yaml::setting::Key;
use crate::config::yaml::{document, section};
use crate::netbackup::config::Config;

/// The directory beside the configuration that is read unless the configuration names another.
const DEFAULT: &str = "sites.d";

/// Most files of a directory: more are a mistake, such as a directory of something else.
const MAX_FILES: usize = 10_000;

/// A server of a file with what is in force of it.
pub(super) struct SiteFile {
    pub(super) enabled: bool,
    pub(super) config: Config,
    pub(super) entries: Vec<Entry>,
}

/// Reads the servers of the directory's files, in the order of their names; `None` for each that is wrong, which is
/// reported. `sites` has the sites of the configuration itself.
pub(super) fn read(
    context: &Context<'_>,
    directory: Key<Text>,
    schema: &'static Json,
    sites: &mut BTreeMap<String, String>,
) -> Vec<Option<SiteFile>> {
    let parts = context.parts.take();
    let is_known = matches!(parts, Parts::Known(_));
    let files = match parts {
        Parts::Known(files) => files,
        Parts::Listed => listed(context, directory, Some(DEFAULT)),
        Parts::Named => listed(context, directory, None),
    };
    let read = files.iter().map(|path| read_file(context, path, is_known, schema, sites)).collect();
    context.parts.replace(Parts::Known(files));
    read
}

/// Returns the files of the directory that the setting names, or of the default one if it is there.
fn listed(context: &Context<'_>, key: Key<Text>, default: Option<&str>) -> Vec<PathBuf> {
    let setting = key.get(context);
    let (given, default) = (setting.path_given(), default.map(|name| context.base.join(name)));
    let Some(path) = given.as_ref().or(default.as_ref()) else { return Vec::new() };
    // What comes later is seen without a restart, be it a file or the directory.
    fingerprint::note_place(path, &mut context.system.borrow_mut());
    match names(path) {
        Ok(files) if files.len() > MAX_FILES => {
            setting.error(&format!("{} files; expected at most {MAX_FILES}", files.len()));
            Vec::new()
        }
        Ok(files) => files,
        Err(error) if given.is_none() && error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let message = format!("cannot read the directory: {error}");
            setting.report(Cause::of(&error), &message);
            Vec::new()
        }
    }
}

/// Returns the paths of the files that count, sorted. What begins with a dot is an editor's or Kubernetes' own.
fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|it| it == "yaml" || it == "yml");
        let name = path.file_name().unwrap_or_default();
        if is_yaml && !name.as_encoded_bytes().starts_with(b".") {
            files.push(path);
        } else {
            tracing::trace!(path = %path.display(), "no site file: its name does not end in .yaml or .yml");
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the server of one file. One that `is_known` is what it was before, whatever is on disk now.
fn read_file(
    around: &Context<'_>,
    path: &Path,
    is_known: bool,
    schema: &'static Json,
    sites: &mut BTreeMap<String, String>,
) -> Option<SiteFile> {
    let context = around.of_part(path);
    let content = if is_known { context.known(path) } else { context.read(path) };
    let read = context.text(content).and_then(|text| {
        if !is_known {
            context.check_permissions(path);
        }
        let root = document::read(
            &context,
            &text,
            "host and apiKeyFile",
            "the keys of a server (host, apiKeyFile, ...)",
        )?;
        let server: Server = section::read(&context, root, schema)?;
        let stem = path.file_stem().and_then(OsStr::to_str);
        let name = Name { section: "", shown: &path.display().to_string(), default: stem };
        let (enabled, config) = server.read(&context, &name, sites)?;
        let entries = context.entries_of(&config.site);
        Some(SiteFile { enabled, config, entries })
    });
    around.absorb(context);
    read
}
