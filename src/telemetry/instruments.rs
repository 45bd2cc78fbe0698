//! Observable instruments over a frame: one provider for one reader.
//!
//! The SDK pre-allocates for its own cardinality limit and drops silently above it, so the limit
//! follows what the frame holds, and the provider is built anew when a frame needs more.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arc_swap::ArcSwap;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{Key, KeyValue, Value as OtelValue};
use opentelemetry_sdk::metrics::{Instrument, MeterProviderBuilder, SdkMeterProvider, Stream};

use super::frame::{Catalog, Frame, Series};
use crate::metric::{Definition, Kind, Scope, Value};

/// The name of the instrumentation scope of every metric.
pub(super) const SCOPE: &str = "nbu-otel-agent";

/// The least limit an instrument gets; it costs some tens of KiB an instrument and reader.
const LEAST_LIMIT: usize = 256;

/// A frame that instruments read, swapped before each collection.
pub(super) type Cell = Arc<ArcSwap<Frame>>;

/// The instruments of the metrics of some scopes, and the limits that they were made with.
pub(super) struct Instruments {
    catalog: Arc<Catalog>,
    scopes: &'static [Scope],
    pub(super) cell: Cell,
    provider: Option<SdkMeterProvider>,
    limits: Vec<usize>,
    /// Series of the last frame: the SDK evicts them only after the next collection.
    last: Vec<usize>,
}

impl Instruments {
    /// No provider yet: the first frame makes it.
    pub(super) fn new(catalog: Arc<Catalog>, scopes: &'static [Scope]) -> Self {
        let metrics = catalog.definitions().len();
        Self {
            catalog,
            scopes,
            cell: Cell::default(),
            provider: None,
            limits: vec![0; metrics],
            last: vec![0; metrics],
        }
    }

    /// Makes `frame` what the next collection reads. `with_reader` gives a provider its reader, and
    /// is called only when the present provider is too small for the frame.
    pub(super) fn show(
        &mut self,
        frame: Arc<Frame>,
        with_reader: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) {
        let need: Vec<usize> = (0..self.limits.len()).map(|m| frame.len(m)).collect();
        let fits = self
            .limits
            .iter()
            .zip(need.iter().zip(&self.last))
            .all(|(limit, (new, old))| new + old < *limit);
        self.cell.store(frame);
        if self.provider.is_none() || !fits {
            self.limits =
                need.iter().map(|n| (3 * n).next_power_of_two().max(LEAST_LIMIT)).collect();
            self.provider = Some(self.build(with_reader));
        }
        self.last = need;
    }

    fn build(
        &self,
        with_reader: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) -> SdkMeterProvider {
        let limits: HashMap<&'static str, usize> = self
            .catalog
            .definitions()
            .iter()
            .zip(&self.limits)
            .map(|(definition, limit)| (definition.name, *limit))
            .collect();
        let view = move |instrument: &Instrument| {
            let limit = limits.get(instrument.name())?;
            Stream::builder().with_cardinality_limit(*limit).build().ok()
        };
        let provider = with_reader(SdkMeterProvider::builder().with_view(view)).build();
        let meter = provider.meter(SCOPE);
        for (position, definition) in self.catalog.definitions().iter().enumerate() {
            if self.scopes.contains(&definition.scope) {
                register(&meter, definition, position, &self.cell);
            }
        }
        provider
    }
}

/// Registers the instrument of one metric. Histograms have none: the SDK knows no observable
/// histogram, so the Prometheus registry and the OTLP source read them from the frame directly.
fn register(meter: &Meter, definition: &'static Definition, position: usize, cell: &Cell) {
    let cell = Arc::clone(cell);
    let keys = Keys::of(definition);
    let callback = move |observer: &dyn AsyncInstrument<f64>| {
        // A panic here would end the reader for good.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let frame = cell.load();
            let mut attributes = Vec::with_capacity(keys.len());
            for series in frame.series(position) {
                if let Value::Number(value) = series.point.value {
                    keys.fill(&series, &mut attributes);
                    observer.observe(value, &attributes);
                }
            }
        }));
    };
    match definition.kind {
        Kind::Gauge => {
            meter
                .f64_observable_gauge(definition.name)
                .with_unit(definition.unit)
                .with_description(definition.help)
                .with_callback(callback)
                .build();
        }
        Kind::Counter => {
            meter
                .f64_observable_counter(definition.name)
                .with_unit(definition.unit)
                .with_description(definition.help)
                .with_callback(callback)
                .build();
        }
        Kind::Histogram(_) => {}
    }
}

/// The attribute keys of a metric in sorted order (the SDK stores unsorted sets twice), and where
/// the value of each is found.
pub(super) struct Keys(Vec<(&'static str, Option<usize>)>);

impl Keys {
    pub(super) fn of(definition: &Definition) -> Self {
        let mut keys: Vec<_> =
            definition.attributes.iter().enumerate().map(|(i, key)| (*key, Some(i))).collect();
        if definition.scope == Scope::Site {
            keys.push(("site", None));
        }
        keys.sort_unstable();
        Self(keys)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Key and value of each attribute of a series, sorted by key.
    pub(super) fn pairs<'a>(
        &'a self,
        series: &'a Series<'a>,
    ) -> impl Iterator<Item = (&'static str, Arc<str>)> + 'a {
        self.0.iter().filter_map(|(key, place)| {
            let value = match place {
                Some(i) => series.point.attributes.get(*i)?,
                None => series.site?,
            };
            Some((*key, Arc::clone(value)))
        })
    }

    fn fill(&self, series: &Series<'_>, attributes: &mut Vec<KeyValue>) {
        attributes.clear();
        attributes.extend(self.pairs(series).map(|(key, value)| {
            KeyValue::new(Key::from_static_str(key), OtelValue::String(value.into()))
        }));
    }
}
