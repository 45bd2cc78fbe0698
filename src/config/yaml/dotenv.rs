//! The environment that the configuration sees: the real one first, then `.env`, lines of `NAME=value`
//! beside the configuration. Nothing is ever put into the process's own environment.
//!
//! Other programs have their variables in the same file, in forms of their own. So a line is judged
//! only when its variable is asked for; one that nobody asks for stops nobody.
//!
//! A value is bare, in double quotes, or in single quotes, where everything stands for itself. In
//! the others `${NAME}`, `${NAME:-default}` and `$NAME` insert a variable, `$$` and `\$` are a dollar
//! sign.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::str::Chars;

use super::diagnostics::{Cause, Diagnostic, Position};
use super::expand::{Expansion, Fault, Lookup};

/// Longest chain of variables that refer to each other: each takes a part of the stack.
const MAX_CHAIN: usize = 32;

/// Looks up environment variables. Closures are environments, so tests need not touch the process.
pub trait Environment {
    /// Returns the value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The environment of this process. A value that is not UTF-8 counts as not set.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// The real environment, and `.env` below it. No `Debug`: it holds secrets.
pub(crate) struct Variables<'e> {
    real: &'e dyn Environment,
    /// The file, if there is one.
    path: PathBuf,
    lines: BTreeMap<String, Line>,
    /// Values that were found: a variable that many refer to is resolved once.
    resolved: RefCell<BTreeMap<String, String>>,
    /// Why the file could not be read: it may hold any variable.
    unreadable: Option<String>,
}

/// The line of a variable.
struct Line {
    number: usize,
    /// The text that its value begins, or the reason why there is none.
    value: Result<String, &'static str>,
}

impl<'e> Variables<'e> {
    pub(crate) fn new(real: &'e dyn Environment) -> Self {
        let (path, lines, resolved) = (PathBuf::new(), BTreeMap::new(), RefCell::default());
        Self { real, path, lines, resolved, unreadable: None }
    }

    /// Adds a file. Of several lines with a name the first counts.
    pub(crate) fn add_file(&mut self, path: &Path, content: io::Result<Vec<u8>>) {
        path.clone_into(&mut self.path);
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                self.unreadable = Some(error.to_string());
                return;
            }
        };
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&content);
        let text = String::from_utf8_lossy(content).replace("\r\n", "\n");
        let (mut rest, mut number) = (text.as_str(), 1);
        while !rest.is_empty() {
            let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            let mut taken = end;
            let file = path.display();
            if let Some((name, start)) = assignment(&rest[..end]) {
                let value = match value_of(&rest[start..], &mut |_| Ok(Some(String::new()))) {
                    Ok((_, length)) => {
                        taken = start + length;
                        Ok(rest[start..taken].to_owned())
                    }
                    Err(Fault::Malformed(message)) => Err(message),
                    Err(Fault::Missing(_) | Fault::Variable(_)) => Err(MALFORMED),
                };
                if value.is_err() && !self.lines.contains_key(name) {
                    tracing::debug!(%file, line = number, "not NAME=value; ignored unless it is referenced");
                }
                self.lines.entry(name.to_owned()).or_insert(Line { number, value });
            } else if !matches!(rest[..end].trim_start().chars().next(), None | Some('#')) {
                tracing::debug!(%file, line = number, "no variable that can be inserted; the line is ignored");
            }
            number += rest[..taken].matches('\n').count();
            rest = &rest[taken..];
        }
    }

    /// Returns the value of a variable, `None` if it is not set, or what keeps it from having a value.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, Diagnostic> {
        self.resolve(name, &mut Vec::new())
    }

    /// Returns a value. `open` has the variables whose values refer to it.
    fn resolve(&self, name: &str, open: &mut Vec<String>) -> Result<Option<String>, Diagnostic> {
        if let Some(value) = self.real.get(name) {
            return Ok(Some(value));
        }
        let fault = |position: Option<Position>, cause: Cause, message: &str| {
            let (origin, path) = (self.path.display().to_string(), name.to_owned());
            Diagnostic { origin, position, path, message: message.to_owned(), cause }
        };
        let Some(Line { number, value }) = self.lines.get(name) else {
            let Some(error) = &self.unreadable else { return Ok(None) };
            let message = format!("not set, and the file cannot be read: {error}");
            return Err(fault(None, Cause::Unavailable, &message));
        };
        let at = Some(Position { line: *number, column: 1 });
        let fault = |message: &str| fault(at, Cause::Invalid, message);
        if open.iter().any(|open| open == name) {
            return Err(fault("its value refers to itself"));
        }
        if let Some(value) = self.resolved.borrow().get(name) {
            return Ok(Some(value.clone()));
        }
        if open.len() >= MAX_CHAIN {
            return Err(fault("too many variables refer to each other"));
        }
        let text = value.as_ref().map_err(|message| fault(message))?;
        open.push(name.to_owned());
        let value = value_of(text, &mut |name| self.resolve(name, open));
        open.pop();
        match value {
            Ok((value, _)) => {
                self.resolved.borrow_mut().insert(name.to_owned(), value.clone());
                Ok(Some(value))
            }
            Err(Fault::Malformed(message)) => Err(fault(message)),
            Err(Fault::Variable(fault)) => Err(*fault),
            Err(Fault::Missing(names)) => {
                let name = names.first().map_or("", String::as_str);
                let message = "write $$ for a dollar sign";
                Err(fault(&format!("environment variable not set: {name}; {message}")))
            }
        }
    }
}

