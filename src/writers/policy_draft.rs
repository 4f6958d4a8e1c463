//! `policy suggest`: suggestions as commented TOML. In: what `judge` suggests, the policy's name.
//! Out: text to read, and to uncomment line by line: a `#` that no blank follows is taken away, and
//! what then stands there is a part of a policy. Nothing in it acts as long as nobody does that.
//!
//! Names of strangers stand in comments, on one line, and in basic strings with escapes; a name
//! that the policy would not take stands in a comment only.

use std::fmt::Write;

use crate::model::judged::{JudgedAsset, Unmatched, UnmatchedServer};
use crate::model::net::parse_ip;
use crate::model::policy::AssetRole;
use crate::model::suggestion::{AssetSuggestion, Regular, RoleSuggestion, Suggestions};
use crate::model::time::Timestamp;
use crate::writers::escape::terminal;

/// How many sources outside the internal networks are listed for an asset.
const OUTSIDE: usize = 10;
/// How many assets an unmatched server may be are listed.
const CANDIDATES: usize = 10;
/// The longest line of a comment, in characters, where its words are no longer.
const WIDTH: usize = 98;
/// How many HELO names of a source are listed.
const NAMES: usize = 3;

const HEAD: &str = "\
# Drafted from the evidence for a person to read, check and take over: nothing here acts. To take a
# line over, put it into the policy and remove the # that no blank follows; then:
# helotriage policy check
#
# Logs are written in part by strangers. Whoever reaches an open server can deliver to it every day,
# and so look like a partner; many of them look like the clients of an MX. Ask the owner of the
# server, not the log, whether a source belongs there.
";

/// The suggestions as commented TOML.
pub fn policy_draft(suggestions: &Suggestions) -> String {
    let mut draft = Draft { text: HEAD.to_owned() };
    for asset in &suggestions.assets {
        draft.asset(asset);
    }
    for server in &suggestions.unmatched {
        draft.unmatched(server, &suggestions.without_mail_log);
    }
    if suggestions.assets.is_empty() && suggestions.unmatched.is_empty() {
        draft.gap();
        draft.note(
            "The evidence suggests nothing: no source delivers day after day, no server looks like \
             an MX or a submission server, and all mail servers of the logs are known.",
        );
    }
    draft.text
}

struct Draft {
    text: String,
}

impl Draft {
    /// An empty line, between two suggestions.
    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A comment: whatever it quotes, nothing of it stands outside its lines.
    fn note(&mut self, text: &str) {
        let mut width = usize::MAX;
        for word in terminal(text).split(' ') {
            let length = word.chars().count() + 1;
            if width.saturating_add(length) > WIDTH {
                if width != usize::MAX {
                    self.text.push('\n');
                }
                self.text.push('#');
                width = 1;
            }
            self.text.push(' ');
            self.text.push_str(word);
            width += length;
        }
        self.text.push('\n');
    }

    /// A line of TOML, commented out.
    fn line(&mut self, toml: &str) {
        self.text.push('#');
        self.text.push_str(toml);
        self.text.push('\n');
    }

    fn asset(&mut self, suggestion: &AssetSuggestion) {
        let AssetSuggestion { asset, role, looks_like_mx, regulars } = suggestion;
        let (inside, outside): (Vec<&Regular>, Vec<&Regular>) =
            regulars.iter().partition(|regular| regular.is_internal);
        self.gap();
        let name = asset.fqdn.as_ref().map_or_else(String::new, |fqdn| format!(" ({fqdn})"));
        self.note(&format!("Asset {}{name}", asset.key));
        if *looks_like_mx && role.is_none() {
            self.note(
                "Its ticket says that it looks like an MX. So few sources, or days, are too little to \
                 draft a role from: ask the DNS of your domains (dig MX).",
            );
        }
        // Strangers are told, never drafted as expected.
        for regular in outside.iter().take(OUTSIDE) {
            self.note(&habit(regular));
        }
        if let Some(more) = outside.len().checked_sub(OUTSIDE).filter(|&more| more > 0) {
            self.note(&format!("{more} more sources outside deliver as regularly."));
        }
        if role.is_some() || !inside.is_empty() {
            self.block(asset, role.as_ref(), &inside);
        }
    }

