//! `state`: where what outlives the process is kept.

use std::path::PathBuf;

use super::reader::Section;
use super::values::text;
use crate::state::Config;

/// Stands in for `state.directory`, so that who installs the agent can say where state belongs.
const VARIABLE: &str = "NBU_STATE_DIRECTORY";

/// Reads `state`. Whether the directory can be had is seen when it is opened, by who runs the agent.
pub(super) fn read(root: &mut Section<'_>) -> Config {
    let setting = root.section("state").get("directory", text).or_variable(true, VARIABLE, text);
    let source = setting.source.clone();
    let directory = setting.option().map(|given| match source.variable {
        Some(_) => PathBuf::from(given),
        None => source.context.base.join(given),
    });
    Config { directory }
}