/// Returns the name that a line assigns to, and where its value begins.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let (before, _) = line.split_once('=')?;
    let name = before.trim();
    let name = name.strip_prefix("export").filter(|n| n.starts_with([' ', '\t'])).unwrap_or(name);
    let name = name.trim();
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    valid.then_some((name, before.len() + 1))
}

const MALFORMED: &str = "expected NAME=value; quote values with spaces";

/// Returns the value at the start of `text`, and how long its text is with the end of its line.
fn value_of(text: &str, lookup: &mut Lookup<'_>) -> Result<(String, usize), Fault> {
    let mut scanner = Scanner { rest: text.chars(), value: Expansion::new(lookup) };
    scanner.scan()?;
    let length = text.len() - scanner.rest.as_str().len();
    if text[..length].contains('\u{fffd}') {
        return Err(Fault::Malformed("not valid UTF-8"));
    }
    Ok((scanner.value.finish()?, length))
}

struct Scanner<'t, 'l> {
    rest: Chars<'t>,
    value: Expansion<'l>,
}

impl Scanner<'_, '_> {
    /// Returns true if there were any.
    fn skip_blanks(&mut self) -> bool {
        let before = self.rest.as_str();
        let after = before.trim_start_matches(|c: char| c != '\n' && c.is_whitespace());
        self.rest = after.chars();
        after.len() < before.len()
    }

