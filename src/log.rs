//! The agent's own log: its destination, format and level, all of which can change while the agent
//! runs.
//!
//! Lines are written by a thread of their own, from a bounded queue: a terminal that is stopped or a
//! disk that hangs costs lines, never a poll or the end of the process. Lines that are lost are
//! counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use tracing::Level;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Destination, format and level of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub destination: Destination,
    pub format: Format,
    /// Least severe level that is written; `--debug` and `--trace` on the command line lower it.
    pub level: Level,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// A JSON object on each line.
    Json,
}

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;
type Formatted = Layered<reload::Layer<AnyLayer, Registry>, Registry>;

/// The log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log file {path}: {source}; check server.logName and its directory")]
pub struct OpenError {
    path: String,
    source: io::Error,
}

/// The log of this process, once it is started.
static LOG: OnceLock<Log> = OnceLock::new();

/// Open destination of log lines.
#[derive(Debug)]
pub enum Opened {
    Stdout,
    Stderr,
    File(File),
}

/// Opens the destination; a file is appended to, and made if it is missing.
pub fn open(destination: &Destination) -> Result<Opened, OpenError> {
    let Destination::File(path) = destination else { return Ok(Opened::Stdout) };
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map(Opened::File).map_err(|source| OpenError { path: path.display().to_string(), source })
}

/// Returns how many lines were lost, because they came faster than they could be written or because
/// they could not be written.
pub(crate) fn dropped_lines() -> u64 {
    LOG.get().map_or(0, |log| {
        log.writer.error_counter().dropped_lines() as u64 + log.unwritten.load(Relaxed)
    })
}

/// The log of this process.
#[derive(Clone)]
pub struct Log {
    sink: Arc<ArcSwap<Opened>>,
    /// Lines that the sink did not take.
    unwritten: Arc<AtomicU64>,
    /// Standard error stands in for a file that could not be opened.
    replaced: Arc<AtomicBool>,
    writer: NonBlocking,
    /// Writes the queued lines when it is dropped; gives up after a second.
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
        LOG.get_or_init(|| {
            let sink = Arc::new(ArcSwap::from_pointee(Opened::Stderr));
            let unwritten = Arc::<AtomicU64>::default();
            let to_sink = Writer { sink: Arc::clone(&sink), unwritten: Arc::clone(&unwritten) };
            let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(to_sink);
            let (layer, format) = reload::Layer::new(layer(&writer, Format::Text));
            let (levels, filter) = reload::Layer::new(filter(verbosity.unwrap_or(Level::INFO)));
            // Fails where a test installed a subscriber of its own: then that one is used.
            let _ = tracing_subscriber::registry().with(layer).with(levels).try_init();
            let guard = Arc::new(Mutex::new(Some(guard)));
            let replaced = Arc::default();
            Self { sink, unwritten, replaced, writer, guard, format, filter, verbosity }
        })
        .clone()
    }

    /// Applies settings. Standard error replaces a destination that could not be opened.
    pub fn apply(&self, config: &Config, opened: Result<Opened, OpenError>) {
        self.apply_format(config);
        self.redirect(opened);
    }

    /// Applies level and format, which need nothing to be opened.
    pub(crate) fn apply_format(&self, config: &Config) {
        let level = self.verbosity.map_or(config.level, |verbosity| verbosity.max(config.level));
        // Fails only where the subscriber is gone, and then there is nobody to tell.
        let _ = self.format.reload(layer(&self.writer, config.format));
        let _ = self.filter.reload(filter(level));
    }

    /// Writes to another destination from now on; to standard error if it could not be opened.
    pub fn redirect(&self, opened: Result<Opened, OpenError>) {
        let (sink, failure) = match opened {
            Ok(sink) => (sink, None),
            Err(error) => (Opened::Stderr, Some(error)),
        };
        self.sink.store(Arc::new(sink));
        let was_replaced = self.replaced.swap(failure.is_some(), Relaxed);
        match failure {
            Some(error) if !was_replaced => {
                tracing::warn!("{error}; logging to standard error until the file can be opened");
            }
            Some(error) => tracing::debug!("{error}"),
            None if was_replaced => tracing::info!("logging to the configured file again"),
            None => {}
        }
    }

    /// Returns true if standard error stands in for a file, which should be tried again.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.load(Relaxed)
    }

    /// Writes the queued lines; later lines are lost. For the end of the process.
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

/// Returns the filter for a level. Libraries log only above it: their lines about each request are in
/// our own lines, once. `RUST_LOG` replaces both.
fn filter(level: Level) -> EnvFilter {
    let libraries = if level >= Level::DEBUG { "warn" } else { "off" };
    let default = format!("{libraries},nbu_otel_agent={level},nbu_sim={level}");
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    wanted.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(default))
}

struct Writer {
    sink: Arc<ArcSwap<Opened>>,
    unwritten: Arc<AtomicU64>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// Writes one line. The thread that calls this forgets a failure.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let sink = self.sink.load();
        let written = match sink.as_ref() {
            Opened::Stdout => io::stdout().write_all(line),
            Opened::Stderr => io::stderr().write_all(line),
            Opened::File(file) => (&*file).write_all(line),
        };
        if written.is_err() {
            self.unwritten.fetch_add(1, Relaxed);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.sink.load().as_ref() {
            Opened::Stdout => io::stdout().flush(),
            Opened::Stderr => io::stderr().flush(),
            Opened::File(file) => (&*file).flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_cannot_be_written_is_counted() {
        // Every write to it fails, as on a disk that is full.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let sink = Arc::new(ArcSwap::from_pointee(Opened::File(full)));
        let unwritten = Arc::<AtomicU64>::default();
        let mut writer = Writer { sink: Arc::clone(&sink), unwritten: Arc::clone(&unwritten) };
        for _ in 0..3 {
            assert!(writer.write_all(b"a line\n").is_err());
        }
        assert_eq!(unwritten.load(Relaxed), 3);
        sink.store(Arc::new(Opened::File(File::create("/dev/null").unwrap())));
        writer.write_all(b"a line\n").unwrap();
        assert_eq!(unwritten.load(Relaxed), 3);
    }
}
