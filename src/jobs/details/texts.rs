//! Texts of the numbers in labels: status codes, as the server words them or in short words of our own, and
//! reasons for which jobs are queued.

use std::collections::{BTreeMap, BTreeSet};

use super::status_family::StatusFamily;
use crate::metric::{Definition, Metric, Samples, UNKNOWN};

static STATUS_INFO: Metric<3> = Metric::gauge(
    "nbu.status.info",
    "",
    &["status", "family", "text"],
    "1 for each status code other than 0 with which a job ended, with its family and its text (the server's own where its release has /status-codes, else a short one of the agent, or UNKNOWN). One series a code, at most 1000. Codes that may be of disk or of tape are shown as disk_io.",
);
static REASON_INFO: Metric<2> = Metric::gauge(
    "nbu.queue_reason.info",
    "",
    &["reason", "text"],
    "1 for each reason for which a job was queued since the agent started (label reason of nbu_jobs_queued_count), with its text; at most 33.",
);

pub(super) fn definitions() -> [&'static Definition; 2] {
    [STATUS_INFO.definition(), REASON_INFO.definition()]
}

/// Codes whose texts are kept.
const MOST: usize = 1000;

/// An answer that named no text is old after this time, ms: the server may have been upgraded.
const ASK_AGAIN: i64 = 30 * 86_400_000;

/// The server's answer to the question for the text of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::jobs) struct StatusText {
    /// `None` if it has none.
    pub(in crate::jobs) text: Option<Box<str>>,
    /// The server's time of the answer, Unix ms.
    pub(in crate::jobs) at: i64,
}

#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) answers: BTreeMap<i64, StatusText>,
    reasons: BTreeSet<i64>,
}

impl Texts {
    pub(super) fn meet_reason(&mut self, reason: i64) {
        if reason == 0 || queue_reason(reason).is_some() {
            self.reasons.insert(reason);
        }
    }

    /// Returns those of the codes with which jobs ended for whose text the server is to be asked, at most so many.
    pub(super) fn unknown(&self, statuses: &BTreeSet<i64>, now: i64, limit: usize) -> Vec<i64> {
        let is_due = |status: &i64| {
            self.answers.get(status).is_none_or(|answer| {
                answer.text.is_none() && now.saturating_sub(answer.at) >= ASK_AGAIN
            })
        };
        let numbered = shown(statuses).copied().filter(|status| *status > 0);
        numbered.filter(is_due).take(limit).collect()
    }

    pub(super) fn samples(&self, statuses: &BTreeSet<i64>, samples: &mut Samples) {
        for status in shown(statuses) {
            let family = match status {
                1 => "partial",
                150 => "cancelled",
                _ => StatusFamily::of(Some(*status), false).unwrap_or(StatusFamily::Other).label(),
            };
            let told = self.answers.get(status).and_then(|answer| answer.text.as_deref());
            let text = told.or_else(|| status_text(*status)).unwrap_or(UNKNOWN);
            samples.record(&STATUS_INFO, [&status.to_string(), family, text], 1.0);
        }
    }

    pub(super) fn reason_samples(&self, samples: &mut Samples) {
        for reason in &self.reasons {
            let text = queue_reason(*reason).unwrap_or("no reason given");
            samples.record(&REASON_INFO, [&reason.to_string(), text], 1.0);
        }
    }
}

/// Returns the statuses that have a text of their own.
fn shown(statuses: &BTreeSet<i64>) -> impl Iterator<Item = &i64> {
    statuses.iter().filter(|status| **status != 0).take(MOST)
}

/// Returns the meaning of a reason for which a job is queued (docs/netbackup-api.md#jobs-queue-reasons).
const fn queue_reason(reason: i64) -> Option<&'static str> {
    Some(match reason {
        1 => "media are in use",
        2 => "drives are in use",
        3 => "the media server is offline",
        4 => "the robot is down",
        5 => "the storage unit runs its most jobs",
        6 => "the request for media is delayed",
        7 => "the local drives are down",
        8 => "the media are in a drive that is in use",
        9 => "the drive cannot be reached",
        10 => "no cleaning media",
        11 => "the drive's scan host is offline",
        12 => "the disk's media server is offline",
        13 => "the media server does not reach the primary",
        14 => "the media server is not in active mode",
        15 => "the storage unit's jobs are throttled",
        16 => "drives are in use (job history)",
        17 => "the disk volume is not available",
        18 => "the volume has its most readers",
        19 => "the disk group is not available",
        20 => "the fat pipe is in use",
        21 => "the disk volume is being unmounted",
        22 => "the disk volume is in use",
        23 => "the most media are partly full",
        24 => "a limit (jobs per client, policy or other logical resource)",
        25 => "the storage unit's drives are in use",
        26 => "the drive's scan is being stopped",
        27 => "the disk volume is being mounted",
        28 => "a mount file exists",
        29 => "an action of an operator is pending",
        30 => "the disk volume has its most streams",
        31 => "the media server's jobs are throttled",
        -99 => "an invalid reason",
        _ => return None,
    })
}

