//! From a path to a configuration: `.env`, the file, its text, and what became of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fingerprint::{self, Kept, hexadecimal};
use super::yaml::context::Context;
use super::yaml::diagnostics::{Cause, Diagnostic, Errors, Position};
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
        read_dotenv(&mut context, path);
        let text = read_text(&context, path);
        if text.is_some() {
            check_permissions(&context, path);
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
        context.push(warning(&path, message));
    }
    context.env.add_file(&path, content);
}

fn read_text(context: &Context<'_>, path: &Path) -> Option<String> {
    let read = fingerprint::read_noted(path, &mut context.files.borrow_mut());
    let (cause, at, message) = match read {
        Err(error) => (Cause::of(&error), None, format!("cannot read the file: {error}")),
        Ok(content) if content.starts_with(b"\xFF\xFE") || content.starts_with(b"\xFE\xFF") => {
            (Cause::Invalid, None, "the file is UTF-16; save it as UTF-8".to_owned())
        }
        Ok(content) => match String::from_utf8(content) {
            Ok(text) => return Some(text),
            Err(error) => {
                let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
                let before = String::from_utf8_lossy(valid.unwrap_or_default());
                let line = 1 + before.matches('\n').count();
                let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
                let message = "not valid UTF-8 from here on".to_owned();
                (Cause::Invalid, Some(Position { line, column }), message)
            }
        },
    };
    context.report(cause, at, "", message);
    None
}

/// Warns of files that everybody can write, and of secrets in a file that everybody can read.
fn check_permissions(context: &Context<'_>, config: &Path) {
    for path in [config, &config.with_file_name(".env")] {
        if fingerprint::is_writable_by_all(path) {
            context.push(warning(path, "everybody can write the file; chmod o-w it".to_owned()));
        }
    }
    context.warns_of_literal.set(fingerprint::is_readable_by_all(config));
}

fn warning(file: &Path, message: String) -> Diagnostic {
    let origin = file.display().to_string();
    Diagnostic { origin, position: None, path: String::new(), message, cause: Cause::Unwise }
}

/// Makes a configuration of a text; without one, the context has the reason.
fn build(context: Context<'_>, origin: &Path, text: Option<&str>) -> Result<Loaded, Errors> {
    let root = text.and_then(|text| document::read(&context, text));
    let config = root.and_then(|root| schema::read(&context, root));
    let (files, places) = (context.files.into_inner(), context.system.into_inner());
    let mut faults = context.faults.into_inner();
    // What has no place (the environment) comes last.
    faults.sort_by_key(|fault| (fault.position.is_none(), fault.position));
    let (warnings, diagnostics): (Vec<_>, Vec<_>) =
        faults.into_iter().partition(|fault| fault.cause == Cause::Unwise);
    match (config, text) {
        (Some(config), Some(text)) if diagnostics.is_empty() => {
            let sha256 = hexadecimal(text.as_bytes());
            let contents = context.contents.into_inner();
            let kept = Kept { origin: origin.to_owned(), text: text.to_owned(), contents };
            Ok(Loaded { config, warnings, sha256, files, places, kept: Arc::new(kept) })
        }
        (config, _) => {
            let endpoint = config.map(|config| config.http.probe());
            Err(Errors { diagnostics, files, places: Box::new(places), endpoint })
        }
    }
}
