//! The JSON Schema of a struct of the schema.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value as Json, json};

/// Returns the JSON Schema of a file that is a `T`.
pub(super) fn schema_of<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.with_transform(Shape).into_generator().into_root_schema_for::<T>().to_value()
}

/// Adjusts schemas of structs: all keys are optional, none is unknown, and null is as good as absent.
#[derive(Clone)]
struct Shape;

impl Transform for Shape {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        schema.remove("required");
        let kind = schema.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
        if kind == "object" {
            schema.insert("additionalProperties".to_owned(), json!(false));
        }
        if kind == "object" || kind == "array" {
            schema.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(text) = schema.get("description").and_then(Json::as_str) {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            schema.insert("description".to_owned(), line.into());
        }
    }
}
