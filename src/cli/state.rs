//! `state show`, `state export` and `state forget`. In: the state file. Out: what it holds, on
//! standard output; or the file without what is to be forgotten.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::model::judged::Priority;
use crate::model::time::Timestamp;
use crate::policy::{Known, read_policy};
use crate::state::{Event, Extent, State, TicketRow, View};
use crate::tickets::Status;
use crate::writers::{escape, profiles};

use super::args::{StateCommand, StateFile};
use super::progress::size;
use super::{format_names, terminal};

/// Does what the command says; exit code 0.
pub(super) fn state(command: &StateCommand) -> Result<u8> {
    match command {
        StateCommand::Show { file, ticket: None } => show(&View::open(&path(file)?)?),
        StateCommand::Show { file, ticket: Some(id) } => show_one(&View::open(&path(file)?)?, id),
        StateCommand::Export { file } => export(&View::open(&path(file)?)?),
        StateCommand::Forget { file, what } => forget(&path(file)?, what),
    }
}

/// The state that is meant: the flag's, else the policy's.
fn path(file: &StateFile) -> Result<PathBuf> {
    if let Some(path) = &file.state {
        return Ok(path.clone());
    }
    let none = || Error::usage("no state given; expected --state FILE, or --config FILE with one");
    let config = file.config.as_deref().ok_or_else(none)?;
    let known = Known { formats: &format_names(), profiles: &profiles::names() };
    read_policy(config, known)?.inputs.state.ok_or_else(none)
}

fn show(view: &View) -> Result<u8> {
    let (extent, tickets) = (view.extent()?, view.tickets()?);
    let mut text = extent_text(&extent);
    let mut by_status: BTreeMap<Status, Vec<&TicketRow>> = BTreeMap::new();
    for ticket in &tickets {
        by_status.entry(ticket.status).or_default().push(ticket);
    }
    for (status, tickets) in by_status {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {}", status.word(), tickets.len());
        for ticket in tickets {
            text.push_str(&ticket_line(ticket));
        }
    }
    terminal::print(text.as_bytes())
}

/// One ticket: what became of it, run by run.
fn show_one(view: &View, id: &str) -> Result<u8> {
    let mut text = String::new();
    for Event { at, old, new } in view.history(id)? {
        let words = |(status, priority): (Status, Priority)| {
            format!("{} {}", priority.word(), status.word())
        };
        let before = old.map(|old| format!(" (before: {})", words(old))).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{at} {}{before}", words(new));
    }
    if text.is_empty() {
        return Err(Error::usage(format!(
            "{id:?} is no ticket of this state; expected an id as state show prints it"
        )));
    }
    terminal::print(text.as_bytes())
}

fn extent_text(extent: &Extent) -> String {
    let runs = match extent.between {
        Some((first, last)) => format!("{} runs from {first} to {last}", extent.runs),
        None => "no run".to_owned(),
    };
    let waiting = match extent.undelivered {
        0 => String::new(),
        n => format!(", {n} with outputs that are not in place"),
    };
    let rows: Vec<String> = extent
        .rows
        .iter()
        .filter(|(table, count)| **count > 0 && *table != "run")
        .map(|(table, count)| format!("{table} {count}"))
        .collect();
    let rows = if rows.is_empty() { String::new() } else { format!("rows: {}\n", rows.join(", ")) };
    format!("version {}, {}, {runs}{waiting}\n{rows}", extent.version, size(extent.bytes))
}

fn ticket_line(ticket: &TicketRow) -> String {
    let shown = |time: Option<Timestamp>| time.map_or("never".to_owned(), |time| time.to_string());
    let due = ticket.due.map_or("none".to_owned(), |time| time.to_string());
    format!(
        "  {} {}: {}, first seen {}, last seen {}, due {due}\n",
        ticket.priority.word(),
        escape::terminal(&ticket.id),
        ticket.verdict.word(),
        shown(ticket.first_seen),
        shown(ticket.last_seen),
    )
}

fn export(view: &View) -> Result<u8> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = view.export(&mut out)?;
    terminal::written(written.and_then(|()| out.flush()))
}

/// All of it or nothing: a name that nobody knows stops it.
fn forget(path: &std::path::Path, what: &[String]) -> Result<u8> {
    drop(View::open(path)?);
    let mut state = State::open(path)?;
    let changes = state.begin()?;
    let mut told = String::new();
    for name in what {
        let shown = escape::terminal(name);
        // Writing to a String cannot fail.
        let _ = match (changes.forget_ticket(name)?, changes.forget_evidence(name)?) {
            (true, _) => writeln!(told, "{shown}: the ticket is forgotten"),
            (false, 0) => {
                return Err(Error::usage(format!(
                    "{name:?} is no ticket and no logged server of this state; expected an id as \
                     state show prints it, or an address or name as state export has it. Nothing \
                     was forgotten"
                )));
            }
            (false, 1) => writeln!(told, "{shown}: the evidence of 1 logged server is forgotten"),
            (false, n) => {
                writeln!(told, "{shown}: the evidence of {n} logged servers is forgotten")
            }
        };
    }
    changes.commit()?;
    terminal::tell(&told);
    Ok(0)
}
