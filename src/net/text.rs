//! Text that others wrote, made fit for one line of a log.

/// Returns at most `most` characters of `text`: control characters and runs of white space become
/// single spaces.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        for c in line.chars().next().map(|_| ' ').into_iter().chain(word.chars()) {
            if length == most {
                line.push_str("...");
                return line;
            }
            line.push(c);
            length += 1;
        }
    }
    line
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
