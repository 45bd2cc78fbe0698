//! Bridge to the OpenTelemetry SDK: one long-lived provider a reader, its instruments registered once,
//! each when its metric is met first. A collection observes a *batch*: a bounded number of points of some
//! parts of one site.
//!
//! The SDK keeps what was observed until the next collection, allocates in advance for its cardinality
//! limit, and adds up silently above it. With batches it holds one batch at most, its limit is the size of
//! a batch, and series that did not change cost nothing (docs/adr/0002).

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{Key, KeyValue, Value as OtelValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};

use crate::metric::{Definition, Family, Kind, Point, Value};

/// Largest number of points of a batch. The memory of an instrument grows with it (16 KiB at 128), and the
/// costs of a collection (some 100 ns for each instrument there is) are shared by the points of a batch.
pub(super) const BATCH: usize = 128;

/// Limit of an instrument: series of the batch before leave it with the next collection only, and the SDK
/// counts its overflow series in.
const SERIES_LIMIT: usize = 2 * BATCH + 2;

/// Points that one collection observes.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) site: Option<Arc<str>>,
    pub(super) picks: Vec<Pick>,
}

/// Points of one family of a part, by their places in it, ascending.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    /// Number of the part among those that were given.
    pub(super) part: usize,
    families: Arc<Vec<Family>>,
    pub(super) family: usize,
    places: Vec<usize>,
}

impl Pick {
    pub(super) fn definition(&self) -> &'static Definition {
        self.families[self.family].definition
    }

    /// Returns the number of points.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        let points = &self.families[self.family].points;
        self.places.iter().filter_map(|place| points.get(*place))
    }
}

/// Cuts points of parts of one site into batches. They are given part by part, by family and place in ascending
/// order.
pub(super) fn batches<'p>(
    site: Option<&Arc<str>>,
    parts: impl IntoIterator<Item = (&'p Arc<Vec<Family>>, impl IntoIterator<Item = (usize, usize)>)>,
) -> impl Iterator<Item = Batch> {
    let parts = parts.into_iter().enumerate();
    let points = parts.flat_map(|(part, (families, points))| {
        points.into_iter().map(move |point| (part, families, point))
    });
    let mut points = points.peekable();
    std::iter::from_fn(move || {
        points.peek()?;
        let mut picks: Vec<Pick> = Vec::new();
        for (part, families, (family, place)) in points.by_ref().take(BATCH) {
            let last = picks.last_mut();
            if let Some(pick) = last.filter(|pick| (pick.part, pick.family) == (part, family)) {
                pick.places.push(place);
            } else {
                let (families, places) = (Arc::clone(families), vec![place]);
                picks.push(Pick { part, families, family, places });
            }
        }
        Some(Batch { site: site.cloned(), picks })
    })
}

/// The instruments of one reader.
pub(super) struct Instruments {
    meter: Meter,
    registered: HashSet<&'static str>,
    current: Arc<ArcSwapOption<Batch>>,
    /// Must live while the reader collects.
    _provider: SdkMeterProvider,
}

impl Instruments {
    pub(super) fn new(reader: impl MetricReader) -> Self {
        let view =
            |_: &Instrument| Stream::builder().with_cardinality_limit(SERIES_LIMIT).build().ok();
        let provider = SdkMeterProvider::builder()
            // The resource goes out with the OTLP requests; detecting it here would read the environment.
            .with_resource(Resource::builder_empty().build())
            .with_reader(reader)
            .with_view(view)
            .build();
        let meter = provider.meter(env!("CARGO_PKG_NAME"));
        let (registered, current) = (HashSet::new(), Arc::default());
        Self { meter, registered, current, _provider: provider }
    }

    /// Lets `collect` collect from the reader while the instruments observe `batch`.
    pub(super) fn observe<T>(&mut self, batch: &Batch, collect: impl FnOnce() -> T) -> T {
        for pick in &batch.picks {
            self.register(pick.definition());
        }
        self.current.store(Some(Arc::new(batch.clone())));
        let collected = collect();
        // A snapshot that is gone must not be kept for it.
        self.current.store(None);
        collected
    }

    /// Registers the instrument of a metric, once. Histograms have none: the SDK knows no observable
    /// histogram, so both exports read them from the batch directly.
    fn register(&mut self, definition: &'static Definition) {
        if matches!(definition.kind, Kind::Histogram(_)) || !self.registered.insert(definition.name)
        {
            return;
        }
        let (keys, current) = (Keys::of(definition), Arc::clone(&self.current));
        let callback = move |observer: &dyn AsyncInstrument<f64>| {
            // A panic here would end the reader for good.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                if let Some(batch) = &*current.load() {
                    observe(batch, definition, &keys, observer);
                }
            }));
        };
        let (name, unit, help) = (definition.name, definition.unit, definition.help);
        match definition.kind {
            Kind::Gauge => {
                let gauge = self.meter.f64_observable_gauge(name);
                gauge.with_unit(unit).with_description(help).with_callback(callback).build();
            }
            Kind::Counter => {
                let counter = self.meter.f64_observable_counter(name);
                counter.with_unit(unit).with_description(help).with_callback(callback).build();
            }
            Kind::Histogram(_) => {}
        }
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments")
            .field("registered", &self.registered.len())
            .finish_non_exhaustive()
    }
}

fn observe(
    batch: &Batch,
    definition: &'static Definition,
    keys: &Keys,
    observer: &dyn AsyncInstrument<f64>,
) {
    let mut attributes = Vec::with_capacity(keys.0.len());
    let picks = batch.picks.iter();
    for pick in picks.filter(|pick| std::ptr::eq(pick.definition(), definition)) {
        for point in pick.points() {
            if let Value::Number(value) = point.value {
                attributes.clear();
                attributes.extend(keys.pairs(batch.site.as_ref(), point).map(|(key, value)| {
                    let value = OtelValue::String(Arc::clone(value).into());
                    KeyValue::new(Key::from_static_str(key), value)
                }));
                observer.observe(value, &attributes);
            }
        }
    }
}

/// The sorted attribute keys of a metric (the SDK stores unsorted sets twice) with the places of values.
pub(super) struct Keys(Vec<(&'static str, Option<usize>)>);

impl Keys {
    pub(super) fn of(definition: &Definition) -> Self {
        let place = |key| definition.attributes.iter().position(|attribute| *attribute == key);
        Self(definition.sorted_keys().into_iter().map(|key| (key, place(key))).collect())
    }

    /// Returns key and value of each attribute of a series, sorted by key.
    pub(super) fn pairs<'a>(
        &'a self,
        site: Option<&'a Arc<str>>,
        point: &'a Point,
    ) -> impl Iterator<Item = (&'static str, &'a Arc<str>)> {
        self.0.iter().filter_map(move |(key, place)| {
            let value = match place {
                Some(i) => point.attributes.get(*i)?,
                None => site?,
            };
            Some((*key, value))
        })
    }
}
