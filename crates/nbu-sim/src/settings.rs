//! Settings of a simulated server, for [`crate::Simulator::start`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Clock;
use crate::http::tls::TlsMaterial;
use crate::pool_script::{PoolScript, PoolSizes};
use crate::rows::Rows;
use crate::zone::ServerZone;

/// A key of the form of real ones, 64 characters of base64url, so that it has a tag and expires.
pub const API_KEY: &str = "nbu_sim-key_that_has_a_tag_and_so_a_time_at_which_it_expires-000";

/// A NetBackup release whose REST API is simulated (docs/netbackup-api.md#versions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types, reason = "the release numbers are the names of the field")]
pub enum Release {
    /// NetBackup 10.3, API version 10.0.
    R10_3,
    /// NetBackup 10.5, API version 12.0.
    R10_5,
    /// NetBackup 11.0, API version 13.0.
    R11_0,
    /// NetBackup 11.2, API version 14.0.
    R11_2,
}

impl Release {
    /// Every simulated release, oldest first.
    pub const ALL: [Self; 4] = [Self::R10_3, Self::R10_5, Self::R11_0, Self::R11_2];

    /// The API version that the release speaks, as in the media type.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::R10_3 => "10.0",
            Self::R10_5 => "12.0",
            Self::R11_0 => "13.0",
            Self::R11_2 => "14.0",
        }
    }

    /// The release's own number, as in the product's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R10_3 => "10.3",
            Self::R10_5 => "10.5",
            Self::R11_0 => "11.0",
            Self::R11_2 => "11.2",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|release| release.as_str() == text)
            .ok_or_else(|| format!("no release {text:?}: 10.3, 10.5, 11.0 or 11.2"))
    }
}

/// Everything that decides what a simulated server is and does. `Settings::default()` is a small world.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    /// Two servers with the same settings and the same time give the same bytes.
    pub seed: u64,
    /// The release whose API is spoken; [`crate::Simulator::upgrade`] changes it.
    pub release: Release,
    /// The one key that is accepted in `Authorization`. The default has not the form of a real one, as [`API_KEY`] has.
    pub api_key: String,
    /// The host name that the server gives itself, in links and in `controlHost`.
    pub name: String,
    /// Exact number of jobs that ended within `history` before the start.
    pub jobs_in_history: usize,
    /// The span before the start in which the `jobs_in_history` ended.
    pub history: Duration,
    /// Rate at which new jobs arrive as time goes on; 0 for none.
    pub jobs_per_hour: f64,
    /// Roughly how many jobs are not DONE at any time. With the rate, it decides how long jobs take
    /// (mean = `live_jobs` / `jobs_per_hour`, kept between half a minute and twelve hours).
    pub live_jobs: usize,
    /// Number of storage units; the first six are one of each kind.
    pub storage_units: usize,
    /// Numbers of rows of the other lists.
    pub rows: Rows,
    /// Place where the server tells the sizes of disk pools.
    pub pool_sizes: PoolSizes,
    /// Scripts of what is written to disk pools; the space of the others is a slow wave. A simulator does not start
    /// with a script of a pool that it has not.
    pub pool_scripts: Vec<PoolScript>,
    /// Leave msdpAttributes out of the storage servers (docs/netbackup-api.md#storage-servers).
    pub hide_msdp_attributes: bool,
    /// The server's time zone.
    pub time_zone: ServerZone,
    /// The first and the seventh storage unit have one name, and so have the first two disk pools, which are of
    /// different types, and the first two tape drives, which are alike in everything: what shared devices and old
    /// configurations look like.
    pub twins: bool,
    /// Number of clients that jobs are spread over, at least one.
    pub clients: usize,
    /// Number of policies that jobs are spread over, at least one.
    pub policies: usize,
    /// Largest `page[limit]` of `/admin/jobs`; 100 in the documentation (docs/netbackup-api.md#paging).
    pub page_limit_max: usize,
    /// A change of a row shows in lists up to this long after its lastUpdateTime; zero is off.
    pub late_visibility: Duration,
    /// Some finished jobs are touched again hours later: their lastUpdateTime moves, nothing else.
    pub updates_of_finished: bool,
    /// Some failed jobs that were DONE are resumed: same jobId, next try, a second completion.
    pub resumes_of_finished: bool,
    /// A running job's lastUpdateTime moves this often; zero is off: only changes of state move it.
    pub progress_updates: Duration,
    /// The spelling of the policy type of catalogue backups; `None` is that of the release, `NBU_CATALOG`
    /// (docs/netbackup-api.md#jobs-catalog).
    pub catalog_policy_type: Option<&'static str>,
    /// Number of backups that are stalled at the start, beside the other jobs: ACTIVE, and for the next 12 to 24
    /// hours nothing of their rows changes.
    pub stalled_jobs: usize,
    /// Number of jobs that hold something open at the start, beside the other jobs: they stay ACTIVE for days
    /// without a change, and are well.
    pub long_lived_jobs: usize,
    /// Share of the successful backups that are none, from 0 to 1 (see [`crate::FalseGreen`]).
    pub false_greens: f64,
    /// A finished job is purged this long after its end (168 h seen on real servers,
    /// docs/netbackup-api.md#jobs-retention).
    pub retention: Duration,
    /// Serve https with this material; `None` is plain http.
    pub tls: Option<TlsMaterial>,
    /// The server's time.
    pub clock: Clock,
    /// Answer gzip where the client accepts it.
    pub gzip: bool,
    /// Leave `X-NetBackup-API-Version` out of the answer to `/ping`.
    pub hide_version_header: bool,
    /// True if one storage unit has null for its media servers and its server type, and one storage server for
    /// its status code, as real servers were seen to answer (docs/netbackup-api.md#storage-units).
    pub null_details: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            release: Release::R11_0,
            api_key: "nbu-sim-key".to_owned(),
            name: "primary.example.com".to_owned(),
            jobs_in_history: 500,
            history: Duration::from_secs(24 * 3600),
            jobs_per_hour: 24.0,
            live_jobs: 20,
            storage_units: 8,
            rows: Rows::default(),
            pool_sizes: PoolSizes::Listed,
            pool_scripts: Vec::new(),
            hide_msdp_attributes: false,
            time_zone: ServerZone::UTC,
            twins: false,
            clients: 25,
            policies: 12,
            page_limit_max: 100,
            late_visibility: Duration::ZERO,
            updates_of_finished: false,
            resumes_of_finished: false,
            progress_updates: Duration::ZERO,
            catalog_policy_type: None,
            stalled_jobs: 0,
            long_lived_jobs: 0,
            false_greens: 0.0,
            retention: Duration::from_secs(168 * 3600),
            tls: None,
            clock: Clock::system(),
            gzip: false,
            hide_version_header: false,
            null_details: false,
        }
    }
}
