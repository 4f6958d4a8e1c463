//! What stops an input or the whole run. In: what went wrong, where, what was expected. Out: one
//! line for the operator and the exit code of the process.
//!
//! Rejected log lines are no errors: they are counted where they are read (`logs::read`).

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of everything that can stop an input or the run.
pub type Result<T> = std::result::Result<T, Error>;

/// Where in an input something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The input as a whole.
    Whole,
    /// Line of the decompressed text, from 1.
    Line(u64),
    /// Byte offset in the decompressed content, from 0.
    Byte(u64),
}

/// What kind of fault it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A wrong command line or policy: exit 2.
    Usage,
    /// An input that could not be read to its end: exit 3 if the rest was published.
    Input,
    /// No usable scan: exit 4.
    NoScan,
    /// The outputs could not be written: exit 5.
    Output,
    /// Another run holds the lock: exit 6.
    Locked,
}

/// One fault, told in one line: path, place, what was found, what was expected, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// The file it is about, if any.
    pub path: Option<PathBuf>,
    /// Where in the file.
    pub place: Place,
    /// What was found, what was expected, what to do: whole words, no trailing full stop.
    pub message: String,
}

impl Error {
    /// A wrong command line or policy.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, path: None, place: Place::Whole, message: message.into() }
    }

    /// An input that cannot be used, or not to its end.
    pub fn input(path: &Path, place: Place, message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, path: Some(path.into()), place, message: message.into() }
    }

    /// No scan is left to work on.
    pub fn no_scan(message: impl Into<String>) -> Self {
        Self { kind: Kind::NoScan, path: None, place: Place::Whole, message: message.into() }
    }

    /// An output that could not be written.
    pub fn output(path: &Path, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Output,
            path: Some(path.into()),
            place: Place::Whole,
            message: message.into(),
        }
    }

    /// The same fault, of another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The exit code of a run that ends with this error (design, section 4).
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Input => 3,
            Kind::NoScan => 4,
            Kind::Output => 5,
            Kind::Locked => 6,
        }
    }
}

impl fmt::Display for Error {
    /// `PATH: line N: message`; the text is not yet made safe for a terminal (the CLI does that).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        match self.place {
            Place::Whole => {}
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Byte(byte) => write!(f, "byte {byte}: ")?,
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_and_place() {
        let error = Error::input(Path::new("a.nessus"), Place::Byte(7), "found X; expected Y");
        assert_eq!(error.to_string(), "a.nessus: byte 7: found X; expected Y");
        assert_eq!(error.exit_code(), 3);
        assert_eq!(Error::usage("no input").to_string(), "no input");
    }
}
