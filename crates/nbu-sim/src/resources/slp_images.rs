//! `GET /catalog/slp-images`: images under storage lifecycle policies with their copies, filtered, in cursor pages
//! (docs/netbackup-api.md#slp-images). The backlog moves under a walk, so a cursor holds the key of a row.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::jobs::cursor;
use super::{cursor_list, iso};
use crate::filter::{self, Expr, Kind, Ops, Spec, Value as Literal};
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::Release;
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::World;
use crate::world::slp::{self, SlpCopy, SlpImage};

/// The list.
pub(crate) static SLP_IMAGES: Fixture = Fixture {
    path: "/catalog/slp-images",
    permission: "|MANAGE|STORAGE-LIFECYCLE-IMAGES|",
    since: Release::R10_3,
    paging: Paging::WideCursor,
    rows: &[slp::BACKLOG],
    enums: &["slpImageState", "copyState", "copyType"],
    handle: get,
    make: |_, _, _| {},
};

/// Values of slpImageState. The bar is a part of the value.
const STATES: [&str; 7] = [
    "NOT_MANAGED",
    "NOT_STARTED",
    "IN_PROCESS",
    "COMPLETE",
    "DELETED",
    "NOT_STARTED|INACTIVE",
    "IN_PROCESS|INACTIVE",
];

const MAX_LIMIT: usize = 1000;

/// Attributes that a filter may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    BackupId,
    BackupTime,
    Slp,
    Policy,
    Client,
    State,
}

fn spec(name: &str) -> Option<Spec<Attribute>> {
    let (attribute, ops, kind) = match name {
        "backupId" => (Attribute::BackupId, Ops::EQ, Kind::Text),
        "backupTime" => (Attribute::BackupTime, Ops::RANGE, Kind::DateTime),
        "slpName" => (Attribute::Slp, Ops::EQ, Kind::Text),
        "policyName" => (Attribute::Policy, Ops::EQ, Kind::Text),
        "clientName" => (Attribute::Client, Ops::EQ, Kind::Text),
        "slpImageState" => (Attribute::State, Ops::EQ, Kind::Enum(STATES.to_vec())),
        _ => return None,
    };
    Some(Spec { attribute, ops, kind })
}

fn value<'w>(world: &'w World, image: &'w SlpImage, attribute: Attribute) -> Literal<'w> {
    match attribute {
        Attribute::BackupId => Literal::Text(image.backup_id.as_str().into()),
        Attribute::BackupTime => Literal::Integer(image.made_stamp),
        Attribute::Slp => Literal::Text((&*image.slp).into()),
        Attribute::Policy => Literal::Text((&*world.names.policies[image.policy].name).into()),
        Attribute::Client => Literal::Text((&*image.client).into()),
        Attribute::State => Literal::Text(image.state.into()),
    }
}

fn get(server: &Shared, request: &Request) -> Reply {
    let text = request.parameter("filter").unwrap_or("").trim();
    let filter = match text {
        "" => None,
        text => match filter::parse(text, &spec) {
            Ok(filter) => Some(filter),
            Err(error) => return Reply::bad_filter(request.served(), &error.to_string()),
        },
    };
    let address = server.absolute(SLP_IMAGES.path);
    let body = server.read_world(|world| page(world, filter.as_ref(), text, &address, request));
    match body {
        Ok(body) => Reply::json(200, request.served(), body.to_string().into_bytes()),
        Err(reply) => reply,
    }
}

fn page(
    world: &World,
    filter: Option<&Expr<Attribute>>,
    text: &str,
    address: &str,
    request: &Request,
) -> Result<Value, Reply> {
    let bad = |detail: &str| Err(Reply::bad_request(request.served(), detail));
    let limit = match request.parameter("page[limit]").map(str::parse) {
        None => 100,
        Some(Ok(limit)) if limit <= MAX_LIMIT => limit,
        Some(_) => return bad("page[limit] must be from 0 to 1000"),
    };
    let binding = cursor::binding(SLP_IMAGES.path, text);
    let place = |name: &str| match request.parameter(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => {
            let cursor = cursor::decode(text).filter(|cursor| cursor.binding == binding);
            match cursor.as_ref().map(|cursor| (cursor.keys.first(), cursor.index)) {
                Some((Some(Literal::Integer(made)), id)) => Ok(Some((*made, id))),
                _ => Err(()),
            }
        }
    };
    let (Ok(after), Ok(before)) = (place("page[after]"), place("page[before]")) else {
        return bad("not a cursor of this list");
    };
    let key = |image: &SlpImage| (image.made, image.id);
    let mut rows = world.slp_images(world.now);
    rows.retain(|image| {
        let matches =
            |filter: &Expr<Attribute>| filter.matches(&|attribute| value(world, image, attribute));
        filter.is_none_or(matches) && before.is_none_or(|before| key(image) < before)
    });
    let start = match after {
        Some(after) => rows.partition_point(|image| key(image) <= after),
        None if before.is_some() => rows.len().saturating_sub(limit),
        None => 0,
    };
    let end = rows.len().min(start + limit);
    let shown = &rows[start..end];
    let number = u32::try_from(start / limit.max(1) + 2).unwrap_or(u32::MAX);
    let at = |image: &SlpImage| {
        cursor::encode(binding, number, image.id, &[Literal::Integer(image.made)])
    };
    let next = shown.last().filter(|_| end < rows.len()).map(at);
    let prev = shown.first().filter(|_| start > 0).map(at);
    let links = cursor_list::links(address, request, next.as_deref(), prev.as_deref());
    let mut pagination = json!({ "limit": limit, "rangeTruncated": false });
    for (name, cursor) in [("next", next), ("prev", prev)] {
        if let Some(cursor) = cursor {
            pagination[name] = cursor.into();
        }
    }
    let data: Vec<Value> = shown.iter().map(|image| row(world, image)).collect();
    Ok(json!({ "data": data, "meta": { "pagination": pagination }, "links": links }))
}

