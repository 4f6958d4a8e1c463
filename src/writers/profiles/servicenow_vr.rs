//! `--profile servicenow-vr`: `servicenow-vr-NNN.csv`, the manual ingestion template of
//! Vulnerability Response, every ticket, every run. Importing it again updates the detections or
//! reports them unchanged; a ticket that is resolved is `fixed`.
//!
//! The columns are the template's and must not be renamed; at most 1,000 rows a file; an empty
//! severity would be critical, so it never is; a port that is no integer would cost the row. The
//! vulnerability is the plugin as Tenable's integration names it (`TEN-34861`): the connection check
//! where it is among those that detected the target, else the lowest number.
//!
//! ServiceNow documentation: Template for manual ingestion of vulnerabilities.

use crate::tickets::{Status, Ticket};
use crate::writers::Run;
use crate::writers::escape::CsvCells;
use crate::writers::profiles::servicenow::named;
use crate::writers::profiles::sheet::{EveryTicket, Limits, Sheet};
use crate::writers::profiles::short::fitted_part;
use crate::writers::profiles::texts::{
    by_priority, cut, has_units, parts, pointer, short_id, shortened,
};
use crate::writers::profiles::{Export, Profile};

/// The profile.
#[derive(Debug)]
pub(super) struct ServiceNowVr;

const FILE: &str = "servicenow-vr-NNN.csv";

/// The template's columns, in their order.
const COLUMNS: [&str; 13] = [
    "Asset ID",
    "MAC Address",
    "FQDN",
    "NETBIOS",
    "IP Address",
    "Hostname",
    "Vulnerability ID",
    "Vulnerability Summary",
    "Severity",
    "Port",
    "Protocol",
    "Proof",
    "State",
];

const ROWS: Limits = Limits { rows: 1_000, bytes: u64::MAX };

const ASSET_ID: usize = 255;
const SUMMARY: usize = 512;
const PROOF: usize = 4_000;

/// The connection check's numbers, the one that users ask for first.
const CHECKS: [u32; 2] = [34_861, 18_528];

impl Profile for ServiceNowVr {
    fn name(&self) -> &'static str {
        "servicenow-vr"
    }

    fn system(&self) -> &'static str {
        "ServiceNow Vulnerability Response, manual ingestion template"
    }

    fn files(&self) -> &'static [&'static str] {
        &[FILE]
    }

    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r> {
        let (sheet, csv) = (Sheet::new(FILE, &COLUMNS, ROWS), run.csv);
        Box::new(EveryTicket { sheet, cells: Box::new(|ticket| cells(ticket, csv)) })
    }
}

/// One ticket's cells, in the order of [`COLUMNS`].
fn cells(ticket: &Ticket, csv: &CsvCells) -> Vec<String> {
    let text = |text: &str, most| cut(&csv.text(text), most).into_owned();
    let name = |name: &str| named(&csv.text(name));
    // An asset without an address is known by its name in the scan.
    let hostname = if ticket.ip.is_none() { name(&ticket.asset) } else { String::new() };
    vec![
        named(&short_id(&csv.text(&ticket.asset), ASSET_ID)),
        String::new(),
        name(ticket.fqdn.as_deref().unwrap_or_default()),
        String::new(),
        ticket.ip.map_or_else(String::new, |ip| ip.to_string()),
        hostname,
        vulnerability(ticket),
        text(&ticket.texts.summary, SUMMARY),
        by_priority(ticket.priority, ["critical", "high", "medium", "low"]).to_owned(),
        ticket.port.to_string(),
        Ticket::PROTOCOL.to_owned(),
        proof(ticket, csv),
        if ticket.status == Status::Resolved { "fixed" } else { "open" }.to_owned(),
    ]
}

/// What was seen, shortened by whole items.
fn proof(ticket: &Ticket, csv: &CsvCells) -> String {
    let [seen, ..] = parts(ticket, csv);
    let text = fitted_part(&seen, &pointer(ticket), &|text| has_units(text, PROOF));
    shortened(&text, PROOF, &pointer(ticket)).into_owned()
}

/// `TEN-` and the plugin that stands for the ticket.
fn vulnerability(ticket: &Ticket) -> String {
    let ids: Vec<u32> = ticket.detected_by.iter().map(|plugin| plugin.id).collect();
    let check = CHECKS.into_iter().find(|id| ids.contains(id));
    let id = check.or_else(|| ids.into_iter().min()).unwrap_or(CHECKS[0]);
    format!("TEN-{id}")
}
