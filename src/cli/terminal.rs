//! Standard output and standard error. In: text, foreign text in it not yet made safe. Out: what a
//! terminal may be shown. A reader of standard output that went away (`| head`) ends the command
//! without a word.

use std::io::{self, ErrorKind, Write};

use crate::error::{Error, Result};
use crate::writers::escape;

/// Longest message in characters; what is longer is cut.
const LONGEST: usize = 1000;

/// Says one line on standard error, control characters shown as `\xNN`.
pub(super) fn say(message: &str) {
    let short: String = message.chars().take(LONGEST).collect();
    // Nothing is left to be done where standard error cannot be written.
    let _ = writeln!(io::stderr(), "helotriage: {}", escape::terminal(&short));
}

/// Writes lines of our own making to standard error.
pub(super) fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints bytes on standard output; exit code 0.
pub(super) fn print(bytes: &[u8]) -> Result<u8> {
    let mut out = io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// What a failed write to standard output means: nothing where the reader went away.
pub(super) fn written(result: io::Result<()>) -> Result<u8> {
    match result {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Error::output("standard output".as_ref(), error.to_string())),
    }
}
