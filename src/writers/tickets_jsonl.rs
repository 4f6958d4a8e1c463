//! tickets.jsonl: one JSON object a ticket, the same facts as tickets.csv, typed and exact:
//! numbers, lists, null where a cell would be empty, and every unexpected source as an object.
//!
//! Text stands as the logs and the scan have it (bytes that are no UTF-8 as `\xNN`); whoever shows
//! it has to make it safe for where it is shown.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::model::input::Status;
use crate::model::judged::{CitedLine, Counts, JudgedSource, JudgedTarget, Rule};
use crate::model::time::Timestamp;
use crate::tickets::{Place, Plugin, Ticket, file_name};
use crate::writers::sources_csv::step_down;
use crate::writers::{Output, Run, Told};

/// The output.
pub struct TicketsJsonl;

impl Output for TicketsJsonl {
    fn name(&self) -> &'static str {
        "tickets.jsonl"
    }

    fn write_targets<'a>(
        &self,
        run: &Run<'a>,
        targets: &[Told<'a>],
        to: &mut dyn Write,
    ) -> io::Result<()> {
        // A buffer of a known type: JSON is written in pieces of a few bytes.
        let mut to = BufWriter::new(to);
        for Told { target, ticket } in targets {
            let Some(ticket) = ticket else { continue };
            serde_json::to_writer(&mut to, &shape(ticket, Sources { target, run: *run }))?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }
}

/// A ticket's keys in their order: those of tickets.csv, then `sources`.
#[derive(Serialize)]
struct TicketShape<'a, 'r> {
    ticket_id: &'a str,
    status: &'static str,
    priority: &'static str,
    score: u8,
    confidence: &'static str,
    verdict: &'static str,
    due_date: Option<Timestamp>,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    asset: &'a str,
    ip: Option<IpAddr>,
    fqdn: Option<&'a str>,
    port: u16,
    protocol: &'static str,
    role: &'static str,
    owner: Option<&'a str>,
    detected_by: &'a [Plugin],
    scan_helo: &'static str,
    severity: u8,
    scan_time: Option<Timestamp>,
    unexpected_sources: u64,
    external_sources: u64,
    helo_accepted: u64,
    corroborated: u64,
    mail_accepted: u64,
    relayed: u64,
    auth_ok: u64,
    auth_failed: u64,
    helo_rejected: u64,
    fw_permitted: u64,
    fw_denied: u64,
    top_sources: &'a [IpAddr],
    helo_names: &'a [Box<str>],
    evidence: &'a [Place],
    rule: &'static str,
    reasons: &'a [String],
    summary: &'a str,
    description: &'a str,
    remediation: &'a str,
    verification: &'a str,
    rollback: &'a str,
    sources: Sources<'r>,
}

fn shape<'a, 'r>(ticket: &'a Ticket, sources: Sources<'r>) -> TicketShape<'a, 'r> {
    TicketShape {
        ticket_id: &ticket.ticket_id,
        status: ticket.status.word(),
        priority: ticket.priority.word(),
        score: ticket.score,
        confidence: ticket.confidence.word(),
        verdict: ticket.verdict.word(),
        due_date: ticket.due_date,
        first_seen: ticket.first_seen,
        last_seen: ticket.last_seen,
        asset: &ticket.asset,
        ip: ticket.ip,
        fqdn: ticket.fqdn.as_deref(),
        port: ticket.port,
        protocol: Ticket::PROTOCOL,
        role: ticket.role.word(),
        owner: ticket.owner.as_deref(),
        detected_by: &ticket.detected_by,
        scan_helo: ticket.scan_helo.word(),
        severity: ticket.severity,
        scan_time: ticket.scan_time,
        unexpected_sources: ticket.unexpected_sources,
        external_sources: ticket.external_sources,
        helo_accepted: ticket.helo_accepted,
        corroborated: ticket.corroborated,
        mail_accepted: ticket.mail_accepted,
        relayed: ticket.relayed,
        auth_ok: ticket.auth_ok,
        auth_failed: ticket.auth_failed,
        helo_rejected: ticket.helo_rejected,
        fw_permitted: ticket.fw_permitted,
        fw_denied: ticket.fw_denied,
        top_sources: &ticket.top_sources,
        helo_names: &ticket.helo_names,
        evidence: &ticket.evidence,
        rule: ticket.rule.word(),
        reasons: &ticket.reasons,
        summary: &ticket.texts.summary,
        description: &ticket.texts.description,
        remediation: &ticket.texts.remediation,
        verification: &ticket.texts.verification,
        rollback: &ticket.texts.rollback,
        sources,
    }
}

/// A target's sources, each made when it is its turn.
struct Sources<'a> {
    target: &'a JudgedTarget,
    run: Run<'a>,
}

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { target, run } = self;
        serializer.collect_seq((run.sources)(target).map(|source| Source::new(source, run)))
    }
}

/// A source's keys in their order.
#[derive(Serialize)]
struct Source<'a> {
    ip: IpAddr,
    class: &'static str,
    rule: Option<&'static str>,
    step_down: Option<&'static str>,
    counts: SourceCounts,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    helo_names: Vec<Box<str>>,
    sasl_usernames: Vec<Box<str>>,
    citations: Vec<CitationShape<'a>>,
}

impl<'a> Source<'a> {
    fn new(source: JudgedSource, run: &Run<'a>) -> Self {
        Self {
            ip: source.ip,
            class: source.class.word(),
            rule: source.rule.map(Rule::word),
            step_down: source.step_down.map(step_down),
            counts: SourceCounts::new(&source.counts),
            first_seen: source.first_seen,
            last_seen: source.last_seen,
            citations: source
                .citations
                .iter()
                .filter_map(|line| CitationShape::new(line, run))
                .collect(),
            helo_names: source.helo_names,
            sasl_usernames: source.sasl_usernames,
        }
    }
}

/// A source's counts: sessions and connections, as in the columns of the same names.
#[derive(Serialize)]
struct SourceCounts {
    helo_accepted: u64,
    corroborated: u64,
    mail_accepted: u64,
    relayed: u64,
    auth_ok: u64,
    auth_failed: u64,
    helo_rejected: u64,
    sessions: u64,
    fw_permitted: u64,
    fw_denied: u64,
    fw_other: u64,
}

impl SourceCounts {
    fn new(counts: &Counts) -> Self {
        Self {
            helo_accepted: counts.helo_accepted,
            corroborated: counts.corroborated,
            mail_accepted: counts.mail_accepted,
            relayed: counts.relayed,
            auth_ok: counts.auth_ok,
            auth_failed: counts.auth_failed,
            helo_rejected: counts.helo_rejected,
            sessions: counts.sessions,
            fw_permitted: counts.fw_permitted,
            fw_denied: counts.fw_denied,
            fw_other: counts.fw_other,
        }
    }
}

/// A cited line and what it proves.
#[derive(Serialize)]
struct CitationShape<'a> {
    kind: &'static str,
    time: Option<Timestamp>,
    file: Cow<'a, str>,
    line: u64,
    /// The file that held it is no input any more; its last path may be another file's by now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}

impl<'a> CitationShape<'a> {
    fn new(cited: &CitedLine, run: &Run<'a>) -> Option<Self> {
        let input = run.book.get(cited.at.input as usize)?;
        Some(Self {
            kind: cited.kind.word(),
            time: cited.time,
            file: file_name(input),
            line: cited.at.line,
            gone: input.status == Status::Gone,
        })
    }
}
