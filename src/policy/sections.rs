//! The sections of a policy file, key by key. In: the document's sections. Out: the policy's
//! types, every value checked. One function a section; the first error ends the reading.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Known;
use super::document::{Found, Section};
use super::values::{self, Checked};
use crate::error::Result;
use crate::model::flow::Action;
use crate::model::net::NetSet;
use crate::model::policy::{
    AcceptedRisk, AnsibleHosts, AssetPolicy, Correlation, DuePlan, InputRule, InputSettings,
    Inputs, Networks, Outputs, Policy,
};
use crate::model::text::id_part;

const TOP: [&str; 10] = [
    "inputs",
    "input",
    "outputs",
    "templates",
    "networks",
    "asset",
    "verdicts",
    "correlation",
    "priority",
    "accepted_risk",
];

/// The whole file.
pub(super) fn policy(root: &Section, path: &Path, known: Known<'_>) -> Result<Policy> {
    root.check_keys(&TOP)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Policy {
        path: Some(path.to_path_buf()),
        inputs: section_or_default(root, "inputs", |s| inputs(s, folder))?,
        input_rules: root
            .blocks("input")?
            .iter()
            .map(|block| input_rule(block, folder, known.formats))
            .collect::<Result<_>>()?,
        outputs: section_or_default(root, "outputs", |s| outputs(s, folder, known.profiles))?,
        templates: root.section("templates")?.map(|s| templates(&s, folder)).transpose()?,
        networks: section_or_default(root, "networks", networks)?,
        assets: assets(&root.blocks("asset")?)?,
        verdicts: section_or_default(root, "verdicts", verdicts)?,
        correlation: section_or_default(root, "correlation", correlation)?,
        priority: section_or_default(root, "priority", priority)?,
        accepted_risks: accepted_risks(&root.blocks("accepted_risk")?)?,
    })
}

fn section_or_default<'a, T: Default>(
    root: &Section<'a>,
    key: &str,
    read: impl FnOnce(&Section<'a>) -> Result<T>,
) -> Result<T> {
    root.section(key)?.map_or_else(|| Ok(T::default()), |section| read(&section))
}

fn inputs(section: &Section, folder: &Path) -> Result<Inputs> {
    section.check_keys(&["scan", "firewall", "mail", "out", "state"])?;
    let globs = |key| all(section.texts(key)?, |text| values::joined_glob(text, folder));
    Ok(Inputs {
        scan: globs("scan")?,
        firewall: globs("firewall")?,
        mail: globs("mail")?,
        out: optional(section.text("out")?, values::filled)?.map(|out| folder.join(out)),
        state: optional(section.text("state")?, values::filled)?.map(|state| folder.join(state)),
    })
}

fn outputs(section: &Section, folder: &Path, profiles: &[&str]) -> Result<Outputs> {
    section.check_keys(&["profiles", "jira_export", "csv_safe"])?;
    Ok(Outputs {
        profiles: all(section.texts("profiles")?, |text| values::output_profile(text, profiles))?,
        jira_export: all(section.texts("jira_export")?, |text| {
            values::filled(text).map(|path| folder.join(path))
        })?,
        csv_safe: section.truth("csv_safe")?.map(|found| found.value),
    })
}

fn templates(section: &Section, folder: &Path) -> Result<PathBuf> {
    section.check_keys(&["dir"])?;
    let dir = optional(section.text("dir")?, values::filled)?;
    dir.map(|dir| folder.join(dir))
        .ok_or_else(|| section.error("has no dir; expected dir = \"FOLDER\" of your templates"))
}

fn input_rule(section: &Section, folder: &Path, formats: &[&str]) -> Result<InputRule> {
    let keys = ["path", "format", "zone", "server", "device", "covers", "raw_field"];
    section.check_keys(&keys)?;
    let path = section
        .text("path")?
        .ok_or_else(|| section.error("has no path; expected path = \"GLOB\" of its inputs"))?;
    Ok(InputRule {
        pattern: path.value.to_owned(),
        glob: path.check(|text| values::glob(text, folder))?,
        settings: InputSettings {
            format: optional(section.text("format")?, |t| values::format_name(t, formats))?,
            zone: optional(section.text("zone")?, values::zone)?,
            server: optional(section.text("server")?, values::name)?,
            device: optional(section.text("device")?, values::filled)?,
            covers: all(section.texts("covers")?, values::network)?,
            raw_field: optional(section.text("raw_field")?, values::filled)?,
        },
    })
}

fn networks(section: &Section) -> Result<Networks> {
    section.check_keys(&["trusted", "internal", "scanners", "proxies"])?;
    let set = |key| net_set(section.texts(key)?);
    Ok(Networks {
        trusted: set("trusted")?,
        internal: set("internal")?,
        scanners: set("scanners")?,
        proxies: set("proxies")?,
    })
}

fn assets(blocks: &[Section]) -> Result<Vec<AssetPolicy>> {
    let mut assets: Vec<AssetPolicy> = Vec::new();
    for block in blocks {
        let asset = asset(block)?;
        let part = asset.id.as_deref().map(id_part);
        let mut above = assets.iter().filter_map(|other| other.id.as_deref().map(id_part));
        if part.is_some_and(|part| above.any(|other| other == part)) {
            let message = "repeats the id of a block above, or gives the same ticket ids; expected \
                           one block for each id, with all its addresses and names in match";
            return Err(block.error(message));
        }
        assets.push(asset);
    }
    Ok(assets)
}

