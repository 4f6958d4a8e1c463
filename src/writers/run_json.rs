//! run.json: what was read, how every line ended, what the logs cover, what was found, and the
//! SHA-256 of the other files of the set. It is renamed last: files whose digests it does not name
//! are not of this run.
//!
//! It holds no clock and nothing that depends on the machine: the same inputs give the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use crate::model::input::{InputKind, InputReport, Span, Status, Tally};
use crate::model::judged::{Judgement, UnmatchedServer, Verdict};
use crate::model::text::lossy;
use crate::model::time::Timestamp;
use crate::tickets::{Status as TicketStatus, ticket_id};
use crate::writers::Run;
use crate::writers::publish::Written;

/// The version of the shapes of all outputs; grows when a key or column changes its meaning.
const SCHEMA: u32 = 1;

/// Writes run.json for a set whose other files are `written` and whose profiles told `notes`.
pub fn write_manifest(
    run: &Run<'_>,
    written: &[Written],
    notes: &[String],
    to: &mut dyn Write,
) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, &manifest(run, written, notes))?;
    to.write_all(b"\n")
}

/// The keys in their order.
#[derive(Serialize)]
struct Manifest<'a> {
    program: &'static str,
    version: &'static str,
    schema: u32,
    reference_time: Option<Timestamp>,
    complete: bool,
    incomplete: &'a [String],
    arguments: &'a BTreeMap<String, Vec<String>>,
    inputs: Vec<InputShape<'a>>,
    totals: TallyShape,
    coverage: Coverage<'a>,
    targets: usize,
    tickets: usize,
    verdicts: BTreeMap<&'static str, u64>,
    priorities: BTreeMap<&'static str, u64>,
    statuses: BTreeMap<&'static str, u64>,
    quiet: Vec<QuietShape<'a>>,
    unmatched_servers: Vec<UnmatchedShape<'a>>,
    warnings: Vec<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    altered_cells: u64,
    outputs: BTreeMap<&'a str, OutputShape<'a>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn manifest<'m>(run: &'m Run<'_>, written: &'m [Written], notes: &'m [String]) -> Manifest<'m> {
    let Run { judgement, inputs, account, .. } = *run;
    let mut totals = Tally::default();
    for input in inputs {
        totals.add(&input.tally);
    }
    let mut priorities = BTreeMap::new();
    for target in run.ticket_targets() {
        *priorities.entry(target.priority.word()).or_default() += 1;
    }
    let output =
        |file: &'m Written| (&*file.name, OutputShape { sha256: &file.sha256, bytes: file.bytes });
    Manifest {
        program: "helotriage",
        version: env!("CARGO_PKG_VERSION"),
        schema: SCHEMA,
        reference_time: account.reference_time,
        complete: account.incomplete.is_empty(),
        incomplete: &account.incomplete,
        arguments: &account.arguments,
        inputs: inputs.iter().map(|input| InputShape::new(input, inputs)).collect(),
        totals: TallyShape::new(&totals),
        coverage: Coverage {
            firewall: &judgement.firewall_coverage,
            mail: &judgement.mail_coverage,
        },
        targets: judgement.targets.len(),
        tickets: run.ticket_targets().count(),
        verdicts: verdicts(judgement),
        priorities,
        statuses: statuses(run),
        quiet: quiet(judgement),
        unmatched_servers: judgement.unmatched.iter().map(UnmatchedShape::new).collect(),
        warnings: judgement
            .warnings
            .iter()
            .chain(&account.warnings)
            .chain(notes)
            .map(String::as_str)
            .collect(),
        altered_cells: run.csv.altered(),
        outputs: written.iter().map(output).collect(),
    }
}

/// How many targets each verdict has; verdicts without any are told too.
fn verdicts(judgement: &Judgement) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<_, _> =
        Verdict::ALL.iter().map(|verdict| (verdict.word(), 0)).collect();
    for target in &judgement.targets {
        *counts.entry(target.verdict.word()).or_default() += 1;
    }
    counts
}

/// How many tickets each status has; statuses without any are told too.
fn statuses(run: &Run<'_>) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<_, _> =
        TicketStatus::ALL.iter().map(|status| (status.word(), 0)).collect();
    for standing in run.ticket_targets().filter_map(|target| (run.standing)(target)) {
        *counts.entry(standing.status.word()).or_default() += 1;
    }
    counts
}

