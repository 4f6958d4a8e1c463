//! Runs the built program as a user does and reads back what it wrote. In: arguments, a folder.
//! Out: exit code, standard error, the rows of tickets.csv.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// A row of tickets.csv by column.
pub(crate) type Ticket = BTreeMap<String, String>;

/// Runs `helotriage` with these arguments in a folder.
pub(crate) fn helotriage(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_helotriage"))
        .args(arguments)
        .current_dir(folder)
        .env("TZ", "Asia/Tokyo")
        .output()
        .unwrap()
}

/// What the program told the operator.
pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The rows of a tickets.csv by ticket id.
pub(crate) fn read_tickets(path: &Path) -> BTreeMap<String, Ticket> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let columns = reader.headers().unwrap().clone();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let ticket: Ticket =
            columns.iter().zip(&row).map(|(c, v)| (c.to_owned(), v.to_owned())).collect();
        (ticket["ticket_id"].clone(), ticket)
    });
    rows.collect()
}
