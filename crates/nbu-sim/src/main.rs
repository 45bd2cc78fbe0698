//! `nbu-sim`: serves a simulated NetBackup primary server until Ctrl-C or SIGTERM.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use nbu_sim::{
    Clock, Denial, FAULT_KINDS, Fault, Permissions, Release, Settings, Simulator, TlsMaterial,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A simulator that answers later than this is not well.
const HEALTHCHECK_PATIENCE: Duration = Duration::from_secs(3);

/// A NetBackup primary server to develop and test against: the REST API over HTTP, on a made-up world of
/// jobs and storage units that goes on as time passes. The same seed gives the same world.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:1556")]
    listen: SocketAddr,
    /// Seed of the world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// NetBackup release whose API is spoken: 10.3, 10.5, 11.0 or 11.2
    #[arg(long, default_value = "11.0")]
    release: Release,
    /// Jobs that ended within the last day
    #[arg(long, default_value_t = 2_000)]
    jobs: usize,
    /// New jobs an hour [default: a twenty-fourth of --jobs]
    #[arg(long)]
    jobs_per_hour: Option<f64>,
    /// Jobs that wait or run at any time, roughly
    #[arg(long, default_value_t = 40)]
    live: usize,
    /// Storage units
    #[arg(long, default_value_t = 8)]
    storage_units: usize,
    /// Alerts
    #[arg(long, default_value_t = 12)]
    alerts: usize,
    /// Results of malware scans
    #[arg(long, default_value_t = 20)]
    scans: usize,
    /// Images in the catalogue; two thirds are of the last 24 hours
    #[arg(long, default_value_t = 60)]
    images: usize,
    /// Service level objectives
    #[arg(long, default_value_t = 6)]
    slos: usize,
    /// Tape drives
    #[arg(long, default_value_t = 6)]
    tape_drives: usize,
    /// Tapes
    #[arg(long, default_value_t = 40)]
    tapes: usize,
    /// The key that clients send in the Authorization header
    #[arg(long, default_value = "nbu-sim-key")]
    api_key: String,
    /// Host name that the server gives itself
    #[arg(long, default_value = "primary.example.com")]
    name: String,
    /// How much the server's clock is ahead of this host's, in seconds; may be negative
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    skew: i64,
    /// Serve https, with a certificate of a CA that is made at the start and written to this file
    #[arg(long, value_name = "CA_FILE")]
    tls: Option<std::path::PathBuf>,
    #[arg(long = "fault", value_name = "PATH=KIND", help = fault_help())]
    faults: Vec<Fault>,
    /// A permission that the key is without: jobs, job-counts, storage or others. Repeatable
    #[arg(long = "deny", value_name = "PERMISSION")]
    denied: Vec<Denial>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a simulator on this host whether it serves (not https); for HEALTHCHECK in a container
    Healthcheck {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:1556")]
        address: SocketAddr,
    },
}

fn fault_help() -> String {
    format!(
        "What goes wrong with requests of this path (below /netbackup) and those under it; / is \
         all of them. Repeatable. Kinds: {FAULT_KINDS}"
    )
}

const EXAMPLES: &str = "\
Examples:
  nbu-sim                                     a small server on port 1556
  nbu-sim --jobs 100000 --live 500            a busy one
  nbu-sim --release 10.3 --seed 7             an old one, another world
  nbu-sim --tls ca.pem                        https; trust ca.pem
  nbu-sim --fault /admin/jobs=status:503      jobs are always busy
  nbu-sim --fault /=latency:800 --deny storage
                                              slow, and the key sees no storage

Ask it:
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
        .map_err(|error| io::Error::other(format!("{address} does not answer: {error}")))?;
    if &answer != b"HTTP/1.1 200" {
        let status = String::from_utf8_lossy(&answer).into_owned();
        return Err(io::Error::other(format!("{address} answers {status}")));
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
        storage_units: args.storage_units,
        alerts: args.alerts,
        scans: args.scans,
        images: args.images,
        slos: args.slos,
        tape_drives: args.tape_drives,
        tapes: args.tapes,
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