    fn block(&mut self, asset: &JudgedAsset, role: Option<&RoleSuggestion>, inside: &[&Regular]) {
        let name = asset.ip.map_or_else(|| asset.key.clone(), |ip| ip.to_string());
        if asset.in_policy {
            self.note("A block of the policy names it: add there what follows the match.");
        }
        let is_named = is_plain(&name);
        if is_named {
            self.line("[[asset]]");
            self.line(&format!("match = [{}]", string(&name)));
        } else {
            self.note("The scan's name of it is no host name, so that no block can match it.");
        }
        if let Some(role) = role {
            self.role(role);
        }
        for regular in inside {
            self.note(&habit(regular));
        }
        let mut lines: Vec<String> = Vec::new();
        lines.extend(role.map(|role| format!("role = {}", string(role.role.word()))));
        let mut addresses: Vec<_> = inside.iter().map(|regular| regular.ip).collect();
        addresses.dedup();
        if !addresses.is_empty() {
            let texts = addresses.iter().map(|ip| string(&ip.to_string()));
            lines.push(format!("expected = [{}]", texts.collect::<Vec<_>>().join(", ")));
        }
        lines.iter().filter(|_| is_named).for_each(|line| self.line(line));
    }

    fn role(&mut self, role: &RoleSuggestion) {
        let RoleSuggestion { port, sources, others, mails, days, covered_days, .. } = role;
        let looks = match role.role {
            AssetRole::Mx => "delivered mail without relaying any",
            AssetRole::Submission => "authenticated",
            _ => "delivered, and nobody from outside did",
        };
        self.note(&format!(
            "Port {port}: {sources} sources {looks} ({mails} mails, on {days} of {covered_days} days); \
             {others} did otherwise."
        ));
        self.note(match role.role {
            AssetRole::Mx => "The DNS of your domains names its MXs (dig MX); an open server looks the same in a log.",
            AssetRole::Submission => "The accounts are worth a look first: stolen ones authenticate as well.",
            _ => "All internal addresses are expected then.",
        });
    }

    fn unmatched(&mut self, server: &UnmatchedServer, without: &[String]) {
        let UnmatchedServer { server: name, port, why, sessions, candidates } = server;
        self.gap();
        let on = port.map_or_else(String::new, |port| format!(" on port {port}"));
        let plural = if *sessions == 1 { "" } else { "s" };
        self.note(&format!(
            "Mail server {name:?}{on}: {sessions} session{plural} of no target: {}.",
            why.text()
        ));
        match why {
            Unmatched::NoFinding | Unmatched::UnclearPort => self.note(
                "A name would not help: a scan with that port would, or a log that names the port.",
            ),
            Unmatched::NotInScan | Unmatched::AmbiguousName if name.is_empty() => self.note(
                "The log names no server: say whose it is with --server GLOB=HOST or [[input]] server.",
            ),
            Unmatched::NotInScan if candidates.is_empty() => self.owner(name, without),
            Unmatched::NotInScan | Unmatched::AmbiguousName => self.owner(name, candidates),
        }
    }

    /// A block for the asset that a mail server's name means.
    fn owner(&mut self, name: &str, may_be: &[String]) {
        if !may_be.is_empty() {
            let shown: Vec<&str> = may_be.iter().take(CANDIDATES).map(String::as_str).collect();
            let rest = match may_be.len().saturating_sub(shown.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown = shown.join(", ");
            self.note(&format!("It may be {shown}{rest}; put the right one into match."));
        }
        if !is_plain(name) {
            self.note("No block can name it: it is no host name.");
            return;
        }
        let owner = match may_be {
            [only] if is_plain(only) => only,
            _ => name,
        };
        let key = if parse_ip(name.as_bytes()).is_some() { "addresses" } else { "log_names" };
        self.line("[[asset]]");
        self.line(&format!("match = [{}]", string(owner)));
        self.line(&format!("{key} = [{}]", string(name)));
    }
}

/// What a source does day after day, in one sentence or two.
fn habit(regular: &Regular) -> String {
    let Regular { ip, port, days, covered_days, mails, sessions, .. } = regular;
    let mut text = format!(
        "{ip}: mail accepted on port {port} on {days} of {covered_days} days, {mails} of {sessions} \
         sessions, none relayed"
    );
    if let (Some(first), Some(last)) = (regular.first_seen, regular.last_seen) {
        let day = |time: Timestamp| time.to_string().chars().take(10).collect::<String>();
        let _ = write!(text, ", {} to {}", day(first), day(last));
    }
    if !regular.helo_names.is_empty() {
        let names: Vec<String> =
            regular.helo_names.iter().take(NAMES).map(|name| format!("{name:?}")).collect();
        let _ = write!(text, "; calls itself {}", names.join(", "));
    }
    if !regular.is_internal {
        text.push_str(". It is outside: expect it only if you know whose it is");
    }
    text.push('.');
    text
}

/// Whether the policy takes it as a name or an address.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty()
        && (parse_ip(name.as_bytes()).is_some()
            || (name.bytes().all(plain) && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.')))
}

/// A TOML basic string (TOML 1.0, "String").
fn string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => string.extend(['\\', c]),
            ' '..='~' => string.push(c),
            _ => {
                let _ = write!(string, "\\U{:08X}", u32::from(c));
            }
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Known, parse_policy};