/// Returns the meaning of a status, for servers that do not tell.
const fn status_text(status: i64) -> Option<&'static str> {
    Some(match status {
        1 => "some files were not backed up",
        2 => "no files were backed up",
        5 => "the restore failed",
        6 => "some files could not be read",
        11 => "a system call failed",
        12 => "a file could not be opened",
        13 => "reading a file or the network failed",
        14 => "writing a file or the network failed",
        23 => "reading from a socket failed",
        24 => "writing to a socket failed",
        25 => "no connection to a socket",
        26 => "the client and the server could not handshake",
        37 => "an operation that an invalid server asked for",
        39 => "the client's name does not match",
        40 => "the network connection broke",
        41 => "the network connection timed out",
        42 => "reading from the network failed",
        44 => "writing to the network failed",
        46 => "the server is not allowed access",
        47 => "the host cannot be reached",
        48 => "the client's host name was not found",
        49 => "the client did not start",
        50 => "the client's process was ended",
        52 => "loading the media timed out",
        54 => "the connection to the client timed out",
        55 => "the server does not allow this client",
        56 => "the client's network is not reachable",
        57 => "the client refused the connection",
        58 => "the client could not be reached",
        59 => "the client does not allow this server",
        63 => "the process was killed by a signal",
        71 => "none of the listed files exist",
        80 => "the device manager does not run",
        82 => "the media manager was ended by another process",
        83 => "opening the media failed",
        84 => "writing the media failed",
        85 => "reading the media failed",
        86 => "positioning the media failed",
        87 => "closing the media failed",
        96 => "no media for the backup",
        98 => "the media request failed",
        116 => "VxSS authentication failed",
        117 => "VxSS access was denied",
        128 => "the catalogue could not be read",
        129 => "the disk storage is full",
        130 => "a system error",
        131 => "the client may not validate",
        134 => "resources are busy; it is tried again",
        145 => "a service did not answer",
        150 => "an administrator ended it",
        155 => "the disk is full",
        156 => "the snapshot failed",
        160 => "authentication failed",
        174 => "the media manager failed",
        175 => "a file was not restored",
        189 => "the server may not ask for this",
        190 => "no images or media matched",
        191 => "no image was processed",
        192 => "VxSS authentication is required and was not given",
        193 => "VxSS authentication was given and is not expected",
        196 => "its window closed before it could start",
        199 => "no schedule allows it now",
        200 => "no backups were due",
        213 => "no storage unit can be used",
        219 => "the storage unit is not available",
        229 => "events were out of sequence",
        230 => "the policy does not exist in the configuration",
        236 => "the client is not in the configuration",
        800 => "the resource request failed",
        2000 => "no media are left in the scratch pool",
        2001 => "no drive is available",
        2007 => "the media server is offline",
        2009 => "all drives are down",
        2074 => "the disk volume is down",
        2106 => "the storage server of the disk is down",
        2107 => "the storage server of the disk cannot be reached",
        2808 => "the restore of a virtual machine failed in part",
        2820 => "the restore of a virtual machine failed",
        2850 => "a restore failed",
        4207 => "the snapshot's metadata could not be fetched",
        4213 => "the import of a snapshot failed",
        4239 => "the virtual machine was not found",
        7625 => "the SSL connection failed",
        7641 => "the certificate's issuer is not trusted",
        8506 => "the certificate has expired",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_asked_for_once_and_again_after_a_month() {
        let (mut texts, statuses) = (Texts::default(), [0, 13, 58, -1].into());
        assert_eq!(texts.unknown(&statuses, 0, 1), [13]);
        texts.answers.insert(13, StatusText { text: Some("x".into()), at: 0 });
        texts.answers.insert(58, StatusText { text: None, at: 5 });
        assert_eq!(texts.unknown(&statuses, ASK_AGAIN, 9), Vec::<i64>::new());
        assert_eq!(texts.unknown(&statuses, ASK_AGAIN + 5, 9), [58]);
    }
}
