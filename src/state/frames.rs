//! The format of a journal: a magic text, then frames. Each frame is a head (length, number, checksum of the
//! payload, checksum of the head) and a payload. The head has a checksum of its own, which distinguishes a
//! length that changed from a file that was cut.

use std::io::{self, BufReader, ErrorKind, Read};

use serde::{Deserialize, Serialize};

/// The beginning of a file; the digit is the version of the frames. Their payloads have versions of their own.
pub(super) const MAGIC: &[u8; 16] = b"nbu-agent-state2";

/// The part of it that names the kind of file, before the version.
const KIND_LEN: usize = 15;

/// The size of the head of a frame.
pub(super) const HEADER_LEN: usize = 16;

/// First frame of a file: the owner of the state in it. More fields may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) site: String,
    pub(crate) server: String,
}

/// Reason for which a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// It cannot be opened or read now. All other reasons are lasting.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another version of the agent wrote it.
    #[error(
        "it has format {0}, but this agent reads format 2; another version of the agent wrote it"
    )]
    Version(char),
    /// A newer version of the agent wrote a part of it.
    #[error("a newer version of the agent wrote it: {0}")]
    Newer(String),
    /// It is something else.
    #[error("it is not a state file of this agent")]
    Kind,
    /// It belongs to another site or server.
    #[error("it belongs to site `{}` and server {}", .0.site, .0.server)]
    Foreign(Header),
    /// Bytes of it changed, or its parts do not fit together.
    #[error("it is corrupt: {0}")]
    Corrupt(String),
}

/// Returns a payload with its head before it.
pub(super) fn frame(number: u32, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    out.extend(length.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend(crc32fast::hash(payload).to_le_bytes());
    let head = crc32fast::hash(&out);
    out.extend(head.to_le_bytes());
    out.extend(payload);
    Ok(out)
}

/// The head of a frame whose own checksum is right.
struct Head {
    length: u64,
    number: u32,
    payload: u32,
}

impl Head {
    fn decode(bytes: [u8; HEADER_LEN]) -> Option<Self> {
        let word = |place: usize| {
            let bytes = &bytes[place..place + 4];
            bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
        };
        (crc32fast::hash(&bytes[..12]) == word(12)).then(|| Self {
            length: u64::from(word(0)),
            number: word(4),
            payload: word(8),
        })
    }
}

/// The frames of a file, read in order.
pub(super) struct Frames<R> {
    reader: BufReader<R>,
    /// The end of the last frame that was whole.
    pub(super) end: u64,
    /// The number of the next frame.
    pub(super) number: u32,
    size: u64,
}

impl<R: Read> Frames<R> {
    /// Begins to read a file of `size` bytes.
    pub(super) fn new(reader: R, size: u64) -> Result<Self, OpenError> {
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        let mut magic = [0; MAGIC.len()];
        reader.read_exact(&mut magic).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::IsADirectory => OpenError::Kind,
            _ => OpenError::Io(error),
        })?;
        match (&magic == MAGIC, magic[..KIND_LEN] == MAGIC[..KIND_LEN]) {
            (true, _) => Ok(Self { reader, end: MAGIC.len() as u64, number: 0, size }),
            (false, true) => Err(OpenError::Version(char::from(magic[KIND_LEN]))),
            (false, false) => Err(OpenError::Kind),
        }
    }

    /// Returns the payload of the next frame; `None` at the end of the file, or of the complete saves.
    ///
    /// # Errors
    ///
    /// If the frame is not whole although others come after it.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, OpenError> {
        let left = self.size.saturating_sub(self.end);
        if left == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.read(HEADER_LEN as u64, &mut bytes)?;
        let head = <[u8; HEADER_LEN]>::try_from(&bytes[..]).ok().and_then(Head::decode);
        if let Some(head) = head.filter(|head| head.number == self.number) {
            self.read(head.length, &mut bytes)?;
            let payload = &bytes[HEADER_LEN..];
            if payload.len() as u64 == head.length && crc32fast::hash(payload) == head.payload {
                self.end += bytes.len() as u64;
                self.number += 1;
                return Ok(Some(bytes.split_off(HEADER_LEN)));
            }
        }
        // The last save, which was cut, or bytes in the middle that changed: then others follow.
        self.reader.read_to_end(&mut bytes)?;
        if has_frame(&bytes) {
            return Err(OpenError::Corrupt(format!(
                "the bytes from {} on are corrupt, and later saves follow them",
                self.end
            )));
        }
        Ok(None)
    }

    fn read(&mut self, length: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        (&mut self.reader).take(length).read_to_end(bytes).map(drop)
    }
}

/// Returns whether a whole frame is anywhere in `rest`.
fn has_frame(rest: &[u8]) -> bool {
    rest.windows(HEADER_LEN).enumerate().any(|(place, bytes)| {
        let Some(head) = bytes.try_into().ok().and_then(Head::decode) else { return false };
        let length = usize::try_from(head.length).ok();
        let payload = length.and_then(|length| rest.get(place + HEADER_LEN..)?.get(..length));
        payload.is_some_and(|payload| crc32fast::hash(payload) == head.payload)
    })
}
