//! `sharding`: the part of the sites that this agent polls.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::kinds::{Number, kinds, plain};
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::Key;
use crate::config::yaml::values::Parsed;
use crate::net::host_name;
use crate::sharding::{Config, ordinal};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Sharding {
    /// The shard of this agent, 0 to `shards` - 1. `auto` takes the number at the end of the pod's name, such as that of
    /// a StatefulSet: `POD_NAME`, or else the name of the host.
    #[schemars(extend("x-default" = "auto", "examples" = [0], "x-change" = "sites start and end"))]
    shard: Key<Shard>,
    /// Agents that share the sites, 1 to 1000; all of them with the same list of sites. Each polls those that belong
    /// to it by their names. A change of the number moves only the sites that have to move.
    #[schemars(extend("x-default" = "none: this agent polls all sites"))]
    #[schemars(extend("examples" = [3], "x-change" = "sites start and end"))]
    shards: Key<Number<1, 1000>>,
}

kinds! {
    /// A number, or none: that of the pod.
    Shard: Option<u32>, shard, |shard: &Option<u32>| {
        shard.map_or_else(|| plain("auto"), |shard| plain(&shard.to_string()))
    }, json!({ "type": ["integer", "string", "null"], "pattern": "^(auto|[0-9]+|.*\\$.*)?$", "minimum": 0, "maximum": 999 });
}

fn shard(text: &str) -> Parsed<Option<u32>> {
    match text.trim() {
        "auto" => Ok(None),
        text => match text.parse() {
            Ok(shard) if shard < 1000 => Ok(Some(shard)),
            _ => Err("expected auto, or a number from 0 to shards - 1".into()),
        },
    }
}

/// Variable with the name of the pod.
const POD_NAME: &str = "POD_NAME";

/// Returns the part of the sites, if they are shared out.
pub(super) fn read(context: &Context<'_>, section: &Sharding) -> Option<Config> {
    let (shard, shards) = (section.shard.get(context), section.shards.get(context));
    if shards.is_absent() {
        if shard.is_set() {
            shards.section_error("missing: shard needs the number of shards");
        }
        context.show_empty("sharding");
        return None;
    }
    let shards = u32::try_from(shards.option()?).ok()?;
    let Some(number) = shard.or(None) else {
        let name = context.variable(POD_NAME).unwrap_or_else(host_name);
        let Some(number) = ordinal(&name) else {
            shard.section_error(&format!(
                "auto, but the name {name:?} does not end in a number as agent-0 does: give the number, or set {POD_NAME}"
            ));
            return None;
        };
        if number >= shards {
            // Kubernetes changes the pods and the configuration one after the other.
            shard.warn(&format!(
                "{number} by the name {name:?}, and there are {shards} shards, from 0: this agent polls nothing"
            ));
        }
        return Some(Config { shard: number, shards });
    };
    if number >= shards {
        shard.error(&format!("expected a number below shards, which is {shards}"));
        return None;
    }
    Some(Config { shard: number, shards })
}
