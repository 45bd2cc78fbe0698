//! Asks for the texts of status codes, each once: a few in a cycle, and nothing waits for them.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::jobs::Ledger;
use crate::netbackup::wire::status_code::{STATUS_CODES, StatusCode};
use crate::netbackup::{Error, ErrorKind, Session};

/// Codes that are asked for in one cycle.
const CODES: usize = 8;

const TIMEOUT: Duration = Duration::from_secs(1);

/// Questions for one code that were not answered, after which the next code has its turn.
const TRIES: u32 = 3;

/// The longest pause after a question that was not answered, cycles.
const MAX_PAUSE: u32 = 63;

#[derive(Debug, Default)]
pub(super) struct StatusTexts {
    failures: u32,
    /// Cycles to go.
    pause: u32,
}

impl StatusTexts {
    /// Asks for the next codes. One that the server does not know, or whose question it does not know, keeps the
    /// words that are built in.
    pub(super) async fn ask(&mut self, session: &Session, ledger: &mut Ledger) {
        let codes = ledger.unknown_statuses(CODES);
        if codes.is_empty() {
            return;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let until = session.deadline().min(Instant::now() + TIMEOUT);
        for code in codes {
            match timeout_at(until, text(session, code)).await {
                Ok(Ok(text)) => ledger.note_status_text(code, text.as_deref()),
                Ok(Err(error)) => return self.fail(session, ledger, code, &error.to_string()),
                Err(_) => return self.fail(session, ledger, code, "no answer in time"),
            }
        }
        self.failures = 0;
    }

    fn fail(&mut self, session: &Session, ledger: &mut Ledger, code: i64, error: &str) {
        let site = session.client().site();
        tracing::debug!(site, error, "the text of a status code is not known yet; retrying later");
        self.pause =
            1_u32.checked_shl(self.failures).map_or(MAX_PAUSE, |pause| pause.min(MAX_PAUSE));
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_multiple_of(TRIES) {
            ledger.note_status_text(code, None);
        }
    }
}

/// Returns the server's text of a code; `None` if it tells none.
async fn text(session: &Session, code: i64) -> Result<Option<String>, Error> {
    let body = match session.get_member(&STATUS_CODES, &code.to_string()).await {
        Ok(body) => body,
        Err(error) if tells_none(error.kind()) => return Ok(None),
        Err(error) => return Err(error),
    };
    match body.read::<StatusCode<'_>>() {
        Ok(answer) => Ok(answer.message().map(str::to_owned)),
        Err(error) if error.kind() == ErrorKind::Body => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether asking again would get the same answer.
const fn tells_none(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::BadRequest
            | ErrorKind::Version
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
    )
}
