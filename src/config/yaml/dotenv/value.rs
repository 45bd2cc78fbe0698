//! The value of a variable: bare, in quotes, with references.

use crate::config::yaml::expand;

const MALFORMED: &str = "expected NAME=value; quote values with spaces";
const OPEN_QUOTE: &str = "a quote is not closed";

/// A part of a value.
pub(super) enum Piece {
    Text(String),
    Reference { name: String, default: Option<String> },
}

/// Returns the value at the start of `text`, and how long it is with the end of its line.
pub(super) fn value(text: &str) -> Result<(Vec<Piece>, usize), &'static str> {
    let mut scanner = Scanner { text, at: 0, pieces: Vec::new(), literal: String::new() };
    scanner.value()?;
    scanner.flush();
    if scanner.text[..scanner.at].contains('\u{fffd}') {
        return Err("not valid UTF-8");
    }
    Ok((scanner.pieces, scanner.at))
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    pieces: Vec<Piece>,
    literal: String,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|c| c != '\n' && c.is_whitespace()) {
            self.next();
        }
        self.at > start
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.literal)));
        }
    }

    fn value(&mut self) -> Result<(), &'static str> {
        let mut blank = self.skip_blanks();
        loop {
            match self.next() {
                None | Some('\n') => return Ok(()),
                Some('#') if blank => {
                    while self.next().is_some_and(|c| c != '\n') {}
                    return Ok(());
                }
                Some('\'') => self.single_quoted()?,
                Some('"') => self.double_quoted()?,
                Some('\\') => self.escape()?,
                Some('$') => self.dollar()?,
                Some(c) => self.literal.push(c),
            }
            blank = self.skip_blanks();
            if blank && !matches!(self.peek(), None | Some('\n' | '#')) {
                return Err(MALFORMED);
            }
        }
    }

    fn single_quoted(&mut self) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or(OPEN_QUOTE)? {
                '\'' => return Ok(()),
                c => self.literal.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or(OPEN_QUOTE)? {
                '"' => return Ok(()),
                '\\' => self.escape()?,
                '$' => self.dollar()?,
                c => self.literal.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        match self.next() {
            Some(c @ ('\\' | '\'' | '"' | '$' | ' ')) => self.literal.push(c),
            Some('n') => self.literal.push('\n'),
            _ => {
                return Err(
                    "a backslash must precede \\ ' \" $ n or a space; or use single quotes",
                );
            }
        }
        Ok(())
    }

    /// Reads what follows a dollar sign.
    fn dollar(&mut self) -> Result<(), &'static str> {
        let rest = &self.text[self.at..];
        let (name, default, length) = if rest.starts_with('$') {
            self.at += 1;
            self.literal.push('$');
            return Ok(());
        } else if let Some(reference) = rest.strip_prefix('{') {
            let line = reference.lines().next().unwrap_or_default();
            let (inner, _) = line.split_once('}').ok_or(expand::OPEN)?;
            let (name, default) = expand::reference(inner)?;
            (name, default, inner.len() + 2)
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                self.literal.push('$');
                return Ok(());
            }
            (name, None, name.len())
        };
        let reference =
            Piece::Reference { name: name.to_owned(), default: default.map(ToOwned::to_owned) };
        self.flush();
        self.pieces.push(reference);
        self.at += length;
        Ok(())
    }
}
