//! Tables for importers. In: rows of cells that are already harmless. Out: CSV files of a profile,
//! a new one begun where the importer takes no more rows or bytes at a time.
//!
//! RFC 4180, UTF-8 without a byte-order mark, LF; every cell but whole numbers stands in quotes.
//! A file is begun with its first row: no rows, no file.

use crate::error::Result;
use crate::model::judged::JudgedTarget;
use crate::tickets::Ticket;
use crate::writers::profiles::{Export, Files, numbered};
use crate::writers::publish::Draft;

/// What an importer takes in one file, the header not counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Rows.
    pub(super) rows: u64,
    /// Bytes, with the header.
    pub(super) bytes: u64,
}

impl Limits {
    /// Any number of rows.
    pub(super) const NONE: Self = Self { rows: u64::MAX, bytes: u64::MAX };
}

/// Makes the cells of a ticket's row.
pub(super) type Cells<'r> = Box<dyn Fn(&Ticket) -> Vec<String> + 'r>;

/// One table with a row for every ticket, for systems that update by a key.
pub(super) struct EveryTicket<'r> {
    /// The table.
    pub(super) sheet: Sheet,
    /// The rows.
    pub(super) cells: Cells<'r>,
}

impl Export for EveryTicket<'_> {
    fn take(&mut self, ticket: &Ticket, _target: &JudgedTarget, files: &mut Files) -> Result<()> {
        self.sheet.write(&(self.cells)(ticket), files)
    }

    fn finish(self: Box<Self>, files: &mut Files) -> Result<Vec<String>> {
        self.sheet.finish(files)?;
        Ok(Vec::new())
    }
}

/// The files of one table.
#[derive(Debug)]
pub(super) struct Sheet {
    pattern: &'static str,
    header: Vec<u8>,
    limits: Limits,
    open: Option<Open>,
    /// Files begun.
    number: u64,
}

/// The file that rows go to.
#[derive(Debug)]
struct Open {
    draft: Draft,
    rows: u64,
    bytes: u64,
}

impl Sheet {
    /// A table whose files have the names of `pattern` (`Profile::files`) and these columns, which
    /// may repeat.
    pub(super) fn new(pattern: &'static str, columns: &[&str], limits: Limits) -> Self {
        let header = (columns.join(",") + "\n").into_bytes();
        Self { pattern, header, limits, open: None, number: 0 }
    }

    /// Appends a row; `cells` are as many as the columns.
    pub(super) fn write(&mut self, cells: &[String], files: &mut Files) -> Result<()> {
        let row = encoded(cells);
        let length = row.len() as u64;
        let full = |open: &mut Open| {
            open.rows >= self.limits.rows || open.bytes.saturating_add(length) > self.limits.bytes
        };
        if let Some(open) = self.open.take_if(full) {
            files.keep(open.draft)?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                self.open.insert(Self::begin(self.pattern, &self.header, &mut self.number, files)?)
            }
        };
        open.draft.append(&row)?;
        open.rows = open.rows.saturating_add(1);
        open.bytes = open.bytes.saturating_add(length);
        Ok(())
    }

    fn begin(pattern: &str, header: &[u8], number: &mut u64, files: &mut Files) -> Result<Open> {
        *number = number.saturating_add(1);
        let mut draft = files.begin(numbered(pattern, *number))?;
        draft.append(header)?;
        Ok(Open { draft, rows: 0, bytes: header.len() as u64 })
    }

    /// Ends the last file.
    pub(super) fn finish(self, files: &mut Files) -> Result<()> {
        self.open.map_or(Ok(()), |open| files.keep(open.draft))
    }
}

/// One row with its line end.
pub(super) fn encoded(cells: &[String]) -> Vec<u8> {
    let mut row = String::with_capacity(cells.iter().map(|cell| cell.len() + 4).sum());
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            row.push(',');
        }
        if cell.bytes().all(|b| b.is_ascii_digit()) {
            row.push_str(cell);
        } else {
            row.push('"');
            row.push_str(&cell.replace('"', "\"\""));
            row.push('"');
        }
    }
    row.push('\n');
    row.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_numbers_is_quoted() {
        let cells = ["25", "", "a,b", "say \"x\"\nand"].map(str::to_owned);
        assert_eq!(encoded(&cells), b"25,,\"a,b\",\"say \"\"x\"\"\nand\"\n");
    }
}