    fn scan(&mut self) -> Result<(), Fault> {
        let mut blank = self.skip_blanks();
        loop {
            match self.rest.next() {
                None | Some('\n') => return Ok(()),
                Some('#') if blank => {
                    self.rest.find(|c| *c == '\n');
                    return Ok(());
                }
                Some(quote @ ('\'' | '"')) => self.quoted(quote)?,
                Some(c) => self.take(c)?,
            }
            blank = self.skip_blanks();
            if blank && !matches!(self.rest.clone().next(), None | Some('\n' | '#')) {
                return Err(Fault::Malformed(MALFORMED));
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<(), Fault> {
        loop {
            match self.rest.next().ok_or(Fault::Malformed("a quote is not closed"))? {
                c if c == quote => return Ok(()),
                c if quote == '\'' => self.value.text.push(c),
                c => self.take(c)?,
            }
        }
    }

    /// Adds a character, and what it begins.
    fn take(&mut self, c: char) -> Result<(), Fault> {
        match c {
            '$' => {
                let line = self.rest.as_str().split('\n').next().unwrap_or_default();
                let length = self.value.dollar(line, true)?;
                self.rest = self.rest.as_str()[length..].chars();
            }
            '\\' => match self.rest.next() {
                Some(c @ ('\\' | '\'' | '"' | '$' | ' ')) => self.value.text.push(c),
                Some('n') => self.value.text.push('\n'),
                _ => {
                    const ESCAPES: &str =
                        "a backslash must precede \\ ' \" $ n or a space; or use single quotes";
                    return Err(Fault::Malformed(ESCAPES));
                }
            },
            c => self.value.text.push(c),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn real(name: &str) -> Option<String> {
        (name == "REAL").then(|| "r".to_owned())
    }

    fn variables<'e>(real: &'e dyn Environment, content: &[u8]) -> Variables<'e> {
        let mut variables = Variables::new(real);
        variables.add_file(Path::new(".env"), Ok(content.to_owned()));
        variables
    }

    fn get(text: &str, name: &str) -> Option<Result<String, String>> {
        let found = variables(&real, text.as_bytes()).get(name);
        found.map_err(|fault| fault.to_string()).transpose()
    }

    #[test]
    fn values_are_bare_or_quoted() {
        let text = "\u{feff}# comment\r\nA=1\r\nexport B=\"two words\"\nA=2\nC='$x'\nD = 3 # why\n\
                    E=a#b\nF=\nG='it''s'\nH=\"a\\\"b\\$c\"\nI=a\\ b\nexport\tJ=j\nK=\"1\n2\"\nL=l\n";
        for (name, expected) in [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$x"),
            ("D", "3"),
            ("E", "a#b"),
            ("F", ""),
            ("G", "its"),
            ("H", "a\"b$c"),
            ("I", "a b"),
            ("J", "j"),
            ("K", "1\n2"),
            ("L", "l"),
        ] {
            assert_eq!(get(text, name), Some(Ok(expected.to_owned())), "{name}");
        }
        assert!(std::env::var("B").is_err());
    }

    #[test]
    fn references_are_expanded_as_in_the_configuration() {
        for (value, expected) in [
            ("a$$b", "a$b"),
            ("\"a$$b\"", "a$b"),
            ("'a$$b'", "a$$b"),
            ("${REAL}x", "rx"),
            ("$REAL/x", "r/x"),
            ("${LATER}", "later"),
            ("${UNSET:-d e}", "d e"),
            ("${EMPTY:-d}", "d"),
            ("\"${REAL} ${LATER}\"", "r later"),
            ("costs5$", "costs5$"),
            ("$5", "$5"),
        ] {
            let text = format!("V={value}\nEMPTY=\nLATER=later\n");
            assert_eq!(get(&text, "V"), Some(Ok(expected.to_owned())), "{value}");
        }
    }

    #[test]
    fn unreadable_referenced_value_is_reported_with_its_line() {
        for (text, expected) in [
            ("A=1\n\n# x\nV=two words\n", ".env:4:1: V: expected NAME=value; quote"),
            ("\nV=\"open\nA=1\n", ".env:2:1: V: a quote is not closed"),
            ("V=${UNSET}\n", ".env:1:1: V: environment variable not set: UNSET"),
            ("V=p$word\n", ".env:1:1: V: environment variable not set: word"),
            ("V=${B}\nB=${UNSET}\n", ".env:2:1: B: environment variable not set: UNSET"),
            ("V=${B}\nB=${V}\n", "refers to itself"),
            ("V=${UNSET\n", "without"),
            ("V=${A B}\n", "expected ${NAME}"),
            ("V=\\x\n", "a backslash must"),
        ] {
            let fault = get(text, "V").unwrap().unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
        let fault = variables(&real, b"V=\xE9\n").get("V").unwrap_err();
        assert!(fault.message.contains("UTF-8"));
    }

    #[test]
    fn references_that_double_or_chain_are_bounded() {
        let doubling = |value: &str| {
            let lines = (0..100).map(|n| format!("V{n}=$V{next}$V{next}\n", next = n + 1));
            lines.collect::<String>() + &format!("V100={value}\n")
        };
        // Without a bound, 2^25 values of one letter, and then look-ups without end.
        let fault = get(&doubling("x"), "V75").unwrap().unwrap_err();
        assert!(fault.contains("longer than 1 MiB"), "{fault}");
        assert_eq!(get(&doubling(""), "V75"), Some(Ok(String::new())));
        let chain: Vec<_> = (0..100_000).map(|n| format!("V{n}=$V{}\n", n + 1)).collect();
        let fault = get(&chain.concat(), "V0").unwrap().unwrap_err();
        assert!(fault.contains("too many variables refer to each other"), "{fault}");
    }

    #[test]
    fn lines_of_other_programs_stop_nobody() {
        let foreign = "OTHER=has space\nFOO-BAR=1\nK={\"a\": \"b\"}\nno equals sign\nMSG=it's open\n\
                       Q=\"open\nP='open\nexport\n=x\n1A=2\nU=${UNSET}\n[section]\nz: y\n";
        for text in [format!("{foreign}KEY=\"mine\"\n"), format!("KEY='mine'\n{foreign}")] {
            assert_eq!(get(&text, "KEY"), Some(Ok("mine".to_owned())), "{text}");
        }
        assert_eq!(get(foreign, "FOO-BAR"), None);
    }

    #[test]
    fn real_environment_overrides_dotenv() {
        let real = |name: &str| (name == "A").then(|| "real".to_owned());
        let variables = variables(&real, b"A=file\nB=file\nC=has space\n");
        assert_eq!(variables.get("A"), Ok(Some("real".to_owned())));
        assert_eq!(variables.get("B"), Ok(Some("file".to_owned())));
        assert!(variables.get("C").is_err());
        assert_eq!(variables.get("D"), Ok(None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(content in any::<Vec<u8>>(), text in "[A-Z=$\\{\\}'\"\\\\ #\né]{0,40}") {
            for content in [&content[..], text.as_bytes()] {
                let variables = variables(&real, content);
                for name in variables.lines.keys() {
                    let _ = variables.get(name);
                }
            }
        }
    }
}
