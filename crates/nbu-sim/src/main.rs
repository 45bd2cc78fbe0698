//! `nbu-sim`: serves a simulated NetBackup primary server until Ctrl-C or SIGTERM.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use nbu_sim::{
    Clock, Denial, FAULT_KINDS, Fault, Permissions, PoolSizes, Release, Rows, ServerZone, Settings,
    Simulator, TlsMaterial, fixtures,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A simulator that answers later than this is not well.
const HEALTHCHECK_PATIENCE: Duration = Duration::from_secs(3);

/// Simulated NetBackup primary server for development and tests: the REST API over HTTP, with generated
/// jobs and storage units that change as time passes. The same seed generates the same data.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address to listen on; port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:1556")]
    listen: SocketAddr,
    /// Seed of the generated data
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// NetBackup release to simulate: 10.3, 10.5, 11.0 or 11.2
    #[arg(long, default_value = "11.0")]
    release: Release,
    /// Number of jobs that ended within the last day
    #[arg(long, default_value_t = 2_000)]
    jobs: usize,
    /// New jobs per hour [default: --jobs divided by 24]
    #[arg(long)]
    jobs_per_hour: Option<f64>,
    /// Approximate number of queued and active jobs
    #[arg(long, default_value_t = 40)]
    live: usize,
    /// Stalled backups at the start: active for hours without progress
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// Jobs at the start that hold something open for days without a change, and are well
    #[arg(long, default_value_t = 0)]
    long_lived: usize,
    /// Share of the successful backups that are none, from 0 to 1: without an image, without files, or of another
    /// size than usual
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    false_greens: f64,
    /// Place where the server tells the sizes of disk pools: listed, by-id, volumes, nowhere or mixed
    #[arg(long, default_value = "listed", value_name = "PLACE")]
    pool_sizes: PoolSizes,
    /// Time zone of the server: an IANA id such as Europe/Berlin
    #[arg(long, default_value = "UTC", value_name = "ID")]
    time_zone: ServerZone,
    /// Storage units
    #[arg(long, default_value_t = 8)]
    storage_units: usize,
    #[arg(long, value_name = "NAME=N", value_parser = row_count, help = rows_help())]
    rows: Vec<(String, usize)>,
    /// API key that clients must send in the Authorization header
    #[arg(long, default_value = "nbu-sim-key")]
    api_key: String,
    /// Host name of the simulated server
    #[arg(long, default_value = "primary.example.com")]
    name: String,
    /// Seconds by which the server's clock is ahead of this host's; may be negative
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    skew: i64,
    /// Serve https with a certificate of a new CA, which is written to this file
    #[arg(long, value_name = "CA_FILE")]
    tls: Option<std::path::PathBuf>,
    #[arg(long = "fault", value_name = "PATH=KIND", help = fault_help())]
    faults: Vec<Fault>,
    /// Permission that the key lacks: jobs, job-counts, storage or others. Repeatable
    #[arg(long = "deny", value_name = "PERMISSION")]
    denied: Vec<Denial>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that a simulator on this host responds (not https); for HEALTHCHECK in a container
    Healthcheck {
        /// Address of the simulator
        #[arg(long, default_value = "127.0.0.1:1556")]
        address: SocketAddr,
    },
}

fn rows_help() -> String {
    let lists = fixtures().flat_map(|fixture| fixture.rows);
    let lists = lists.map(|list| format!("\n  {}={}: {}", list.name, list.default, list.help));
    format!(
        "Number of rows of a list. Repeatable. Lists with their defaults:{}",
        lists.collect::<String>()
    )
}

/// Parses the name of a list and its number of rows, such as `alerts=12`.
fn row_count(text: &str) -> Result<(String, usize), String> {
    let (name, number) = text.split_once('=').ok_or("no NAME=N, such as alerts=12")?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number of rows"))?;
    Ok((name.to_owned(), number))
}

/// Parses a share from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share from 0 to 1"))
}

