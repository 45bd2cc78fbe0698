//! The agent's own log: where it goes, how it looks, how much it says. All of it can change while
//! the agent runs.
//!
//! Lines are written by a thread of their own, from a bounded queue: a terminal that is stopped or a
//! disk that hangs costs lines, never a poll or the end of the process.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use tracing::Level;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::logging::{Config, Destination, Format};

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;
type Formatted = Layered<reload::Layer<AnyLayer, Registry>, Registry>;

/// The log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log file {path}: {source}; check server.logName and its directory")]
pub struct OpenError {
    path: String,
    source: io::Error,
}

/// A place for log lines that is open.
#[derive(Debug)]
pub struct Opened(Sink);

#[derive(Debug)]
enum Sink {
    Stdout,
    Stderr,
    File(File),
}

/// Opens the destination; a file is appended to.
///
/// # Errors
///
/// Where the file can be neither opened nor made.
pub fn open(destination: &Destination) -> Result<Opened, OpenError> {
    match destination {
        Destination::Stdout => Ok(Opened(Sink::Stdout)),
        Destination::File(path) => Ok(Opened(Sink::File(append(path)?))),
    }
}

fn append(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| OpenError { path: path.display().to_string(), source })
}

/// The log of this process.
#[derive(Clone)]
pub struct Log {
    sink: Arc<ArcSwap<Sink>>,
    writer: NonBlocking,
    /// Writes what is queued when it is dropped; gives up after a second.
    guard: Arc<Mutex<Option<WorkerGuard>>>,
    format: reload::Handle<AnyLayer, Registry>,
    filter: reload::Handle<EnvFilter, Formatted>,
    verbosity: Option<Level>,
}

impl Log {
    /// Starts the log on standard error, for the time before the configuration is read and for
    /// commands whose standard output is their result. `verbosity` (of `--debug` and `--trace`)
    /// overrides what the configuration says later. Called again, it gives the first log.
    pub fn start(verbosity: Option<Level>) -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let sink = Arc::new(ArcSwap::from_pointee(Sink::Stderr));
            let (writer, guard) =
                NonBlockingBuilder::default().lossy(true).finish(Writer(Arc::clone(&sink)));
            let (layer, format) = reload::Layer::new(layer(&writer, Format::Text));
            let (levels, filter) = reload::Layer::new(filter(verbosity.unwrap_or(Level::INFO)));
            // Fails where a test installed a subscriber of its own: then that one is used.
            let _ = tracing_subscriber::registry().with(layer).with(levels).try_init();
            let guard = Arc::new(Mutex::new(Some(guard)));
            Self { sink, writer, guard, format, filter, verbosity }
        })
        .clone()
    }

    /// Applies settings. Cannot fail: what can was done by [`open`].
    pub fn apply(&self, config: &Config, opened: Opened) {
        self.sink.store(Arc::new(opened.0));
        let level = self.verbosity.map_or(config.level, |verbosity| verbosity.max(config.level));
        // Fails only where the subscriber is gone, and then there is nobody to tell.
        let _ = self.format.reload(layer(&self.writer, config.format));
        let _ = self.filter.reload(filter(level));
    }

    /// Writes what is still queued; what is logged later is lost. For the end of the process.
    pub fn finish(&self) {
        drop(self.guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn layer(writer: &NonBlocking, format: Format) -> AnyLayer {
    let lines = fmt::layer().with_ansi(false).with_writer(writer.clone());
    match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

/// The level is ours; libraries speak only where more is asked for, since what they have to say at
/// each request is in our own lines, once. `RUST_LOG` replaces both.
fn filter(level: Level) -> EnvFilter {
    let libraries = if level >= Level::DEBUG { "warn" } else { "off" };
    let default = format!("{libraries},nbu_otel_agent={level},nbu_sim={level}");
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    wanted.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(default))
}

/// Writes to whatever the sink is when a line is written.
struct Writer(Arc<ArcSwap<Sink>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.load().as_ref() {
            Sink::Stdout => io::stdout().write(bytes),
            Sink::Stderr => io::stderr().write(bytes),
            Sink::File(file) => (&*file).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.load().as_ref() {
            Sink::Stdout => io::stdout().flush(),
            Sink::Stderr => io::stderr().flush(),
            Sink::File(file) => (&*file).flush(),
        }
    }
}
