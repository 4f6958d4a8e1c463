//! `inspect`. In: files. Out: what the program sees in them, one JSON object a line on standard
//! output (shapes: `logs::inspect`, `logs::inspect_session`, `scan::inspect`), and the account of
//! each file on standard error.

use std::io::{self, BufWriter, Read, Stdout, Write};
use std::path::Path;

use crate::error::Result;
use crate::logs::inspect::flow_line;
use crate::logs::inspect_session::session_line;
use crate::logs::read::{LogInput, ReadOptions, Selection, Sink, read_logs};
use crate::logs::source::{STDIN, expand, open_text};
use crate::model::flow::FlowEvent;
use crate::model::input::{Devices, InputKind};
use crate::model::policy::Policy;
use crate::model::session::SessionView;
use crate::model::time::Timestamp;
use crate::pipeline;
use crate::scan::inspect::finding_lines;
use crate::scan::is_export;
use crate::scan::read::{ScanOptions, read_scan};
use crate::writers::escape;

use super::args::InspectArguments;
use super::inputs::{parse_time, policy_with_flags};
use super::{account, terminal};

/// Exit code where an input could not be read or recognised.
const INCOMPLETE: u8 = 3;

/// Bytes that tell a Nessus export from a log.
const HEAD: u64 = 8192;

/// Prints findings, flows and sessions; exit code 3 where a file could not be read or recognised.
pub(super) fn inspect(arguments: &InspectArguments) -> Result<u8> {
    let policy = policy_with_flags(arguments.policy.as_deref(), &arguments.inputs)?;
    let now = parse_time("--now", arguments.inputs.now.as_deref())?;
    let pool = pipeline::workers(arguments.threads)?;
    let found = expand(&arguments.files);
    for error in &found.refused {
        terminal::say(&error.to_string());
    }
    let mut code = if found.refused.is_empty() { 0 } else { INCOMPLETE };
    let mut printer = Printer::new();
    for path in found.files {
        match pool.install(|| inspect_one(&path, &policy, now, &mut printer)) {
            Ok(true) => {}
            Ok(false) => code = INCOMPLETE,
            Err(error) => {
                terminal::say(&error.to_string());
                code = INCOMPLETE;
            }
        }
    }
    Ok(terminal::written(printer.finish())?.max(code))
}

/// Prints one file; whether it was read and recognised as a whole.
fn inspect_one(
    path: &Path,
    policy: &Policy,
    now: Option<Timestamp>,
    printer: &mut Printer,
) -> Result<bool> {
    if path != Path::new(STDIN) && looks_like_scan(path)? {
        inspect_scan(path, policy, printer)?;
        return Ok(true);
    }
    let input = LogInput {
        path: path.to_path_buf(),
        kind: InputKind::Log,
        number: 0,
        settings: policy.input_settings(path),
    };
    let options = ReadOptions { now, ..ReadOptions::new(Selection::Everything, &policy.verdicts) };
    let reports = read_logs(vec![input], &options, &mut Devices::default(), printer, &|_| ());
    let mut whole = true;
    for report in &reports {
        terminal::tell(&account::of_input(report));
        if let Some(fault) = account::fault(report) {
            terminal::say(&fault);
            whole = false;
        }
    }
    Ok(whole)
}

/// Whether the file's first bytes are a Nessus export's, or its name says that it should be one.
fn looks_like_scan(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|extension| extension == "nessus") {
        return Ok(true);
    }
    let mut head = Vec::new();
    // What cannot be read is told when the file is read as a log.
    let _ = open_text(path)?.take(HEAD).read_to_end(&mut head);
    Ok(is_export(&head))
}

fn inspect_scan(path: &Path, policy: &Policy, printer: &mut Printer) -> Result<()> {
    let options = ScanOptions { zone: policy.input_settings(path).zone, ..ScanOptions::default() };
    let scan = read_scan(&mut open_text(path)?, path, 0, &options)?;
    for finding in finding_lines(&scan) {
        printer.print(serde_json::to_string(&finding));
    }
    let tally = &scan.tally;
    terminal::tell(&format!(
        "{}: Nessus export, {} hosts, {} items: {} findings, {} set aside, {} rejected\n",
        escape::terminal(&path.to_string_lossy()),
        scan.hosts.len(),
        tally.items,
        tally.findings,
        tally.set_aside,
        tally.rejected
    ));
    Ok(())
}

/// Prints events as they come; after the first error it only keeps that.
struct Printer {
    out: BufWriter<Stdout>,
    result: io::Result<()>,
}

impl Printer {
    fn new() -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout()), result: Ok(()) }
    }

    fn print(&mut self, line: serde_json::Result<String>) {
        if self.result.is_ok() {
            self.result =
                line.map_err(io::Error::other).and_then(|line| writeln!(self.out, "{line}"));
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.result.and_then(|()| self.out.flush())
    }
}

impl Sink for Printer {
    fn flow(&mut self, event: FlowEvent, devices: &Devices) {
        self.print(flow_line(&event, devices));
    }

    fn session(&mut self, session: &SessionView<'_>, format: &'static str) {
        self.print(session_line(session, format));
    }

    fn wants_more(&self) -> bool {
        self.result.is_ok()
    }
}
