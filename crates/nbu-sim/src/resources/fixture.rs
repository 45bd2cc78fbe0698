//! A fixture: everything about a list or document that is read by its path, told once beside its code.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::offset::Envelope;
use super::{cursor_list, offset};
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::rows::RowCount;
use crate::settings::{Release, Settings};
use crate::shared::Shared;
use crate::world::World;
use crate::world::lists::Lists;
use crate::world::names::Names;

/// Function that answers a request.
pub(crate) type Handler = fn(&Shared, &Request) -> Reply;

/// A list or document of the API that is read by its path. [`fixtures`](crate::fixtures) has them all.
#[derive(Debug)]
pub struct Fixture {
    /// Path under `/netbackup`.
    pub path: &'static str,
    /// RBAC namespace without which it answers 401.
    pub permission: &'static str,
    /// The first release that has it.
    pub since: Release,
    /// The way in which it pages.
    pub paging: Paging,
    /// Lists of which [`Settings::rows`] sets the number of rows.
    pub rows: &'static [RowCount],
    /// Attributes with a closed set of values.
    pub(crate) enums: &'static [&'static str],
    pub(crate) handle: Handler,
    /// Makes its list, unless that is a part of the world.
    pub(crate) make: fn(&Settings, &Names, &mut Lists),
}

/// The pages of a fixture.
#[derive(Debug)]
pub enum Paging {
    /// By offset, with these values of `page[limit]`.
    Offset(RangeInclusive<usize>, Envelope),
    /// By cursor, up to 100 rows a page.
    Cursor,
    /// By cursor, up to 1000 rows a page; its handler pages.
    WideCursor,
    /// All of it at once.
    Document,
}

impl Fixture {
    /// Returns true if no answer tells of a next page.
    pub fn has_one_page(&self) -> bool {
        matches!(self.paging, Paging::Document | Paging::Offset(_, Envelope::Bare))
    }

    /// Answers with the page that a request asks for of all rows: `count` says how many there are, `write`
    /// writes one.
    pub(crate) fn list(
        &self,
        server: &Shared,
        request: &Request,
        count: impl FnOnce(&World) -> usize,
        write: impl Fn(&World, usize) -> Value,
    ) -> Reply {
        self.select(server, request, |world| offset::all(request, count(world)), write)
    }

    /// Answers with the page that a request asks for. `rows` says which row of the world comes at which place,
    /// or what is wrong with the request; `write` writes one.
    pub(crate) fn select(
        &self,
        server: &Shared,
        request: &Request,
        rows: impl FnOnce(&World) -> Result<Vec<usize>, Reply>,
        write: impl Fn(&World, usize) -> Value,
    ) -> Reply {
        let address = server.absolute(self.path);
        let body = server.read_world(|world| {
            let rows = rows(world)?;
            let write = |row: &usize| write(world, *row);
            match &self.paging {
                Paging::Offset(limits, envelope) => {
                    envelope.around(&rows, write, limits.clone(), &address, request)
                }
                Paging::Cursor | Paging::WideCursor => {
                    cursor_list::page(&rows, write, self.path, &address, request)
                }
                Paging::Document => {
                    Ok(json!({ "data": rows.iter().map(write).collect::<Vec<_>>() }))
                }
            }
        });
        match body {
            Ok(body) => Reply::json(200, request.served(), body.to_string().into_bytes()),
            Err(reply) => reply,
        }
    }
}
