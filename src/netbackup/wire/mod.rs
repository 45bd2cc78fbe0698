//! The JSON of the API: the envelope that lists have in common, and one file for each resource whose
//! rows more than one module reads.

mod error_response;
mod id;
pub mod job_count;
pub mod jobs;
pub(crate) mod lenient;
mod list;
mod page;
mod repair;
mod split;
mod timestamp;

pub(super) use error_response::server_message;
pub use id::Id;
pub use list::read_page;
pub(super) use list::{BadRecord, List, decode_list_repaired, last_cursor};
pub(super) use page::Pagination;
pub use page::{NotAPage, Page, Record};
