//! `--profile ansible`: `ansible-playbook.yml`, which closes the ports of this run's tickets to
//! everybody but the policy's networks, on the hosts that the policy names (`ansible_hosts` of an
//! `[[asset]]`) and on no other. With no rule to apply there is no playbook.
//!
//! A rule is a table of nftables of its own, or rich rules of firewalld; the playbook's head says how
//! to try it and to take it back. Tickets that are resolved or whose risk is accepted have no rule in it.
//! Every text that comes from outside stands as `!unsafe` between double quotes or in a block, in
//! ASCII: neither YAML nor Jinja reads anything in it.
//!
//! Ansible documentation: YAML syntax; Using unsafe strings; YAML 1.1 section 5.6 (escapes).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::error::Result;
use crate::model::judged::JudgedTarget;
use crate::model::policy::HostFirewall;
use crate::tickets::{Author, Restricted, Restriction, Status, Ticket};
use crate::writers::Run;
use crate::writers::profiles::{Export, Files, Profile};

#[cfg(test)]
mod tests;

/// The profile.
#[derive(Debug)]
pub(super) struct Ansible;

const FILE: &str = "ansible-playbook.yml";

/// What stands before the hosts, between them and the rules, and after the rules.
const HEAD: &str = include_str!("ansible/head.yml");
const MIDDLE: &str = include_str!("ansible/middle.yml");
const TASKS: &str = include_str!("ansible/tasks.yml");

/// How many tickets a note names.
const LISTED: usize = 5;

impl Profile for Ansible {
    fn name(&self) -> &'static str {
        "ansible"
    }

    fn system(&self) -> &'static str {
        "Ansible, a playbook for the hosts that the policy names"
    }

    fn files(&self) -> &'static [&'static str] {
        &[FILE]
    }

    fn begin<'r>(&self, run: &Run<'r>) -> Box<dyn Export + 'r> {
        Box::new(Playbook {
            author: run.author,
            by_host: BTreeMap::new(),
            closed: BTreeSet::new(),
            left_open: BTreeMap::new(),
            unlisted: BTreeMap::new(),
        })
    }
}

struct Playbook<'r> {
    author: &'r Author<'r>,
    /// Rules by host of the inventory, then by name.
    by_host: BTreeMap<String, BTreeMap<String, Restriction>>,
    /// Tickets with a rule.
    closed: BTreeSet<String>,
    /// Tickets of named assets without a rule, by the reason.
    left_open: BTreeMap<&'static str, Vec<String>>,
    /// Tickets whose rule leaves nobody of an address family in, by family.
    unlisted: BTreeMap<&'static str, Vec<String>>,
}

impl Export for Playbook<'_> {
    fn take(&mut self, ticket: &Ticket, target: &JudgedTarget, _files: &mut Files) -> Result<()> {
        if matches!(ticket.status, Status::Resolved | Status::AcceptedRisk) {
            return Ok(());
        }
        match self.author.restricted(target) {
            Restricted::NotNamed => {}
            Restricted::LeftOpen(why) => {
                self.left_open.entry(why).or_default().push(ticket.ticket_id.clone());
            }
            Restricted::By(rule) => self.close(&rule),
        }
        Ok(())
    }

    fn finish(self: Box<Self>, files: &mut Files) -> Result<Vec<String>> {
        let notes = self.notes();
        if !self.by_host.is_empty() {
            let mut draft = files.begin(FILE.to_owned())?;
            draft.append(self.text().as_bytes())?;
            files.keep(draft)?;
        }
        Ok(notes)
    }
}

impl Playbook<'_> {
    fn close(&mut self, rule: &Restriction) {
        let id = rule.ticket_id.clone();
        let is_taken = |host: &String| {
            let known = self.by_host.get(host).and_then(|rules| rules.get(&rule.name));
            known.is_some_and(|known| known.ticket_id != id)
        };
        if rule.on.hosts.iter().any(is_taken) {
            // Ids that are cut, or differ in `:` and `_` only, give the same name.
            let why = "another ticket's rule has the same name: give their assets short ids";
            self.left_open.entry(why).or_default().push(id);
            return;
        }
        if let Some(family) = rule.unlisted {
            self.unlisted.entry(family).or_default().push(id.clone());
        }
        self.closed.insert(id);
        for host in &rule.on.hosts {
            let rules = self.by_host.entry(host.clone()).or_default();
            rules.insert(rule.name.clone(), rule.clone());
        }
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for host in self.by_host.keys() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    - {}", quoted(host));
        }
        text += MIDDLE;
        for (host, rules) in &self.by_host {
            let _ = writeln!(text, "      {}:", quoted(host));
            for rule in rules.values() {
                write_rule(&mut text, rule);
            }
        }
        text + TASKS
    }

    /// What the operator should read.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.by_host.is_empty() {
            notes.push(
                "profile ansible: no playbook, since no ticket has a firewall rule for a host that the \
                 policy names (ansible_hosts of an [[asset]])"
                    .to_owned(),
            );
        }
        for (family, ids) in &self.unlisted {
            notes.push(format!(
                "{FILE}: no trusted or expected network is {family}, so over {family} it denies \
                 everybody: {}",
                listed(ids)
            ));
        }
        for (why, ids) in &self.left_open {
            notes.push(format!("profile ansible: no rule for {}: {why}", listed(ids)));
        }
        if !self.by_host.is_empty() {
            let hosts: Vec<String> = self.by_host.keys().cloned().collect();
            notes.push(format!(
                "{FILE} closes the ports of {} tickets on {}: look at it, then run it with --check \
                 --diff first",
                self.closed.len(),
                listed(&hosts)
            ));
        }
        notes
    }
}

/// The first few, and how many more.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// An entry of `helotriage_rules`.
fn write_rule(text: &mut String, rule: &Restriction) {
    let Restriction { ticket_id, name, server, port, priority, on, rules, .. } = rule;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "        - ticket: !unsafe {}\n          name: !unsafe {}\n          server: !unsafe {}\n          \
         priority: {}\n          port: {port}\n          firewall: {}\n",
        quoted(short(ticket_id)),
        quoted(name),
        quoted(short(server)),
        priority.word(),
        on.firewall.word(),
    );
    match on.firewall {
        HostFirewall::Nftables => {
            text.push_str("          table: !unsafe |\n");
            for line in rules {
                let _ = writeln!(text, "            {line}");
            }
        }
        HostFirewall::Firewalld => {
            text.push_str("          rich_rules:\n");
            for rule in rules {
                // A line break in this kind of block is a blank.
                let (head, tail) = rule.split_once(" destination ").unwrap_or((rule, ""));
                let _ = write!(
                    text,
                    "            - !unsafe >-\n              {head}\n              destination {tail}\n"
                );
            }
        }
    }
}

/// Few enough characters for a line, even where each is written as a number.
fn short(text: &str) -> &str {
    const FEW: usize = 100;
    let mut room = FEW;
    let end = text.char_indices().find(|(_, c)| {
        let size = if c.is_ascii() { 1 } else { 10 };
        let fits = room.checked_sub(size);
        room = fits.unwrap_or(0);
        fits.is_none()
    });
    text.get(..end.map_or(text.len(), |(at, _)| at)).unwrap_or_default()
}

/// A text as a YAML scalar between double quotes, in ASCII.
fn quoted(text: &str) -> String {
    let mut scalar = String::with_capacity(text.len() + 2);
    scalar.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => scalar.extend(['\\', c]),
            ' '..='~' => scalar.push(c),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(scalar, "\\U{:08x}", u32::from(other));
            }
        }
    }
    scalar.push('"');
    scalar
}
