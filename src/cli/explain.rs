//! `explain`. In: a ticket's id and the output folder. Out: the score term by term and the cited
//! log lines, credentials redacted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};
use std::path::Path;

use crate::error::{Error, Result};
use crate::logs::cite::read_lines;
use crate::tickets::Place;
use crate::writers::explain::{Entry, Fetched, read_entry, write_explanation};

use super::args::ExplainArguments;
use super::terminal;

/// Prints the explanation; exit code 2 where there is no such ticket.
pub(super) fn explain(arguments: &ExplainArguments) -> Result<u8> {
    let path = arguments.out.join("tickets.jsonl");
    let unusable = |what: String| Error::usage(format!("{}: {what}", path.display()));
    let file = File::open(&path)
        .map_err(|error| unusable(format!("{error}; expected the --out folder of a run")))?;
    let entry = read_entry(BufReader::new(file), &arguments.ticket_id)
        .map_err(|error| unusable(error.to_string()))?
        .ok_or_else(|| {
            unusable(format!("no ticket {:?}; tickets.csv lists them", arguments.ticket_id))
        })?;
    let lines = fetch_all(&entry);
    let fetch = |place: &Place| -> Fetched {
        let file = lines.get(place.file.as_str()).ok_or("not looked up")?;
        let line = file.as_ref().map_err(ToString::to_string)?.get(&place.line);
        line.cloned().ok_or_else(|| "the file has no such line any more".to_owned())
    };
    let mut out = BufWriter::new(stdout().lock());
    terminal::written(write_explanation(&entry, &fetch, &mut out).and_then(|()| out.flush()))
}

/// The cited lines of each file, or why it cannot be read.
type Lines<'e> = BTreeMap<&'e str, Result<BTreeMap<u64, Vec<u8>>>>;

fn fetch_all(entry: &Entry) -> Lines<'_> {
    let cited = entry.cited();
    cited.into_iter().map(|(file, wanted)| (file, read_lines(Path::new(file), &wanted))).collect()
}
