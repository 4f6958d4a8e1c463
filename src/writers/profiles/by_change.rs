//! Files by what this run did to a ticket, for systems whose import can only create. In: tickets.
//! Out: a table of those raised, one of those changed, one of those closed; a ticket that is as the
//! run before told it is in none.
//!
//! Only the first is made for importing; the others tell a person or a script what to edit, since
//! importing them would create the same issue again.

use crate::error::Result;
use crate::model::judged::JudgedTarget;
use crate::tickets::{Change, Ticket};
use crate::writers::profiles::sheet::{Cells, Limits, Sheet};
use crate::writers::profiles::{Export, Files};

/// Three tables of the same columns.
pub(super) struct ByChange<'r> {
    cells: Cells<'r>,
    raised: Sheet,
    changed: Sheet,
    closed: Sheet,
}

impl<'r> ByChange<'r> {
    /// `files` are the names for tickets raised, changed and closed.
    pub(super) fn new(
        files: [&'static str; 3],
        columns: &[&str],
        limits: Limits,
        cells: Cells<'r>,
    ) -> Self {
        let [raised, changed, closed] = files.map(|name| Sheet::new(name, columns, limits));
        Self { cells, raised, changed, closed }
    }
}

impl Export for ByChange<'_> {
    fn take(&mut self, ticket: &Ticket, _target: &JudgedTarget, files: &mut Files) -> Result<()> {
        let sheet = match ticket.change {
            Change::Raised => &mut self.raised,
            Change::Changed => &mut self.changed,
            Change::Closed => &mut self.closed,
            Change::Same => return Ok(()),
        };
        sheet.write(&(self.cells)(ticket), files)
    }

    fn finish(self: Box<Self>, files: &mut Files) -> Result<Vec<String>> {
        for sheet in [self.raised, self.changed, self.closed] {
            sheet.finish(files)?;
        }
        Ok(Vec::new())
    }
}
