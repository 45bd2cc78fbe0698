//! From a path to a configuration: `.env`, the file, its text, and what became of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fingerprint::{self, Kept, hexadecimal};
use super::yaml::context::{Context, Parts};
use super::yaml::diagnostics::{Cause, Errors};
use super::yaml::document;
use super::yaml::dotenv::Environment;
use super::{Loaded, schema};

/// Time between the two looks at a file.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Longest wait for files that keep changing; then they are taken as they are.
const LONGEST_READING: Duration = Duration::from_secs(1);

/// Reads the configuration at `path`, with `.env` beside it.
///
/// A program that saves a file in place empties it first and fills it bit by bit, and half a file
/// can be a valid configuration. Therefore all files are compared a little later with what was
/// read, and read again if one differs, for a second at most. Blocks for that time and for the
/// access to the file system.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    settled(|| {
        let mut context = Context::new(path, env);
        context.parts.replace(Parts::Listed);
        read_dotenv(&mut context, path);
        let text = read_text(&context, path);
        if text.is_some() {
            context.check_permissions(path);
        }
        build(context, path, text.as_deref())
    })
}

/// Reads a configuration again that was valid, with its files as they are now. A file that cannot be
/// read counts as unchanged. Blocks as [`load`] does.
pub fn reread(kept: &Kept, env: &dyn Environment) -> Result<Loaded, Errors> {
    settled(|| {
        let mut context = Context::new(&kept.origin, env);
        context.contents.get_mut().clone_from(&kept.contents);
        context.parts.replace(Parts::Known(kept.parts.clone()));
        read_dotenv(&mut context, &kept.origin);
        build(context, &kept.origin, Some(&kept.text))
    })
}

/// Reads a configuration from text. `origin` names it in messages; files that it names are relative
/// to the directory of `origin`. No `.env` is read.
pub fn from_text(text: &str, origin: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    build(Context::new(origin, env), origin, Some(text))
}

/// Reads until two looks at the files agree.
#[expect(clippy::disallowed_methods, reason = "it reads files, so it blocks anyway")]
fn settled(read: impl Fn() -> Result<Loaded, Errors>) -> Result<Loaded, Errors> {
    let started = Instant::now();
    loop {
        let verdict = read();
        let files = match &verdict {
            Ok(loaded) => &loaded.files,
            Err(errors) => &errors.files,
        };
        std::thread::sleep(BETWEEN_LOOKS);
        if fingerprint::all_match(files) || started.elapsed() >= LONGEST_READING {
            return verdict;
        }
    }
}

fn read_dotenv(context: &mut Context<'_>, config: &Path) {
    let path = config.with_file_name(".env");
    if !path.is_file() {
        fingerprint::note(&path, None, context.files.get_mut());
        return;
    }
    let content = context.read(&path);
    if let Err(error) = &content {
        let message = format!("cannot read the file, so its variables are not set: {error}");
        context.warn_of_file(&path, &message);
    }
    context.check_writable(&path);
    context.add_dotenv(&path, content);
}

fn read_text(context: &Context<'_>, path: &Path) -> Option<String> {
    // Not among the contents: it is kept as text.
    let read = fingerprint::read_noted(path, &mut context.files.borrow_mut());
    context.text(read)
}

/// Makes a configuration of a text; without one, the context has the reason.
fn build(context: Context<'_>, origin: &Path, text: Option<&str>) -> Result<Loaded, Errors> {
    let root = text.and_then(|text| {
        document::read(&context, text, "nbuservers", "sections (server, nbuservers, ...)")
    });
    let config = root.and_then(|root| schema::read(&context, root));
    let (files, places) = (context.files.into_inner(), context.system.into_inner());
    let mut faults = context.faults.into_inner();
    // What has no place (the environment) comes last, and other files after the configuration itself.
    let main = origin.display().to_string();
    faults.sort_by_cached_key(|it| {
        (it.position.is_none(), it.origin != main, it.origin.clone(), it.position)
    });
    let (warnings, diagnostics): (Vec<_>, Vec<_>) =
        faults.into_iter().partition(|fault| fault.cause == Cause::Unwise);
    match (config, text) {
        (Some(config), Some(text)) if diagnostics.is_empty() => {
            let sha256 = hexadecimal(text.as_bytes());
            let contents = context.contents.into_inner();
            let parts = match context.parts.into_inner() {
                Parts::Known(parts) => parts,
                Parts::Named | Parts::Listed => Vec::new(),
            };
            let kept = Kept { origin: origin.to_owned(), text: text.to_owned(), contents, parts };
            Ok(Loaded { config, warnings, sha256, files, places, kept: Arc::new(kept) })
        }
        (config, _) => {
            let endpoint = config.and_then(|config| config.http.probe());
            Err(Errors { diagnostics, files, places: Box::new(places), endpoint })
        }
    }
}