/// Targets that the logs cover and nothing unexpected reached.
fn quiet(judgement: &Judgement) -> Vec<QuietShape<'_>> {
    let quiet = judgement.targets.iter().filter(|target| target.verdict == Verdict::Quiet);
    quiet
        .map(|target| QuietShape {
            ticket_id: ticket_id(&target.asset.key, target.port),
            asset: &target.asset.key,
            ip: target.asset.ip,
            fqdn: target.asset.fqdn.as_deref(),
            port: target.port,
        })
        .collect()
}

/// One input: how it was given, what it was found to be, how its lines ended.
#[derive(Serialize)]
struct InputShape<'a> {
    path: String,
    kind: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guesses: Vec<Guess<'a>>,
    compression: Option<&'static str>,
    formats: &'a BTreeMap<&'static str, u64>,
    #[serde(flatten)]
    tally: TallyShape,
    span: Option<Span>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    servers: &'a BTreeMap<Box<str>, Span>,
    years_inferred: bool,
    zone_guessed: bool,
    unterminated_last_line: bool,
    notes: &'a [String],
}

impl<'a> InputShape<'a> {
    fn new(input: &'a InputReport, all: &'a [InputReport]) -> Self {
        let duplicate_of = match input.status {
            Status::DuplicateOf(index) => all.get(index as usize).map(path),
            _ => None,
        };
        let error = match &input.status {
            Status::Partial(error) | Status::Unreadable(error) => Some(error.to_string()),
            _ => None,
        };
        let guesses = match &input.status {
            Status::Unrecognised(guesses) => guesses.iter().map(Guess::new).collect(),
            _ => Vec::new(),
        };
        Self {
            path: path(input),
            kind: kind(input.kind),
            status: status(&input.status),
            duplicate_of,
            error,
            guesses,
            compression: input.compression,
            formats: &input.formats,
            tally: TallyShape::new(&input.tally),
            span: input.span,
            servers: &input.servers,
            years_inferred: input.years_inferred,
            zone_guessed: input.zone_guessed,
            unterminated_last_line: input.unterminated,
            notes: &input.notes,
        }
    }
}

fn path(input: &InputReport) -> String {
    lossy(input.path.as_os_str().as_encoded_bytes()).into_owned()
}

fn kind(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Scan => "scan",
        InputKind::Firewall => "firewall",
        InputKind::Mail => "mail",
        InputKind::Log => "log",
    }
}

fn status(status: &Status) -> &'static str {
    match status {
        Status::Complete => "complete",
        Status::DuplicateOf(_) => "duplicate",
        Status::Unrecognised(_) => "unrecognised",
        Status::Misnamed(..) => "misnamed",
        Status::Partial(_) => "partial",
        Status::Unreadable(_) => "unreadable",
        Status::Gone => "gone",
    }
}

/// A format that an unrecognised input nearly is.
#[derive(Serialize)]
struct Guess<'a> {
    format: &'static str,
    lacks: &'a str,
}

impl<'a> Guess<'a> {
    fn new((format, lacks): &'a (&'static str, String)) -> Self {
        Self { format, lacks }
    }
}

#[derive(Serialize)]
struct TallyShape {
    lines: u64,
    events: u64,
    ignored: u64,
    rejected: u64,
    duplicates: u64,
    bytes: u64,
}

impl TallyShape {
    fn new(tally: &Tally) -> Self {
        let Tally { lines, events, ignored, rejected, duplicates, bytes } = *tally;
        Self { lines, events, ignored, rejected, duplicates, bytes }
    }
}

/// From when to when which logs speak; gaps are gaps.
#[derive(Serialize)]
struct Coverage<'a> {
    firewall: &'a BTreeMap<String, Vec<Span>>,
    mail: &'a BTreeMap<String, Vec<Span>>,
}

#[derive(Serialize)]
struct QuietShape<'a> {
    ticket_id: String,
    asset: &'a str,
    ip: Option<IpAddr>,
    fqdn: Option<&'a str>,
    port: u16,
}

#[derive(Serialize)]
struct UnmatchedShape<'a> {
    server: &'a str,
    port: Option<u16>,
    why: &'static str,
    sessions: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    candidates: &'a [String],
}

impl<'a> UnmatchedShape<'a> {
    fn new(server: &'a UnmatchedServer) -> Self {
        Self {
            server: &server.server,
            port: server.port,
            why: server.why.text(),
            sessions: server.sessions,
            candidates: &server.candidates,
        }
    }
}

#[derive(Serialize)]
struct OutputShape<'a> {
    sha256: &'a str,
    bytes: u64,
}
