//! Cuts a filter into tokens.

use super::FilterError;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Open,
    Close,
    Comma,
    /// A name, keyword, operator, number, datetime or duration: whatever is bare.
    Word(String),
    /// The text of a quoted string, quotes taken off.
    Quoted(String),
}

/// All tokens of a text.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            ' ' | '\t' => {
                rest.next();
            }
            '(' | ')' | ',' => {
                rest.next();
                tokens.push(match next {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
            }
            '\'' => {
                rest.next();
                tokens.push(Token::Quoted(quoted(&mut rest)?));
            }
            c if is_word(c) => {
                let mut word = String::new();
                while let Some(c) = rest.next_if(|c| is_word(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c => return Err(FilterError(format!("unexpected character {c:?}"))),
        }
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '+' | '-')
}

/// The rest of a string up to its closing quote; two quotes are one in the text.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, FilterError> {
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('\'') if rest.next_if_eq(&'\'').is_some() => text.push('\''),
            Some('\'') => return Ok(text),
            Some(c) => text.push(c),
            None => return Err(FilterError("a string is not closed".to_owned())),
        }
    }
}
