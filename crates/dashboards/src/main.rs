//! Writes the dashboards and rules into the repository, or says what is wrong with them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let named = std::env::args_os().nth(1).map(PathBuf::from);
    let root = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let files = match dashboards::files() {
        Ok(files) => files,
        Err(problems) => return fail(&problems),
    };
    for file in &files {
        let path = root.join(&file.path);
        let folder = path.parent().unwrap_or(&root);
        let written =
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &file.text));
        if let Err(error) = written {
            return fail(&[format!("{}: {error}", path.display())]);
        }
    }
    // Nobody may listen.
    let _ = writeln!(std::io::stdout(), "{} files written", files.len());
    ExitCode::SUCCESS
}

fn fail(problems: &[String]) -> ExitCode {
    for problem in problems {
        let _ = writeln!(std::io::stderr(), "{problem}");
    }
    ExitCode::FAILURE
}