    fn uncommented(draft: &str) -> String {
        let taken = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        draft.lines().map(taken).collect()
    }

    fn regular(ip: &str, is_internal: bool, name: &str) -> Regular {
        Regular {
            ip: ip.parse().unwrap(),
            is_internal,
            port: 25,
            days: 9,
            covered_days: 10,
            mails: 40,
            sessions: 44,
            first_seen: Timestamp::parse_rfc3339("2026-11-02T10:00:00Z"),
            last_seen: Timestamp::parse_rfc3339("2026-11-11T10:00:00Z"),
            helo_names: vec![name.into()],
        }
    }

    fn suggestions(name: &str) -> Suggestions {
        let asset = JudgedAsset {
            key: name.to_owned(),
            former_keys: Vec::new(),
            ip: None,
            fqdn: Some(name.to_owned()),
            addresses: Vec::new(),
            names: Vec::new(),
            role: AssetRole::None,
            in_policy: false,
            owner: None,
            critical: false,
        };
        let role = RoleSuggestion {
            role: AssetRole::Mx,
            port: 25,
            sources: 40,
            others: 1,
            mails: 900,
            days: 9,
            covered_days: 10,
        };
        let server = |why, candidates: &[&str]| UnmatchedServer {
            server: name.to_owned(),
            port: None,
            why,
            sessions: 3,
            candidates: candidates.iter().map(|&key| key.to_owned()).collect(),
        };
        Suggestions {
            assets: vec![AssetSuggestion {
                asset,
                role: Some(role),
                looks_like_mx: true,
                regulars: vec![
                    regular("10.1.1.1", true, name),
                    regular("198.51.100.7", false, name),
                ],
            }],
            unmatched: vec![
                server(Unmatched::NotInScan, &[]),
                server(Unmatched::AmbiguousName, &["a", name]),
                server(Unmatched::UnclearPort, &[name]),
            ],
            without_mail_log: vec![name.to_owned()],
        }
    }

    #[test]
    fn a_draft_acts_only_where_somebody_uncomments_it() {
        let draft = policy_draft(&suggestions("mx1.example.com"));
        assert!(draft.lines().all(|line| line.is_empty() || line.starts_with('#')), "{draft}");
        let policy = parse_policy(&uncommented(&draft), Path::new("p.toml"), Known::default());
        let policy = policy.unwrap();
        assert_eq!(policy.assets.len(), 3, "{draft}");
        assert_eq!(policy.assets[0].role, AssetRole::Mx);
        assert!(policy.assets[0].expected.contains("10.1.1.1".parse().unwrap()));
        let stranger = "198.51.100.7".parse().unwrap();
        assert!(policy.assets.iter().all(|asset| !asset.expected.contains(stranger)));
        assert_eq!(policy.assets[1].log_names, ["mx1.example.com"]);
        let stranger = "# 198.51.100.7: mail accepted on port 25 on 9 of 10 days, 40 of 44 sessions, \
                        none relayed, 2026-11-02 to 2026-11-11; calls itself \"mx1.example.com\". It \
                        is outside: expect it only if you know whose it is.";
        assert!(draft.replace("\n# ", " ").contains(stranger.trim_start_matches("# ")), "{draft}");
    }

    #[test]
    fn a_ticket_that_tells_of_an_mx_is_not_contradicted() {
        let mut suggestions = suggestions("mx1.example.com");
        suggestions.assets[0].role = None;
        let draft = policy_draft(&suggestions);
        assert!(draft.contains("# Its ticket says that it looks like an MX."), "{draft}");
        assert!(!draft.contains("#role"), "{draft}");
    }

    #[test]
    fn without_evidence_it_says_so() {
        let draft = policy_draft(&Suggestions::default());
        assert!(draft.contains("The evidence suggests nothing"), "{draft}");
        assert!(parse_policy(&uncommented(&draft), Path::new("p.toml"), Known::default()).is_ok());
    }

    proptest! {
        #[test]
        fn no_name_breaks_out(name in prop_oneof![any::<String>(), "[\\PC\\x00-\\x20\"'#=\\[\\]]{0,300}"]) {
            let draft = policy_draft(&suggestions(&name));
            prop_assert!(draft.lines().all(|line| line.is_empty() || line.starts_with('#')));
            let text = uncommented(&draft);
            let policy = parse_policy(&text, Path::new("p.toml"), Known::default());
            prop_assert!(policy.is_ok(), "{:?}\n{}", policy.err(), text);
            let policy = policy.unwrap();
            let stranger = "198.51.100.7".parse().unwrap();
            prop_assert!(policy.networks.trusted.networks().is_empty());
            prop_assert!(policy.assets.iter().all(|asset| !asset.expected.contains(stranger)));
        }
    }
}
