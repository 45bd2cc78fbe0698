//! All primary servers: those of the list, of the old form, and of site files.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::kinds::Text;
use super::nbuservers::{Name, OLD_FORM, Server};
use super::site_files;
use crate::config::entries::Entry;
use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::Cause;
use crate::config::yaml::setting::Key;
use crate::netbackup::config::Config;

/// The servers that are enabled, and what is in force of those that have a file of their own.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) configs: Vec<Config>,
    pub(super) entries: Vec<Entry>,
}

/// Returns the servers that are enabled; it is an error to have none. `schema` is that of a server.
pub(super) fn read(
    context: &Context<'_>,
    list: &[Server],
    old_form: &Server,
    directory: Key<Text>,
    schema: &'static Json,
) -> Servers {
    let mut sites = BTreeMap::new();
    let mut read = Vec::new();
    for (index, server) in list.iter().enumerate() {
        let section = format!("nbuservers[{index}]");
        let name = Name { section: &section, shown: &section, default: None };
        read.push(server.read(context, &name, &mut sites));
    }
    let many = context.section("nbuservers").map(|it| (it.key, it.is_set, it.is_lost));
    let Some((key, is_set, is_lost)) = many else { return Servers::default() };
    let single = context.section(OLD_FORM).filter(|it| it.is_set).map(|it| it.value);
    if let Some(at) = single {
        if is_set {
            context.error(at, OLD_FORM, "give nbuservers or nbuserver, not both");
        }
        let message = "the old form for a single server; nbuservers takes a list of them";
        context.report(Cause::Unwise, Some(at), OLD_FORM, message);
        let host = old_form.host_given(context);
        let name = Name { section: OLD_FORM, shown: OLD_FORM, default: host.as_deref() };
        read.push(old_form.read(context, &name, &mut sites));
    }
    let mut entries = Vec::new();
    for file in site_files::read(context, directory, schema, &mut sites) {
        read.push(file.map(|file| {
            entries.extend(file.entries);
            (file.enabled, file.config)
        }));
    }
    if read.is_empty() && !is_lost {
        context.error(key, "nbuservers", "expected at least one server, here or in sites.d");
    // One that is wrong counts as enabled: its own errors are enough.
    } else if !read.is_empty() && read.iter().all(|it| matches!(it, Some((false, _)))) {
        context.error(key, "nbuservers", "expected at least one enabled server");
    }
    let enabled = read.into_iter().flatten().filter(|(enabled, _)| *enabled);
    Servers { configs: enabled.map(|(_, config)| config).collect(), entries }
}
