//! The texts of a ticket. In: a judged target, the policy, the inputs. Out: summary, description,
//! remediation, verification and rollback, from the templates of `templates`.
//!
//! What is advised is decided in `advice`, phrases are made in `words`; here they meet the
//! templates. Networks, addresses and ids are filled in; foreign names stand between quotes and
//! in no command line, unless they are plain host names.

use minijinja::{Value, context};

use crate::error::Result;
use crate::model::judged::{JudgedAsset, JudgedSource, JudgedTarget, Rule, Verdict};
use crate::model::policy::Policy;
use crate::tickets::advice::{Approach, FirewallKind, ServerKind, allowed_networks, of_family};
use crate::tickets::firewall::NftRule;
use crate::tickets::place::{Place, strongest};
use crate::tickets::{Setting, Standing, Ticket, commands, firewall, proof, ticket_id, words};

/// The connection check, which writes an item only where the server refuses the scanner.
const CHECK: u32 = 18528;

/// The texts of one ticket; the first on one line, the others of several lines, plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// At most 160 characters.
    pub summary: String,
    /// What was seen, by whom, when, how sure, cited.
    pub description: String,
    /// What to do on the firewall and on the server.
    pub remediation: String,
    /// How to see that it worked.
    pub verification: String,
    /// How to undo it.
    pub rollback: String,
}

/// Writes tickets; made once a run.
#[derive(Debug)]
pub struct Author<'a> {
    setting: Setting<'a>,
}

impl<'a> Author<'a> {
    /// An author for this policy, these inputs and templates.
    pub fn new(setting: Setting<'a>) -> Self {
        Self { setting }
    }

