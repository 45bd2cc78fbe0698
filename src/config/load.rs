//! From a path to a configuration: `.env`, the file, its text, and what became of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::context::Context;
use super::diagnostics::{Diagnostic, Errors, Position, sort};
use super::env::{self, Environment, Layered};
use super::{Loaded, files, parse};

/// Reads the configuration at `path`, with `.env` of the working directory or else beside it.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    let mut files = vec![path.to_owned()];
    let dotenv = env::dotenv_path(path);
    files.extend(dotenv.clone());
    let dotenv = dotenv.as_deref().map(variables).transpose();
    // With both broken, both are said.
    match (dotenv, content(path)) {
        (Ok(dotenv), Ok(text)) => {
            let env = Layered { real: env, dotenv: dotenv.unwrap_or_default() };
            build(&text, path, &env, files, Readable::of(path))
        }
        (dotenv, text) => {
            let diagnostics = [dotenv.err(), text.err()].into_iter().flatten().collect();
            Err(Errors { diagnostics, files })
        }
    }
}

/// Reads a configuration from text. `origin` names it in messages; files that it names are relative
/// to the directory of `origin`. No `.env` is read.
pub fn from_text(text: &str, origin: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    build(text, origin, env, Vec::new(), Readable::ByFew)
}

fn build(
    text: &str,
    origin: &Path,
    env: &dyn Environment,
    files: Vec<PathBuf>,
    readable: Readable,
) -> Result<Loaded, Errors> {
    let base = origin.parent().filter(|parent| !parent.as_os_str().is_empty());
    let base = base.unwrap_or(Path::new("."));
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let context = Context::new(origin.display().to_string(), base, env);
    *context.files.borrow_mut() = files;
    let config = parse(text, &context);
    if let (Readable::ByEverybody, Some(at)) = (readable, context.literal_secret.get()) {
        let message = "a secret is spelt out in a file that everybody can read; chmod o-r it, or \
                       use ${NAME} or apiKeyFile";
        context.warn(at, "", message);
    }
    let mut errors = context.errors.into_inner();
    let mut warnings = context.warnings.into_inner();
    let files = context.files.into_inner();
    sort(&mut errors);
    sort(&mut warnings);
    match config {
        Some(config) if errors.is_empty() => {
            Ok(Loaded { config, warnings, sha256: sha256(text.as_bytes()), files })
        }
        _ => Err(Errors { diagnostics: errors, files }),
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Who can read the file that may hold keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    ByFew,
    ByEverybody,
}

impl Readable {
    #[cfg(unix)]
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o004 == 0 { Self::ByFew } else { Self::ByEverybody }
    }

    #[cfg(not(unix))]
    fn of(_: &Path) -> Self {
        Self::ByFew
    }
}

/// The variables of a `.env` file.
fn variables(path: &Path) -> Result<BTreeMap<String, String>, Diagnostic> {
    let content = files::read(path).map_err(|error| unreadable(path, &error))?;
    env::parse(&content).map_err(|at| {
        fault(path, Some(at), "expected NAME=value; quote values with spaces".to_owned())
    })
}

/// The text of the configuration file.
fn content(path: &Path) -> Result<String, Diagnostic> {
    let content = files::read(path).map_err(|error| unreadable(path, &error))?;
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
    fault(path, None, format!("cannot read the file: {error}"))
}

fn fault(path: &Path, position: Option<Position>, message: String) -> Diagnostic {
    Diagnostic { origin: path.display().to_string(), position, path: String::new(), message }
}
