//! From a path to a configuration: `.env`, the file, its text, and what became of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fingerprint::{self, Contents, Fingerprints, Kept, digest, hexadecimal};
use super::yaml::context::Context;
use super::yaml::diagnostics::{Cause, Diagnostic, Errors, Position, sort};
use super::yaml::dotenv::{self, Dotenv, Layered};
use super::yaml::env::Environment;
use super::yaml::expand::{self, Faults};
use super::yaml::tree::{self, Document, Value};
use super::{Config, Loaded, schema};

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
///
/// # Errors
///
/// Returns everything that is wrong with it.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    settled(|| load_once(path, env))
}

/// Reads a configuration again that was valid, with its files as they are now. A file that cannot be
/// read counts as unchanged. Blocks as [`load`] does.
///
/// # Errors
///
/// Everything that is wrong with it by now.
pub fn reread(kept: &Kept, env: &dyn Environment) -> Result<Loaded, Errors> {
    settled(|| {
        let mut found = Found { fallback: Some(&kept.contents), ..Found::default() };
        let dotenv = variables(&kept.origin, &mut found);
        build(&kept.text, &kept.origin, &Layered { real: env, dotenv }, found)
    })
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

fn load_once(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    let mut found = Found::default();
    let dotenv = variables(path, &mut found);
    match text(path, &mut found.files) {
        Ok(text) => {
            for path in [path, &dotenv::path_beside(path)] {
                if fingerprint::is_writable_by_all(path) {
                    let message = "everybody can write the file; chmod o-w it";
                    found.warnings.push(fault(path, None, message.to_owned()));
                }
            }
            found.is_readable = fingerprint::is_readable_by_all(path);
            build(&text, path, &Layered { real: env, dotenv }, found)
        }
        Err(fault) => Err(Errors {
            diagnostics: vec![fault],
            files: found.files,
            places: Box::default(),
            endpoint: None,
        }),
    }
}

/// Reads a configuration from text. `origin` names it in messages; files that it names are relative
/// to the directory of `origin`. No `.env` is read.
pub fn from_text(text: &str, origin: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    build(text, origin, env, Found::default())
}

/// Findings before the text is parsed.
#[derive(Default)]
struct Found<'f> {
    files: Fingerprints,
    contents: Contents,
    fallback: Option<&'f Contents>,
    warnings: Vec<Diagnostic>,
    /// Everybody can read the file that may hold keys.
    is_readable: bool,
}

fn build(
    text: &str,
    origin: &Path,
    env: &dyn Environment,
    found: Found<'_>,
) -> Result<Loaded, Errors> {
    let base = origin.parent().filter(|parent| !parent.as_os_str().is_empty());
    let base = base.unwrap_or(Path::new("."));
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let mut context = Context::new(origin.display().to_string(), base, env);
    context.fallback = found.fallback;
    *context.files.borrow_mut() = found.files;
    *context.contents.borrow_mut() = found.contents;
    *context.warnings.borrow_mut() = found.warnings;
    let config = parse(text, &context);
    if let (true, Some(at)) = (found.is_readable, context.literal_secret.get()) {
        let message = "a secret is spelt out in a file that everybody can read; chmod o-r it, or \
                       use ${NAME} or apiKeyFile";
        context.warn(at, "", message);
    }
    let mut errors = context.errors.into_inner();
    let mut warnings = context.warnings.into_inner();
    let (files, places) = (context.files.into_inner(), context.system.into_inner());
    let contents = context.contents.into_inner();
    sort(&mut errors);
    sort(&mut warnings);
    match config {
        Some(config) if errors.is_empty() => {
            let sha256 = hexadecimal(&digest(text.as_bytes()));
            let kept = Kept { origin: origin.to_owned(), text: text.to_owned(), contents };
            Ok(Loaded { config, warnings, sha256, files, places, kept: Arc::new(kept) })
        }
        config => {
            let endpoint = config.map(|config| config.http);
            Err(Errors { diagnostics: errors, files, places: Box::new(places), endpoint })
        }
    }
}

/// Reads the variables of the `.env` file beside the configuration at `config`; none without one.
fn variables(config: &Path, found: &mut Found<'_>) -> Dotenv {
    let path = dotenv::path_beside(config);
    if !path.is_file() {
        fingerprint::note(&path, None, &mut found.files);
        return Dotenv::default();
    }
    let before = found.fallback.and_then(|contents| contents.get(&path));
    match (fingerprint::read_noted(&path, &mut found.files), before) {
        (Ok(content), _) => {
            let dotenv = Dotenv::parse(&path, &content);
            found.contents.insert(path, content);
            dotenv
        }
        (Err(_), Some(before)) => Dotenv::parse(&path, before),
        (Err(error), None) => {
            let dotenv = Dotenv::unreadable(&path, &error);
            found.warnings.extend(dotenv.warning());
            dotenv
        }
    }
}

/// Reads the text of the configuration file.
fn text(path: &Path, files: &mut Fingerprints) -> Result<String, Diagnostic> {
    let content = fingerprint::read_noted(path, files).map_err(|error| unreadable(path, &error))?;
    if content.starts_with(b"\xFF\xFE") || content.starts_with(b"\xFE\xFF") {
        return Err(fault(path, None, "the file is UTF-16; save it as UTF-8".to_owned()));
    }
    String::from_utf8(content).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let at = Position { line, column };
        fault(path, Some(at), "not valid UTF-8 from here on".to_owned())
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let cause = if fingerprint::is_misfit(error) { Cause::Invalid } else { Cause::Unavailable };
    Diagnostic { cause, ..fault(path, None, format!("cannot read the file: {error}")) }
}

fn fault(path: &Path, position: Option<Position>, message: String) -> Diagnostic {
    let origin = path.display().to_string();
    Diagnostic { origin, position, path: String::new(), message, cause: Cause::Invalid }
}

/// Reads the configuration in `text`; errors are in the context.
fn parse<'c>(text: &str, context: &'c Context<'c>) -> Option<Config> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Document { root, problems } = match tree::parse(text) {
        Ok(document) => document,
        Err(problem) => {
            context.problem(problem);
            return None;
        }
    };
    let Some(mut root) = root.filter(|root| !root.is_null()) else {
        context.file_error("the file is empty; it takes at least nbuservers");
        return None;
    };
    let mut faults = Faults::default();
    expand::expand(&mut root, context.env, &mut faults);
    faults.diagnostics.drain(..).for_each(|fault| context.push(fault));
    problems.into_iter().chain(faults.into_problems()).for_each(|problem| context.problem(problem));
    if !matches!(root.value, Value::Map(_)) {
        let message = "expected a mapping of sections (server, nbuservers, ...)";
        context.error(root.position, "", message);
        return None;
    }
    schema::read(context, root)
}
