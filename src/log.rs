//! The agent's own log: where it goes, how it looks, how much it says. All of it can change while
//! the agent runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
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
            let (layer, format) = reload::Layer::new(layer(&sink, Format::Text));
            let (levels, filter) = reload::Layer::new(filter(verbosity.unwrap_or(Level::INFO)));
            // Fails where a test installed a subscriber of its own: then that one is used.
            let _ = tracing_subscriber::registry().with(layer).with(levels).try_init();
            Self { sink, format, filter, verbosity }
        })
        .clone()
    }

    /// Applies settings. Cannot fail: what can was done by [`open`].
    pub fn apply(&self, config: &Config, opened: Opened) {
        self.sink.store(Arc::new(opened.0));
        let level = self.verbosity.map_or(config.level, |verbosity| verbosity.max(config.level));
        // Fails only where the subscriber is gone, and then there is nobody to tell.
        let _ = self.format.reload(layer(&self.sink, config.format));
        let _ = self.filter.reload(filter(level));
    }
}

fn layer(sink: &Arc<ArcSwap<Sink>>, format: Format) -> AnyLayer {
    let lines = fmt::layer().with_ansi(false).with_writer(Writer(Arc::clone(sink)));
    match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

/// The level is ours; libraries speak from warnings on. `RUST_LOG` replaces both.
fn filter(level: Level) -> EnvFilter {
    let libraries = if level == Level::ERROR { "error" } else { "warn" };
    let default = format!("{libraries},nbu_otel_agent={level},nbu_sim={level}");
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

/// Writes to whatever the sink is when a line is written.
#[derive(Debug, Clone)]
struct Writer(Arc<ArcSwap<Sink>>);

impl<'w> MakeWriter<'w> for Writer {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line(self.0.load_full())
    }
}

/// One line on its way.
struct Line(Arc<Sink>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.as_ref() {
            Sink::Stdout => io::stdout().write(bytes),
            Sink::Stderr => io::stderr().write(bytes),
            Sink::File(file) => (&*file).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.as_ref() {
            Sink::Stdout => io::stdout().flush(),
            Sink::Stderr => io::stderr().flush(),
            Sink::File(file) => (&*file).flush(),
        }
    }
}
