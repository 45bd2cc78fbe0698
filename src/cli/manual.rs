//! The man page and the completions of shells, from the declarations that the help has, too.

use std::fmt::Write as _;
use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

const NAME: &str = env!("CARGO_PKG_NAME");

const FILES: &str = "\
.SH FILES
.TP
/etc/nbu\\-otel\\-agent/config.yaml
Configuration, where a package has installed the agent.
.TP
/etc/nbu\\-otel\\-agent/environment
Variables for the configuration, one NAME=value a line; the systemd unit reads them at the start.
.TP
/var/lib/nbu\\-otel\\-agent
State: what survives a restart.
";

/// Returns the man page: the options and commands of the agent, then a section for each command.
pub(super) fn man_page(agent: Command) -> String {
    let mut agent = agent.disable_help_subcommand(true);
    agent.build();
    let man = Man::new(agent.clone()).source(concat!("nbu-otel-agent ", env!("CARGO_PKG_VERSION")));
    let mut page = rendered(|to| man.render_title(to));
    for text in [
        rendered(|to| man.render_name_section(to)),
        body(&agent),
        of_commands(&agent),
        FILES.to_owned(),
    ] {
        page.push_str(text.trim_start_matches(PREAMBLE));
    }
    page
}

/// Returns the completions for a shell.
pub(super) fn completions(mut agent: Command, shell: Shell) -> String {
    let text = rendered(|to| {
        clap_complete::generate(shell, &mut agent, NAME, to);
        Ok(())
    });
    // clap_complete 4.6.12 gives a program with hyphens two names in bash, and completes nothing of its commands.
    text.replace("nbu__subcmd__otel__subcmd__agent", "nbu__otel__agent")
}

/// The definition of the apostrophe, before everything that is rendered; a page needs it once.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Returns a section for each command, and for each command of these.
fn of_commands(parent: &Command) -> String {
    let mut text = String::new();
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let body = body(command).replace(".SH ", ".SS ");
        // Writing to a String cannot fail.
        let _ = write!(text, ".SH \"{}\"\n{body}", name.replace('-', "\\-"));
        text.push_str(&of_commands(command));
    }
    text
}

/// Returns synopsis, description, options and the notes after them, whose lines stay as they are.
fn body(command: &Command) -> String {
    let man = Man::new(command.clone());
    let mut text = String::new();
    for section in [
        rendered(|to| man.render_synopsis_section(to)),
        rendered(|to| man.render_description_section(to)),
        rendered(|to| man.render_options_section(to)),
    ] {
        text.push_str(section.trim_start_matches(PREAMBLE));
    }
    if command.get_after_help().is_some() {
        let notes = rendered(|to| man.render_extra_section(to));
        text.push_str(&notes.replace(PREAMBLE, "").replace(".SH EXTRA\n", ".SH NOTES\n.nf\n"));
        text.push_str(".fi\n");
    }
    text
}

/// Returns what a function writes into memory, which cannot fail.
fn rendered(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    let _ = write(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
