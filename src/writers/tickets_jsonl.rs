//! tickets.jsonl: one JSON object a ticket, the same facts as tickets.csv, typed and exact:
//! numbers, lists, null where a cell would be empty, and every unexpected source as an object.
//!
//! Text stands as the logs and the scan have it (bytes that are no UTF-8 as `\xNN`); whoever shows
//! it has to make it safe for where it is shown.

use std::io;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::time::Timestamp;
use crate::tickets::{Place, Plugin, Ticket};
use crate::writers::source_json::push_source;
use crate::writers::{Output, Part, Run};

/// The output.
pub struct TicketsJsonl;

impl Output for TicketsJsonl {
    fn name(&self) -> &'static str {
        "tickets.jsonl"
    }

    fn push_part(&self, run: &Run<'_>, part: &Part<'_>, to: &mut Vec<u8>) -> io::Result<()> {
        if !part.has_ticket {
            return Ok(());
        }
        if let Some(ticket) = &part.ticket {
            serde_json::to_writer(&mut *to, &shape(ticket))?;
            // Its sources are the last of its keys, and come one by one, part by part.
            to.pop();
            to.extend_from_slice(b",\"sources\":[");
        }
        for (place, source) in (part.from..).zip(&part.sources) {
            if place > 0 {
                to.push(b',');
            }
            push_source(to, source, run.cited)?;
        }
        if part.is_last() {
            to.extend_from_slice(b"]}\n");
        }
        Ok(())
    }
}

/// A ticket's keys in their order, those of tickets.csv; then come its sources.
#[derive(Serialize)]
struct TicketShape<'a> {
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
}

fn shape(ticket: &Ticket) -> TicketShape<'_> {
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
    }
}
