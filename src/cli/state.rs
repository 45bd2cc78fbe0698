//! `state`: looks at the state directory, and changes it, while no agent uses it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::state_report::{Report, line, reports};
use crate::config::{self, ProcessEnvironment};
use crate::state::Maintenance;

/// The commands that look at state and change it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The state directory stores the totals of each site and server for the next start.
Stop the agent first: these commands do not work while an agent uses the directory. `rename` and
`reset` print what they would do; add --yes to do it.

EXAMPLES:
  nbu-otel-agent state inspect --config config.yaml
  nbu-otel-agent state inspect --directory /var/lib/nbu-otel-agent --json
  nbu-otel-agent state rename --config config.yaml paris lyon --yes    paris becomes lyon
  nbu-otel-agent state reset --config config.yaml paris --yes          totals start at 0

EXIT CODES: 0 success, and every file can be used; 1 failure, or a corrupt file; 2 wrong usage.")]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the content of each state file and whether it can be used. Changes nothing.
    Inspect {
        #[command(flatten)]
        place: Place,
        /// Only this site.
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Rename the state of a site; do this before you rename the site in the configuration.
    Rename {
        #[command(flatten)]
        place: Place,
        /// Current name of the site.
        from: String,
        /// New name of the site.
        to: String,
        /// Apply the change.
        #[arg(long)]
        yes: bool,
    },
    /// Set the state of a site aside, so that its totals start at 0. Deletes nothing.
    Reset {
        #[command(flatten)]
        place: Place,
        /// Name of the site.
        site: String,
        /// Only the state of this server, as printed by `inspect`.
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// Apply the change.
        #[arg(long)]
        yes: bool,
    },
}

/// The directory, by itself or by the configuration that names it.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Configuration file that names the state directory (`state.directory`).
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Place {
    fn directory(self) -> Result<PathBuf, String> {
        if let Some(directory) = self.directory {
            return Ok(directory);
        }
        let path = self.config.unwrap_or_default();
        let loaded =
            config::load(&path, &ProcessEnvironment).map_err(|errors| errors.to_string())?;
        loaded.config.state.directory.ok_or_else(|| {
            format!("{}: state.directory is not set, so no state is saved", path.display())
        })
    }
}

pub(super) fn run(options: Options) -> ExitCode {
    let done = match options.command {
        Command::Inspect { place, site, json } => inspect(place, site.as_deref(), json),
        Command::Rename { place, from, to, yes } => rename(place, &from, &to, yes),
        Command::Reset { place, site, server, yes } => reset(place, &site, server.as_deref(), yes),
    };
    done.unwrap_or_else(|error| {
        super::output::print_error(&format!("{error}\n"));
        ExitCode::FAILURE
    })
}

fn inspect(place: Place, site: Option<&str>, json: bool) -> Result<ExitCode, String> {
    let path = place.directory()?;
    let directory = Maintenance::to_inspect(&path).map_err(|error| error.to_string())?;
    let reports = reports(&directory)?;
    let reports: Vec<Report> = reports.into_iter().filter(|report| report.is_about(site)).collect();
    let text = if json {
        serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())? + "\n"
    } else {
        let text: String = reports.iter().map(Report::text).collect();
        if text.is_empty() { format!("{}: no state\n", path.display()) } else { text }
    };
    let code = super::output::print(&text);
    let damaged = reports.iter().any(|report| report.problem.is_some() && !report.set_aside);
    Ok(if damaged { ExitCode::FAILURE } else { code })
}

fn rename(place: Place, from: &str, to: &str, yes: bool) -> Result<ExitCode, String> {
    let path = place.directory()?;
    let directory = open(&path, yes)?;
    let reports = of_site(&directory, from, None)?;
    let taken = present(&directory)?;
    for report in &reports {
        let is_same =
            |other: &Report| other.site.as_deref() == Some(to) && other.server == report.server;
        if taken.iter().any(is_same) {
            return Err(format!(
                "site `{to}` already has state for server {}; reset that first",
                report.server.as_deref().unwrap_or_default()
            ));
        }
    }
    change(&reports, yes, &format!("become the state of site `{to}`"), |file| {
        let new = directory.rename(&path.join(file), to).map_err(|error| error.to_string())?;
        Ok(format!("renamed to {}", new.display()))
    })
}

fn reset(place: Place, site: &str, server: Option<&str>, yes: bool) -> Result<ExitCode, String> {
    let directory = open(&place.directory()?, yes)?;
    let reports = of_site(&directory, site, server)?;
    change(&reports, yes, "be set aside, and totals would start at 0", |file| {
        let aside = directory.set_aside(file).map_err(|error| error.to_string())?;
        Ok(format!("set aside as {}", aside.display()))
    })
}

/// Changes each file with `apply`, which returns what was done; without `yes`, prints what it `would` do.
fn change(
    reports: &[Report],
    yes: bool,
    would: &str,
    apply: impl Fn(&str) -> Result<String, String>,
) -> Result<ExitCode, String> {
    let mut text = String::new();
    for Report { file, .. } in reports {
        if yes {
            let done = apply(file).map_err(|error| format!("{file}: {error}"))?;
            line(&mut text, format_args!("{file} {done}"));
        } else {
            line(&mut text, format_args!("{file} would {would}; add --yes to do it"));
        }
    }
    Ok(super::output::print(&text))
}

fn open(path: &Path, to_change: bool) -> Result<Maintenance, String> {
    let opened =
        if to_change { Maintenance::to_change(path) } else { Maintenance::to_inspect(path) };
    opened.map_err(|error| error.to_string())
}

/// Returns the reports on journals that are not set aside.
fn present(directory: &Maintenance) -> Result<Vec<Report>, String> {
    let reports = reports(directory)?.into_iter();
    Ok(reports.filter(|report| report.site.is_some() && !report.set_aside).collect())
}

/// Returns the reports on the files of a site.
fn of_site(
    directory: &Maintenance,
    site: &str,
    server: Option<&str>,
) -> Result<Vec<Report>, String> {
    let mut reports = present(directory)?;
    let mut sites: Vec<String> = reports.iter().filter_map(|report| report.site.clone()).collect();
    sites.dedup();
    reports.retain(|report| {
        report.is_about(Some(site)) && (server.is_none() || report.server.as_deref() == server)
    });
    if reports.is_empty() {
        let known = if sites.is_empty() { "none".to_owned() } else { sites.join(", ") };
        let with = server.map(|server| format!(" with server {server}")).unwrap_or_default();
        return Err(format!("no state for site `{site}`{with}; sites with state: {known}"));
    }
    Ok(reports)
}
