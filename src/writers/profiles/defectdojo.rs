//! `--profile defectdojo`: `defectdojo.json`, Generic Findings Import, every ticket that is not
//! resolved, every run; with no ticket an empty list, so that a reimport closes what is gone.
//!
//! `unique_id_from_tool` is the ticket's id. Where DefectDojo deduplicates by hash instead, title and
//! description decide: they hold nothing that changes from run to run; what was seen stands under
//! `impact`. A reimport leaves matched findings as they are. `service` is not sent: the reimport
//! compares it with the one of its own request and would neither match nor close. The parser refuses
//! keys that it does not know and fails on some empty values: what is not known is left out. Texts are
//! shown as Markdown: those that hold strangers' words stand in fences.
//!
//! DefectDojo: Generic Findings Import; `dojo/tools/generic/json_parser.py`.

use std::net::IpAddr;

use serde::Serialize;

use crate::error::Result;
use crate::model::judged::{JudgedTarget, Verdict};
use crate::tickets::{Status, Ticket};
use crate::writers::Run;
use crate::writers::escape::lines;
use crate::writers::profiles::texts::{ISO_DATE, by_priority, cut, date, fenced, short_id};
use crate::writers::profiles::{Export, Files, Profile};
use crate::writers::publish::Draft;

/// The profile.
#[derive(Debug)]
pub(super) struct DefectDojo;

const FILE: &str = "defectdojo.json";

/// The test type becomes `helotriage Scan (Generic Findings Import)`.
const HEAD: &str = "{\"name\":\"helotriage\",\"type\":\"helotriage\",\"findings\":[";

const TITLE: usize = 511;
const UNIQUE_ID: usize = 500;

impl Profile for DefectDojo {
    fn name(&self) -> &'static str {
        "defectdojo"
    }

    fn system(&self) -> &'static str {
        "DefectDojo, Generic Findings Import"
    }

    fn files(&self) -> &'static [&'static str] {
        &[FILE]
    }

    fn begin<'r>(&self, _run: &Run<'r>) -> Box<dyn Export + 'r> {
        Box::new(Findings { file: None })
    }
}

struct Findings {
    /// Begun with the first finding.
    file: Option<Draft>,
}

impl Export for Findings {
    fn take(&mut self, ticket: &Ticket, _target: &JudgedTarget, files: &mut Files) -> Result<()> {
        if ticket.status == Status::Resolved {
            return Ok(());
        }
        let before = if self.file.is_some() { ",\n" } else { "\n" };
        let mut draft = self.file.take().map_or_else(|| begin(files), Ok)?;
        draft.append(before.as_bytes())?;
        let finding = Finding::new(ticket);
        draft.write(|to| Ok(serde_json::to_writer(to, &finding)?))?;
        self.file = Some(draft);
        Ok(())
    }

    fn finish(self: Box<Self>, files: &mut Files) -> Result<Vec<String>> {
        let mut draft = self.file.map_or_else(|| begin(files), Ok)?;
        draft.append(b"\n]}\n")?;
        files.keep(draft)?;
        Ok(Vec::new())
    }
}

fn begin(files: &mut Files) -> Result<Draft> {
    let mut draft = files.begin(FILE.to_owned())?;
    draft.append(HEAD.as_bytes())?;
    Ok(draft)
}

/// A finding's keys, of those that the parser allows.
#[derive(Serialize)]
struct Finding {
    title: String,
    description: String,
    severity: &'static str,
    unique_id_from_tool: String,
    vuln_id_from_tool: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    date: String,
    active: bool,
    verified: bool,
    impact: String,
    mitigation: String,
    steps_to_reproduce: String,
    severity_justification: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    references: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    planned_remediation_date: String,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<Endpoint>,
}

/// Where it was found.
#[derive(Serialize)]
struct Endpoint {
    protocol: &'static str,
    host: IpAddr,
    port: u16,
}

impl Endpoint {
    fn new(host: IpAddr, port: u16) -> Self {
        Self { protocol: "smtp", host, port }
    }
}

impl Finding {
    fn new(ticket: &Ticket) -> Self {
        let (id, texts) = (&ticket.ticket_id, &ticket.texts);
        let title = format!("SMTP exposure: {} port {}", lines(&ticket.asset), ticket.port);
        let text = |text: &str| fenced(&lines(text));
        let plugins: Vec<_> = ticket.detected_by.iter().map(|p| p.id.to_string()).collect();
        let evidence: Vec<_> = ticket.evidence.iter().map(ToString::to_string).collect();
        Self {
            title: cut(&title, TITLE).into_owned(),
            description: format!(
                "A scan found the SMTP service of ticket {id}; firewall and mail logs were read for \
                 who uses it. What they show, and how sure that is, stands under impact as of the \
                 first import, and in tickets.csv as of the last run."
            ),
            severity: by_priority(ticket.priority, ["Critical", "High", "Medium", "Low"]),
            unique_id_from_tool: short_id(id, UNIQUE_ID).into_owned(),
            vuln_id_from_tool: cut(&plugins.join(", "), UNIQUE_ID).into_owned(),
            date: date(ticket.first_seen.or(ticket.scan_time), ISO_DATE),
            active: true,
            verified: matches!(ticket.verdict, Verdict::Abused | Verdict::Confirmed),
            impact: text(&format!("{}\n\n{}", texts.summary, texts.description)),
            mitigation: text(&format!("{}\n\n{}", texts.remediation, texts.rollback)),
            steps_to_reproduce: text(&texts.verification),
            severity_justification: text(&ticket.reasons.join("\n")),
            references: if evidence.is_empty() {
                String::new()
            } else {
                text(&evidence.join("\n"))
            },
            planned_remediation_date: date(ticket.due_date, ISO_DATE),
            tags: ["smtp-helo", ticket.priority.word(), ticket.verdict.word()]
                .map(str::to_ascii_lowercase)
                .to_vec(),
            endpoints: ticket.ip.map(|host| Endpoint::new(host, ticket.port)).into_iter().collect(),
        }
    }
}