fn row(world: &World, image: &SlpImage) -> Value {
    let server = &*world.names.server;
    let policy = &world.names.policies[image.policy];
    let mut attributes = json!({
        "primaryServer": server,
        "backupId": image.backup_id,
        "policyName": &*policy.name,
        "clientName": &*image.client,
        "backupTime": iso::text(image.made_stamp),
        "policyType": policy.spelling,
        "scheduleType": "FULL",
        "slpName": &*image.slp,
        "slpImageState": image.state,
        "isStorageLifecycleInactive": image.is_inactive(),
        "timeInProcess": iso::text(image.made_stamp),
        "dataClassification": "",
        "slpVersion": 1,
        "originPrimaryServer": image.origin.as_deref().unwrap_or(server),
        "originPrimaryServerId": "",
        "creationTime": iso::text(image.made_stamp),
        "copies": image.copies.iter().map(|copy| row_of_copy(server, image, copy)).collect::<Vec<_>>(),
    });
    if let Some(expires) = image.expires {
        attributes["expirationTime"] = iso::text(expires).into();
    }
    if let Some(imported) = image.imported {
        attributes["importFromReplicaTime"] = iso::text(world.stamp(imported)).into();
    }
    json!({ "type": "slpImage", "id": image.backup_id, "attributes": attributes })
}

fn row_of_copy(server: &str, image: &SlpImage, copy: &SlpCopy) -> Value {
    json!({
        "primaryServer": server,
        "backupId": image.backup_id,
        "copyNumber": copy.number,
        "copyType": copy.kind,
        "expireTime": iso::text(image.expires.unwrap_or(0)),
        "retentionType": "FIXED",
        "residence": "stu-disk",
        "copyState": copy.state,
        "jobId": 0,
        "mpx": false,
        "retryCount": copy.retries,
        "lastRetryTime": iso::text(image.made_stamp),
        "dataFormat": "TAR",
        "replica": 0,
        "slpIndex": copy.number,
        "source": i64::from(copy.number > 1),
        "destinationId": "stu-disk",
        "fragments": [{
            "primaryServer": server,
            "backupId": image.backup_id,
            "copyNumber": copy.number,
            "fragmentNumber": 1,
            "mediaId": "@aaaab",
            "mediaServer": "media1.example.com",
            "mediaType": "DISK",
            "fragmentState": "ACTIVE",
            "fragmentSize": 4096,
        }],
    })
}

/// A copy as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlpCopyView {
    /// copyType.
    pub kind: &'static str,
    /// copyState.
    pub state: &'static str,
    /// retryCount.
    pub retries: i64,
}

/// An image under an SLP as it truly is. Times are server time in unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlpImageView {
    /// backupId.
    pub backup_id: String,
    /// slpName.
    pub slp: Arc<str>,
    /// slpImageState.
    pub state: &'static str,
    /// backupTime.
    pub backup_ms: i64,
    /// expirationTime; `None` for never.
    pub expires_ms: Option<i64>,
    /// Front-end kilobytes: of the job, and in the catalogue.
    pub kilobytes: i64,
    /// The catalogue lists it.
    pub cataloged: bool,
    /// The copies that exist.
    pub copies: Vec<SlpCopyView>,
    /// Server that made it, of a replica.
    pub origin: Option<Arc<str>>,
    /// Time at which a replica was imported.
    pub imported_ms: Option<i64>,
}

impl Truth {
    /// All images that are or were under an SLP, in the order of backupTime.
    pub fn slp_images(&self) -> Vec<SlpImageView> {
        self.read(|world| {
            let view = |image: SlpImage| SlpImageView {
                backup_id: image.backup_id,
                slp: image.slp,
                state: image.state,
                backup_ms: image.made_stamp,
                expires_ms: image.expires,
                kilobytes: image.kilobytes,
                cataloged: image.cataloged,
                copies: image.copies.iter().map(SlpCopyView::from).collect(),
                origin: image.origin,
                imported_ms: image.imported.map(|at| world.stamp(at)),
            };
            world.slp_images(self.at).into_iter().map(view).collect()
        })
    }
}

impl From<&SlpCopy> for SlpCopyView {
    fn from(copy: &SlpCopy) -> Self {
        Self { kind: copy.kind, state: copy.state, retries: copy.retries }
    }
}