fn fault_help() -> String {
    format!(
        "Fault of requests to this path (below /netbackup) and the paths under it; / is all paths. \
         Repeatable. Kinds: {FAULT_KINDS}"
    )
}

const EXAMPLES: &str = "\
Examples:
  nbu-sim                                     small server on port 1556
  nbu-sim --jobs 100000 --live 500            busy server
  nbu-sim --release 10.3 --seed 7             old release, other data
  nbu-sim --stalled 3 --false-greens 0.02     stuck jobs, and successes that are none
  nbu-sim --rows tapes=10000 --rows slos=0    many tapes, no protection plans
  nbu-sim --rows disk-pools=100 --storage-units 300 --pool-sizes mixed
                                              many pools, sizes here and there
  nbu-sim --tls ca.pem                        https; trust ca.pem
  nbu-sim --fault /admin/jobs=status:503      /admin/jobs always returns 503
  nbu-sim --fault /=latency:800 --deny storage
                                              slow, without permission for storage

Send requests:
  curl http://127.0.0.1:1556/netbackup/ping
  curl -g -H 'Authorization: nbu-sim-key' \\
       -H 'Accept: application/vnd.netbackup+json;version=13.0' \\
       'http://127.0.0.1:1556/netbackup/admin/jobs?page[limit]=5'";

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(Command::Healthcheck { address }) => healthcheck(address).await,
        None => run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be done when stderr is gone too.
            let _ = writeln!(io::stderr(), "nbu-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Pings. One request in plain text needs no HTTP client.
async fn healthcheck(address: SocketAddr) -> io::Result<()> {
    let ping = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            "GET /netbackup/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(HEALTHCHECK_PATIENCE, ping)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| io::Error::other(format!("{address} does not respond: {error}")))?;
    if &answer != b"HTTP/1.1 200" {
        let status = String::from_utf8_lossy(&answer).into_owned();
        return Err(io::Error::other(format!("{address} returned {status}")));
    }
    writeln!(io::stdout(), "healthy")
}

async fn run(args: Args) -> io::Result<()> {
    let tls = match &args.tls {
        None => None,
        Some(file) => {
            let material = TlsMaterial::generate()?;
            tokio::fs::write(file, &material.ca_pem).await?;
            Some(material)
        }
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let key = args.api_key.clone();
    let release = args.release;
    let listen = args.listen;
    let (faults, denied) = (args.faults.clone(), args.denied.clone());
    let simulator = Simulator::start_on(listen, settings(args, tls)).await?;
    for fault in faults {
        simulator.faults().add(fault);
    }
    let all = Permissions::ALL;
    simulator.set_permissions(denied.into_iter().fold(all, |left, denial| denial.from(left)));
    let mut out = io::stdout();
    writeln!(out, "NetBackup {release} simulator: {scheme}://{}/netbackup", simulator.addr())?;
    writeln!(out, "API version {}, Authorization: {key}", release.api_version())?;
    out.flush()?;
    stop_signal().await?;
    // A client that holds its connection must not keep the process.
    let _ = tokio::time::timeout(Duration::from_secs(5), simulator.stop()).await;
    Ok(())
}

fn settings(args: Args, tls: Option<TlsMaterial>) -> Settings {
    Settings {
        seed: args.seed,
        release: args.release,
        api_key: args.api_key,
        name: args.name,
        jobs_in_history: args.jobs,
        jobs_per_hour: args.jobs_per_hour.unwrap_or(args.jobs as f64 / 24.0),
        live_jobs: args.live,
        stalled_jobs: args.stalled,
        long_lived_jobs: args.long_lived,
        false_greens: args.false_greens,
        storage_units: args.storage_units,
        pool_sizes: args.pool_sizes,
        time_zone: args.time_zone,
        rows: args
            .rows
            .iter()
            .fold(Rows::default(), |rows, (name, number)| rows.with(name, *number)),
        tls,
        clock: Clock::system().with_skew_ms(args.skew.saturating_mul(1000)),
        ..Settings::default()
    }
}

/// Waits for Ctrl-C or, on Unix, SIGTERM.
async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
