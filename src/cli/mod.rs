//! The command line. In: arguments. Out: exit codes, JSON lines on standard output, the account on
//! standard error. The only module that knows the clock, the terminal and signals.

mod account;
mod args;
mod explain;
mod inputs;
mod inspect;
mod policy;
mod progress;
mod reading;
mod run;
mod signals;
mod state;
mod suggest;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::error::{Error, Result};
use crate::logs::firewall::{self, Shows};
use crate::logs::mail::{self, ShowsHelo};

use args::{Arguments, Command};

/// Parses the process's arguments, does what they say and gives the exit code (design, section 4).
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match dispatch(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::say(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Help and version are no errors; everything else is exit code 2.
fn usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() { 2 } else { 0 };
    // Nothing is left to be done where even the message cannot be written.
    let _ = error.print();
    ExitCode::from(code)
}

fn dispatch(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Formats => terminal::print(formats().as_bytes()),
        Command::Policy(command) => policy::policy(&command),
        Command::State(command) => state::state(&command),
        Command::Completions { shell } => terminal::print(&completions(shell)),
        Command::Man => terminal::print(&manual()?),
    }
}

/// The names that `--format` and the policy take.
fn format_names() -> Vec<&'static str> {
    let firewalls = firewall::FORMATS.iter().map(|format| format.name());
    firewalls.chain(mail::FORMATS.iter().map(|format| format.name())).collect()
}

/// One format a line: kind, name, product, what its records can show.
fn formats() -> String {
    let mut table = String::new();
    for format in firewall::FORMATS {
        let shows: Vec<_> = format.shows().iter().copied().map(Shows::word).collect();
        table.push_str(&row("firewall", format.name(), format.product(), &shows.join(" ")));
    }
    for format in mail::FORMATS {
        table.push_str(&row("mail", format.name(), format.product(), helo(format.shows_helo())));
    }
    table
}

/// Whether a mail log can show an accepted HELO of a session that did nothing else.
fn helo(shows: ShowsHelo) -> &'static str {
    match shows {
        ShowsHelo::Default(_) => "HELO",
        ShowsHelo::WithSetting(_) => "HELO with a setting",
        ShowsHelo::Never(_) => "no HELO alone",
    }
}

fn row(kind: &str, name: &str, product: &str, shows: &str) -> String {
    format!("{kind:8}  {name:14}  {product}  [{shows}]\n")
}

fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "helotriage", &mut script);
    script
}

fn manual() -> Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command())
        .render(&mut page)
        .map_err(|error| Error::usage(format!("the manual page cannot be made: {error}")))?;
    Ok(page)
}
