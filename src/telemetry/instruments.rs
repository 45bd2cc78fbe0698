//! Observable instruments over a part: one provider for one reader, for one collection.
//!
//! The SDK keeps what was observed until it is observed no more, allocates in advance for its own
//! cardinality limit, and drops silently above it. A provider that lives for one collection of one
//! part keeps nothing, and its limit is what the part holds (docs/adr/0002).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{Key, KeyValue, Value as OtelValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};

use super::view::PartView;
use crate::metric::{Definition, Kind, Point, Value};

/// Makes a provider whose instruments observe this part. It must live while `reader` collects.
pub(super) fn provide(part: &PartView, reader: impl MetricReader) -> SdkMeterProvider {
    let limits: HashMap<&'static str, usize> = part
        .content()
        // One more than there are, since the SDK counts its overflow series in.
        .map(|(definition, points)| (definition.name, points.len() + 2))
        .collect();
    let view = move |instrument: &Instrument| {
        let limit = limits.get(instrument.name())?;
        Stream::builder().with_cardinality_limit(*limit).build().ok()
    };
    let provider = SdkMeterProvider::builder()
        // The resource goes out with the OTLP requests; detecting it here would read the environment.
        .with_resource(Resource::builder_empty().build())
        .with_reader(reader)
        .with_view(view)
        .build();
    let meter = provider.meter("nbu-otel-agent");
    for (family, (definition, points)) in part.content().enumerate() {
        if !points.is_empty() {
            register(&meter, definition, family, part);
        }
    }
    provider
}

/// Registers the instrument of one family. Histograms have none: the SDK knows no observable
/// histogram, so the exposition and the OTLP source read them from the part directly.
fn register(meter: &Meter, definition: &'static Definition, family: usize, part: &PartView) {
    let keys = Keys::of(definition);
    let (site, families, take) =
        (part.site.clone(), Arc::clone(&part.families), part.series_limits[family]);
    let callback = move |observer: &dyn AsyncInstrument<f64>| {
        // A panic here would end the reader for good.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let mut attributes = Vec::with_capacity(keys.0.len());
            for point in &families[family].points[..take] {
                if let Value::Number(value) = point.value {
                    attributes.clear();
                    attributes.extend(keys.pairs(site.as_ref(), point).map(|(key, value)| {
                        let value = OtelValue::String(Arc::clone(value).into());
                        KeyValue::new(Key::from_static_str(key), value)
                    }));
                    observer.observe(value, &attributes);
                }
            }
        }));
    };
    let (name, unit, help) = (definition.name, definition.unit, definition.help);
    match definition.kind {
        Kind::Gauge => {
            let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(help);
            gauge.with_callback(callback).build();
        }
        Kind::Counter => {
            let counter = meter.f64_observable_counter(name).with_unit(unit).with_description(help);
            counter.with_callback(callback).build();
        }
        Kind::Histogram(_) => {}
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