fn asset(section: &Section) -> Result<AssetPolicy> {
    let keys = [
        "id",
        "match",
        "addresses",
        "log_names",
        "role",
        "expected",
        "local_domains",
        "owner",
        "critical",
        "ansible_hosts",
        "ansible_firewall",
    ];
    section.check_keys(&keys)?;
    let matches = all(section.texts("match")?, values::asset_match)?;
    if matches.is_empty() {
        let message = "matches nothing; expected match = [...] with addresses, networks or names";
        return Err(section.error(message));
    }
    Ok(AssetPolicy {
        id: optional(section.text("id")?, values::filled)?,
        matches,
        addresses: all(section.texts("addresses")?, values::address)?,
        log_names: all(section.texts("log_names")?, values::name)?,
        role: optional(section.text("role")?, values::role)?.unwrap_or_default(),
        expected: net_set(section.texts("expected")?)?,
        local_domains: all(section.texts("local_domains")?, values::name)?,
        owner: optional(section.text("owner")?, values::filled)?,
        critical: section.truth("critical")?.is_some_and(|found| found.value),
        ansible: ansible(section)?,
    })
}

fn ansible(section: &Section) -> Result<Option<AnsibleHosts>> {
    let hosts = all(section.texts("ansible_hosts")?, values::inventory_host)?;
    let firewall = optional(section.text("ansible_firewall")?, values::host_firewall)?;
    if hosts.is_empty() && firewall.is_some() {
        return Err(
            section.error("has ansible_firewall but no host; expected ansible_hosts = [...]")
        );
    }
    let named = !hosts.is_empty();
    Ok(named.then(|| AnsibleHosts { hosts, firewall: firewall.unwrap_or_default() }))
}

fn verdicts(section: &Section) -> Result<BTreeMap<String, Action>> {
    let mut words = BTreeMap::new();
    for (word, action) in section.entries()? {
        action.check(|_| values::filled(word))?;
        words.insert(word.to_owned(), action.check(values::verdict)?);
    }
    Ok(words)
}

fn correlation(section: &Section) -> Result<Correlation> {
    section.check_keys(&["tolerance", "window"])?;
    let tolerance = optional(section.text("tolerance")?, values::tolerance)?;
    Ok(Correlation {
        tolerance_seconds: tolerance.unwrap_or(Correlation::default().tolerance_seconds),
        window_days: optional(section.text("window")?, values::window)?,
    })
}

fn priority(section: &Section) -> Result<DuePlan> {
    section.check_keys(&["profile", "days"])?;
    let profile = optional(section.text("profile")?, values::profile)?;
    let numbers = section.numbers("days")?;
    let Some(first) = numbers.first() else { return Ok(profile.unwrap_or_default()) };
    let days: Vec<i64> = numbers.iter().map(|found| found.value).collect();
    let own = first.check(|_| values::due_days(&days))?;
    if profile.is_some() {
        return Err(section.error("has profile and days; expected one of them"));
    }
    Ok(own)
}

fn accepted_risks(blocks: &[Section]) -> Result<Vec<AcceptedRisk>> {
    let mut risks: Vec<AcceptedRisk> = Vec::new();
    for block in blocks {
        let risk = accepted_risk(block)?;
        if risks.iter().any(|above| above.ticket == risk.ticket) {
            let message = "repeats the ticket of a block above; expected one block for each ticket";
            return Err(block.error(message));
        }
        risks.push(risk);
    }
    Ok(risks)
}

fn accepted_risk(section: &Section) -> Result<AcceptedRisk> {
    section.check_keys(&["ticket", "until", "reason"])?;
    let lacks = |what: &str| section.error(&format!("has no {what}"));
    let ticket = optional(section.text("ticket")?, values::ticket)?
        .ok_or_else(|| lacks("ticket; expected ticket = \"ID\" as in tickets.csv"))?;
    let until = section
        .date("until")?
        .ok_or_else(|| lacks("until; expected the last day that it holds, until = 2027-01-31"))?;
    let reason = optional(section.text("reason")?, values::filled)?
        .ok_or_else(|| lacks("reason; expected reason = \"why, and who says so\""))?;
    Ok(AcceptedRisk { ticket, until: until.value, reason })
}

fn net_set(texts: Vec<Found<&str>>) -> Result<NetSet> {
    all(texts, values::network).map(NetSet::new)
}

fn optional<'a, T>(
    text: Option<Found<'a, &'a str>>,
    check: impl FnOnce(&'a str) -> Checked<T>,
) -> Result<Option<T>> {
    text.map(|found| found.check(check)).transpose()
}

fn all<'a, T>(
    texts: Vec<Found<'a, &'a str>>,
    check: impl Fn(&'a str) -> Checked<T>,
) -> Result<Vec<T>> {
    texts.into_iter().map(|found| found.check(&check)).collect()
}
