//! Conversion of foreign text to one line of a log or a terminal.

/// Returns at most `most` characters of `text` on one line: control characters and runs of white space
/// become single spaces, characters without a width are removed.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let (mut length, mut gap) = (0, false);
    for c in text.chars().filter(|c| !is_format(*c)) {
        if c.is_whitespace() || c.is_control() {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !line.is_empty() {
            line.push(' ');
            length += 1;
        }
        if length >= most {
            line.truncate(line.trim_end().len());
            line.push_str("...");
            return line;
        }
        line.push(c);
        length += 1;
    }
    line
}

/// Returns the length of what follows an escape character and belongs to it: parameters and final
/// byte of a control sequence, or an operating system command up to its end.
pub(crate) fn escape_length(rest: &str, is_sequence: bool) -> usize {
    let (opening, body) = match rest.as_bytes().first() {
        _ if is_sequence => (0, rest),
        Some(b'[') => (1, &rest[1..]),
        Some(b']') => return command_length(rest),
        _ => return 0,
    };
    let parameters = body.bytes().take_while(|byte| (0x20..=0x3f).contains(byte)).count();
    let last = body.as_bytes().get(parameters).is_some_and(|byte| (0x40..=0x7e).contains(byte));
    opening + parameters + usize::from(last)
}

/// Returns the length of an operating system command, from its bracket to its end; that of the bracket
/// alone if it has no end.
fn command_length(text: &str) -> usize {
    let ends = ["\u{7}", "\u{1b}\\", "\u{9c}"].into_iter();
    ends.filter_map(|end| Some(text.find(end)? + end.len())).min().unwrap_or(1)
}

/// Returns true for characters without a width of their own, which can reorder or hide others.
pub(crate) const fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the length of the JSON string literal that `text` begins with, quotes included.
pub(crate) fn json_string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (position, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return position + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the length of the JSON value that `text` begins with, valid or not: up to a comma or bracket
/// that ends it.
pub(crate) fn json_value_length(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => {
                position += json_string_length(&text[position..]);
                if depth == 0 {
                    return position;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return position,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        position += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_no_control_or_invisible_characters() {
        for (text, line) in [
            ("", ""),
            (" a \r\n\tb ", "a b"),
            ("a\u{1b}[31;1mred\u{1b}", "a [31;1mred"),
            ("a\u{9b}2Jb", "a 2Jb"),
            ("a\u{202e}b\u{200b}c", "abc"),
            ("a\0b\u{7f}c\u{85}d", "a b c d"),
            ("\u{fffd}", "\u{fffd}"),
        ] {
            assert_eq!(one_line(text, 100), line, "{text:?}");
        }
    }

    #[test]
    fn rest_of_a_terminal_escape_is_measured() {
        for (rest, length) in [
            ("", 0),
            ("x", 0),
            ("[31mred", 4),
            ("[", 1),
            ("]0;t\u{7}a", 5),
            ("]8;;x\u{1b}\\a", 7),
            ("]a", 1),
        ] {
            assert_eq!(escape_length(rest, false), length, "{rest:?}");
        }
        assert_eq!(escape_length("2Jb", true), 2);
    }

    #[test]
    fn line_is_cut_between_characters() {
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äöüß", 3), "äöü...");
        assert_eq!(one_line("ab cd", 3), "ab...");
        assert_eq!(one_line("ab   ", 2), "ab");
    }
}
