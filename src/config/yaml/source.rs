//! The text of a file that is the configuration, or a part of it.

use std::io;
use std::path::Path;

use super::context::Context;
use super::diagnostics::{Cause, Diagnostic, Position};
use crate::config::fingerprint;

/// Advice on a file that everybody can write.
const WRITABLE: &str = "everybody can write the file; chmod o-w it";

impl Context<'_> {
    /// Returns what was read as text; an error, and what is no UTF-8, is reported.
    pub(crate) fn text(&self, read: io::Result<Vec<u8>>) -> Option<String> {
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
        self.report(cause, at, "", message);
        None
    }

    /// Warns of a file that everybody can write, and from now on of secrets in it if everybody can read it.
    pub(crate) fn check_permissions(&self, path: &Path) {
        self.check_writable(path);
        self.warns_of_literal.set(fingerprint::is_readable_by_all(path));
    }

    /// Warns of something about a whole file.
    pub(crate) fn warn_of_file(&self, path: &Path, message: &str) {
        let (origin, message) = (path.display().to_string(), message.to_owned());
        let (position, path, cause) = (None, String::new(), Cause::Unwise);
        self.push(Diagnostic { origin, position, path, message, cause });
    }

    /// Warns of a file that everybody can write.
    pub(crate) fn check_writable(&self, path: &Path) {
        if fingerprint::is_writable_by_all(path) {
            self.warn_of_file(path, WRITABLE);
        }
    }
}
