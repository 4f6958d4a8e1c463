//! rejects.jsonl: one JSON object for each rejected line that was kept: where it stands, which
//! format could not read it, what it expected, and the line itself. Written only if there are any;
//! lines beyond the cap are in the tallies of run.json alone. Credentials in the line are redacted.

use std::io::{self, Write};

use serde::Serialize;

use crate::logs::redact::redact;
use crate::model::text::lossy;
use crate::writers::{Output, Run};

/// The output.
pub struct RejectsJsonl;

impl Output for RejectsJsonl {
    fn name(&self) -> &'static str {
        "rejects.jsonl"
    }

    fn is_wanted(&self, run: &Run<'_>) -> bool {
        run.inputs.iter().any(|input| !input.rejects.is_empty())
    }

    fn write_head(&self, run: &Run<'_>, to: &mut dyn Write) -> io::Result<()> {
        for input in run.inputs {
            let file = lossy(input.path.as_os_str().as_encoded_bytes());
            for reject in &input.rejects {
                let raw = redact(&reject.raw);
                let shape = RejectShape {
                    file: &file,
                    line: reject.line,
                    offset: reject.offset,
                    length: reject.length,
                    format: reject.format,
                    field: reject.field,
                    expected: reject.expected,
                    raw: &lossy(&raw),
                };
                serde_json::to_writer(&mut *to, &shape)?;
                to.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

/// A rejected line's keys in their order.
#[derive(Serialize)]
struct RejectShape<'a> {
    file: &'a str,
    line: u64,
    offset: u64,
    length: u64,
    format: &'static str,
    field: &'static str,
    expected: &'static str,
    raw: &'a str,
}
