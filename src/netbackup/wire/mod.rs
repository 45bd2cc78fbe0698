//! The JSON of the API: the envelope that lists have in common, and one file for each resource whose
//! rows more than one module reads.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod job_count;
pub mod jobs;
pub(crate) mod lenient;
mod list;
mod page;
mod repair;
mod skim;
mod split;
pub mod status_code;
mod timestamp;

pub(crate) use lenient::Text;
pub use list::read_page;
pub(super) use list::{
    BadRecord, List, decode_list_repaired, decode_page_repaired, last_cursor, server_message,
};
pub(super) use page::Pagination;
pub(crate) use page::Related;
pub use page::{Id, NotAPage, Page, Record};
