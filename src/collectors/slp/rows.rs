//! Rows of `/catalog/slp-images` (docs/netbackup-api.md#slp-images).

use serde::{Deserialize, Deserializer};

use crate::collectors::counts::label;
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::wire::{Id, Record};
use crate::slp::{Copy, Image, ImageId};

/// The attributes of an image that the agent uses. All may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SlpImageRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) backup_id: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) slp_name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) slp_image_state: Text<'a>,
    /// Unix ms.
    #[serde(deserialize_with = "lenient::timestamp")]
    pub(super) backup_time: Option<i64>,
    /// Unix ms; `None` for never.
    #[serde(deserialize_with = "lenient::timestamp")]
    pub(super) expiration_time: Option<i64>,
    /// The server's own name.
    #[serde(borrow, deserialize_with = "lenient::text")]
    primary_server: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    origin_primary_server: Text<'a>,
    /// Unix ms.
    #[serde(deserialize_with = "lenient::timestamp")]
    import_from_replica_time: Option<i64>,
    #[serde(borrow, deserialize_with = "copies")]
    pub(super) copies: Vec<CopyRow<'a>>,
}

/// The attributes of a copy that the agent uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CopyRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) copy_type: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) copy_state: Text<'a>,
    #[serde(deserialize_with = "lenient::integer")]
    pub(super) retry_count: Option<i64>,
}

/// Reads the copies; what is no object in the list is left out.
fn copies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CopyRow<'de>>, D::Error> {
    lenient::objects(deserializer)
}

/// Returns the id of an image; `None` where the row has none.
pub(super) fn backup_id<'r>(record: &'r Record<'_, SlpImageRow<'_>>) -> Option<&'r str> {
    let own = record.backup_id.as_deref();
    let id = own.or(match &record.id {
        Id::Text(id) => Some(&**id),
        Id::Number(_) | Id::Missing => None,
    });
    id.filter(|id| !id.is_empty())
}

/// Returns the server that made an image, if it was another one. Servers may name themselves as the origin of their own.
fn origin<'r>(row: &'r SlpImageRow<'_>) -> Option<&'r str> {
    let origin = row.origin_primary_server.as_deref().map(str::trim)?;
    let own = row.primary_server.as_deref().unwrap_or_default().trim();
    (!origin.is_empty() && origin.to_lowercase() != own.to_lowercase()).then_some(origin)
}

/// Returns the image of a row; `None` where it has no id.
pub(super) fn image<'r>(record: &'r Record<'_, SlpImageRow<'_>>) -> Option<Image<'r>> {
    let copies = record.copies.iter().map(|copy| Copy {
        operation: label(&copy.copy_type),
        state: label(&copy.copy_state),
        retrying: copy.retry_count.is_some_and(|count| count > 0),
    });
    Some(Image {
        id: ImageId::of(backup_id(record)?),
        slp: label(&record.slp_name),
        state: label(&record.slp_image_state),
        backup_time: record.backup_time,
        expiration: record.expiration_time,
        origin: origin(record),
        has_import_time: record.import_from_replica_time.is_some(),
        copies: copies.collect(),
    })
}