    pub(super) fn policy(&self) -> &'a Policy {
        self.setting.policy
    }

    /// The ticket of a target.
    ///
    /// # Errors
    /// Of kind `Usage`: a template that cannot be rendered for this target, though it could for
    /// those of [`Templates::read`](crate::tickets::Templates::read).
    pub fn ticket(&self, target: &JudgedTarget, standing: Standing) -> Result<Ticket> {
        let values = self.values(target);
        let render = |name: &str| self.setting.templates.render(name, &values);
        let texts = Texts {
            summary: one_line(&render("summary.txt")?),
            description: render("description.txt")?,
            remediation: render("remediation.txt")?,
            verification: render("verification.txt")?,
            rollback: render("rollback.txt")?,
        };
        Ok(Ticket::of(target, standing, self.setting.inputs, texts))
    }

    /// All that templates can use, by name.
    pub(super) fn values(&self, target: &JudgedTarget) -> Value {
        context! { ..self.facts(target), ..self.advice(target) }
    }

    /// What the templates may tell of the scan and the logs.
    fn facts(&self, target: &JudgedTarget) -> Value {
        let JudgedTarget { asset, scan, counts, coverage, .. } = target;
        let plugin = |(id, name): &(u32, String)| format!("{id} {}", words::quotable(name, 80));
        let shown_sources = target.top_sources.len() as u64;
        context! {
            port => target.port,
            host => words::host(asset, 200),
            short_host => words::host(asset, 48),
            ip => asset.ip.map(|ip| ip.to_string()),
            critical => asset.critical,
            owner => asset.owner.as_deref().map(|owner| words::quotable(owner, 80)),
            in_policy => asset.in_policy,
            role_text => words::role(asset),
            headline => words::headline(target),
            verdict => target.verdict.word(),
            detected_by => scan.detected_by.iter().map(plugin).collect::<Vec<_>>().join(", "),
            plugin_ids => scan.detected_by.iter().map(|(id, _)| *id).collect::<Vec<u32>>(),
            reports_refusal => scan.detected_by.iter().any(|(id, _)| *id == CHECK),
            scan_time => scan.scan_time.map(|time| time.to_string()),
            scan_helo_text => words::scan_helo(scan.scan_helo),
            outputs => outputs(&scan.outputs),
            facts => words::facts(counts),
            auth_ok => counts.auth_ok,
            auth_failed => counts.auth_failed,
            seen_only => counts.fw_other > 0,
            seen => words::period(target.first_seen, target.last_seen),
            sources_text => words::many(target.unexpected_sources, "source"),
            more_sources => target.unexpected_sources.saturating_sub(shown_sources),
            sources => target.top_sources.iter().map(|s| self.source(s)).collect::<Vec<Value>>(),
            confidence_text => words::confidence(target),
            firewall_span => words::coverage(&coverage.firewall),
            mail_span => words::coverage(&coverage.mail),
            hidden_helo => coverage.hidden_helo,
            notes => words::shown_all(&target.notes),
            proof => proof::lines(target, self.setting.inputs),
        }
    }

    fn source(&self, source: &JudgedSource) -> Value {
        let places = strongest(&source.citations)
            .take(4)
            .filter_map(|at| Place::of(at, self.setting.inputs))
            .map(|place| words::quotable(&place.to_string(), 200));
        context! {
            ip => source.ip.to_string(),
            class => source.class.word(),
            rule => source.rule.map(Rule::word),
            did => words::did(&source.counts),
            seen => words::period(source.first_seen, source.last_seen),
            helo_names => words::quoted_list(&source.helo_names, 3),
            users => words::quoted_list(&source.sasl_usernames, 3),
            lines => places.collect::<Vec<_>>().join(", "),
        }
    }

    /// What the templates may advise.
    fn advice(&self, target: &JudgedTarget) -> Value {
        let Setting { policy, inputs, .. } = self.setting;
        let JudgedTarget { asset, port, .. } = target;
        let address = commands::address(asset);
        let six = address.is_some_and(|ip| ip.is_ipv6());
        let networks = allowed_networks(target, policy);
        let allowed = address.map_or_else(|| networks.clone(), |ip| of_family(&networks, ip));
        let object = commands::object_name(&ticket_id(&asset.key, *port));
        let (sendmail_access, sendmail_left) = commands::for_sendmail(&networks);
        context! {
            approach => Approach::of(target).word(),
            server => ServerKind::of(target, inputs).word(),
            firewall => FirewallKind::of(target, inputs).word(),
            compromise => target.verdict == Verdict::Abused,
            policy_name => object.chars().take(35).collect::<String>(),
            object => object,
            address => address.map(|ip| ip.to_string()),
            where => commands::destination(asset),
            family => if six { "ip6" } else { "ip" },
            rules => firewall::nft_rules(asset, &networks).iter().map(rule).collect::<Vec<_>>(),
            unlisted => firewall::unlisted(asset, &networks),
            firewalld => firewall::firewalld_rules(&networks, *port),
            firewalld_service => firewall::firewalld_service(*port),
            swaks => commands::swaks(asset, *port),
            openssl => commands::openssl(asset, *port),
            networks => commands::plain(&networks),
            allowed => commands::plain(&allowed),
            allowed_masks => allowed.iter().map(commands::masked).collect::<Vec<_>>(),
            sendmail_access => sendmail_access,
            sendmail_left => commands::plain(&sendmail_left),
            relay_from => commands::with_loopback(&networks),
            postfix_networks => commands::for_postfix(&networks),
            postfix_service => commands::postfix_service(*port),
            own_mailbox => commands::own_mailbox(target, policy),
            names => words::quoted_list(&names(asset), 6),
            first_source => commands::first_source(target).map(|ip| ip.to_string()),
            users => users(target),
            block => commands::to_block(target),
        }
    }
}

fn rule(rule: &NftRule) -> Value {
    context! { family => rule.family, to => &rule.to, from => &rule.from }
}

/// Banners and refusals, each on one line.
fn outputs(outputs: &[String]) -> Vec<String> {
    let lines = outputs.iter().map(|text| one_line(text)).filter(|line| !line.is_empty());
    lines.take(2).map(|line| words::quotable(&line, 160)).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn names(asset: &JudgedAsset) -> Vec<Box<str>> {
    asset.names.iter().map(|name| name.as_str().into()).collect()
}

/// User names of strangers' logins.
fn users(target: &JudgedTarget) -> String {
    let mut users: Vec<Box<str>> =
        target.top_sources.iter().flat_map(|source| source.sasl_usernames.clone()).collect();
    users.sort_unstable();
    users.dedup();
    words::quoted_list(&users, 5)
}
