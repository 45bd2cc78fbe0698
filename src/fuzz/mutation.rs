//! Mutations of inputs, the same for the same seed.

use fastrand::Rng;

/// Longest input that is made, bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Bytes and texts at which parsers go astray.
const TOKENS: [&[u8]; 22] = [
    b"\0",
    b"\n",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"$",
    b"${",
    b":",
    b"-",
    b"\xff",
    b"\x80",
    b"0",
    b"-1",
    b"9223372036854775807",
    b"18446744073709551615",
    b"1e308",
    b"null",
    b"-----BEGIN ",
];

/// Returns one of `corpus` with a few changes, some of them taken from others.
pub(super) fn mutated(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut input = chosen(corpus, random).to_vec();
    for _ in 0..random.usize(1..=6) {
        change(&mut input, corpus, random);
    }
    input.truncate(MAX_LENGTH);
    input
}

fn chosen<'c>(corpus: &'c [Vec<u8>], random: &mut Rng) -> &'c [u8] {
    random.choice(corpus).map(Vec::as_slice).unwrap_or_default()
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(0..=input.len());
    let span = at..(at + random.usize(0..=8)).min(input.len());
    match random.u8(0..8) {
        0 => input.truncate(at),
        1 => drop(input.drain(span)),
        2 => drop(input.splice(span, TOKENS[random.usize(..TOKENS.len())].iter().copied())),
        3 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        4 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.u8(..);
            }
        }
        5 => {
            let from = random.usize(..=at);
            let copy = input[from..at.min(from + 512)].to_vec();
            drop(input.splice(at..at, copy));
        }
        _ => {
            let other = chosen(corpus, random);
            let from = random.usize(..=other.len());
            let to = (from + random.usize(0..=256)).min(other.len());
            drop(input.splice(span, other[from..to].iter().copied()));
        }
    }
}
