//! The files that citations name, each name made fit for its outputs once: a run cites millions of
//! lines of a few files. In: the inputs that citations may name. Out: text to put before a line's
//! number.

use crate::model::citation::Citation;
use crate::model::input::{InputReport, Status};
use crate::tickets::file_name;
use crate::writers::escape::{CsvCells, FileCell};

/// The files, in the order of `Citation::input`.
#[derive(Debug, Default)]
pub struct CitedFiles(Vec<CitedFile>);

/// A file.
#[derive(Debug)]
pub(super) struct CitedFile {
    /// What JSON has of it in front of a line's number.
    pub(super) json: String,
    /// Its name as CSV cells have it.
    pub(super) csv: FileCell,
    /// Whether it is no input any more; its last path may be another file's by now.
    pub(super) is_gone: bool,
}

impl CitedFiles {
    /// The files of these inputs.
    pub fn new(inputs: &[InputReport], csv: &CsvCells) -> Self {
        let file = |input: &InputReport| {
            let name = file_name(input);
            CitedFile {
                json: format!(",\"file\":{},\"line\":", serde_json::Value::from(&*name)),
                csv: csv.file(&name),
                is_gone: input.status == Status::Gone,
            }
        };
        Self(inputs.iter().map(file).collect())
    }

    /// The file of a cited line; none if it is not among the inputs.
    pub(super) fn of(&self, at: Citation) -> Option<&CitedFile> {
        self.0.get(at.input as usize)
    }
}
