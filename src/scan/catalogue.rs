//! What each Nessus plugin says about SMTP. In: a plugin id and what its item holds. Out: roles,
//! whether the item is a target, and what it says of HELO.
//!
//! The table is `catalogue.tsv`: id, name and family as Tenable's feed has them, the roles, and
//! text that the output must hold for the item to count. 34861 is the id that users ask for; in
//! Tenable's 2023 feed that number belongs to an AIX patch, so items of a check are judged by
//! family and name as well. 18528 is written only where the server refused the scanner, which
//! its output tells. Which ids make targets of a run is the caller's choice (`PluginSelection`).

use std::sync::LazyLock;

use crate::model::finding::{Role, ScanHelo, SetAside};
use crate::model::net::parse_decimal;

/// Which plugins make a host:port a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PluginSelection {
    /// Every catalogue plugin but 19506: `--plugins smtp`, the default.
    #[default]
    Smtp,
    /// These ids only, sorted; the other catalogue plugins remain context. An id that is not in
    /// the catalogue is taken as one that detects.
    Ids(Vec<u32>),
}

impl PluginSelection {
    /// Reads the value of `--plugins`: `smtp` or ids separated by commas. The error says what is
    /// wrong with the value.
    pub fn parse(value: &str) -> Result<Self, String> {
        if value.trim().eq_ignore_ascii_case("smtp") {
            return Ok(Self::Smtp);
        }
        let mut ids = Vec::new();
        for word in value.split(',') {
            let id = parse_decimal(word.trim().as_bytes()).and_then(|n| u32::try_from(n).ok());
            ids.push(id.filter(|&n| n > 0).ok_or_else(|| {
                format!(
                    "--plugins: found {word:?}; expected smtp or plugin ids such as 34861,18528"
                )
            })?);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Self::Ids(ids))
    }

    /// Whether a finding of this plugin makes its host:port a target.
    pub fn selects(&self, plugin_id: u32) -> bool {
        match self {
            Self::Smtp => true,
            Self::Ids(ids) => ids.binary_search(&plugin_id).is_ok(),
        }
    }
}

/// One line of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Nessus plugin id.
    pub id: u32,
    /// Name in Tenable's feed; empty for an id that only the selection names.
    pub name: &'static str,
    /// Roles in the order of [`Role`].
    pub roles: Vec<Role>,
    /// Text that `plugin_output` must hold; empty where the item counts as such.
    only_where: &'static str,
}

/// The table, in the order of ids.
static TABLE: LazyLock<Vec<Plugin>> = LazyLock::new(|| {
    let mut table: Vec<Plugin> =
        include_str!("catalogue.tsv").lines().skip(1).filter_map(parse_row).collect();
    table.sort_by_key(|plugin| plugin.id);
    table
});

fn parse_row(row: &'static str) -> Option<Plugin> {
    let mut cells = row.split('\t');
    let id = cells.next()?.parse().ok()?;
    let name = cells.next()?;
    let mut roles = cells.nth(1)?.split(',').map(parse_role).collect::<Option<Vec<_>>>()?;
    roles.sort_unstable();
    Some(Plugin { id, name, roles, only_where: cells.next()? })
}

fn parse_role(word: &str) -> Option<Role> {
    use Role::{Accepts, Check, Detects, Relay, Scanner, Weakens};
    [Check, Detects, Accepts, Weakens, Relay, Scanner].into_iter().find(|role| role.word() == word)
}

/// The plugins that one reading of scans looks for: the table and the selection's own ids.
#[derive(Debug, Clone)]
pub struct Catalogue {
    plugins: Vec<Plugin>,
}

impl Catalogue {
    /// The table, and ids of the selection that it does not hold (they detect).
    pub fn new(selection: &PluginSelection) -> Self {
        let mut plugins = TABLE.clone();
        if let PluginSelection::Ids(ids) = selection {
            for &id in ids {
                if !TABLE.iter().any(|plugin| plugin.id == id) {
                    plugins.push(Plugin {
                        id,
                        name: "",
                        roles: vec![Role::Detects],
                        only_where: "",
                    });
                }
            }
        }
        plugins.sort_by_key(|plugin| plugin.id);
        Self { plugins }
    }

    /// The plugin of this id, if it says anything about SMTP or the scanner.
    pub fn get(&self, id: u32) -> Option<&Plugin> {
        let at = self.plugins.binary_search_by_key(&id, |plugin| plugin.id).ok()?;
        self.plugins.get(at)
    }
}

/// The name of a plugin in Tenable's feed, for texts about it.
pub fn plugin_name(id: u32) -> Option<&'static str> {
    TABLE.iter().find(|plugin| plugin.id == id).map(|plugin| plugin.name)
}

/// What an item holds besides its plugin id.
#[derive(Debug, Clone, Copy)]
pub struct ItemText<'a> {
    /// TCP or UDP port; 0 for the host as a whole.
    pub port: u16,
    /// The `protocol` attribute.
    pub protocol: &'a str,
    /// The `pluginName` attribute.
    pub name: &'a str,
    /// The `pluginFamily` attribute.
    pub family: &'a str,
    /// The whole `plugin_output`.
    pub output: &'a str,
}

impl Plugin {
    /// Whether the item counts at all: 22964 speaks of every service, not only of SMTP.
    pub fn counts(&self, item: &ItemText) -> bool {
        self.only_where.is_empty() || item.output.contains(self.only_where)
    }

    /// Why the item is no target, if it is none. Items about the scanner are never set aside.
    pub fn set_aside(&self, item: &ItemText) -> Option<SetAside> {
        if self.roles.contains(&Role::Scanner) {
            return None;
        }
        let named = !item.name.is_empty() || !item.family.is_empty();
        if self.roles.contains(&Role::Check) && named && !is_smtp(item) {
            return Some(SetAside::NotSmtp);
        }
        if item.port == 0 {
            return Some(SetAside::NoPort);
        }
        let other = ["udp", "icmp"].iter().any(|p| item.protocol.eq_ignore_ascii_case(p));
        other.then_some(SetAside::NotTcp)
    }

    /// What the item alone says about HELO (design, section 5).
    pub fn scan_helo(&self, item: &ItemText) -> ScanHelo {
        if self.set_aside(item).is_some() {
            return ScanHelo::Unknown;
        }
        if self.roles.contains(&Role::Check) {
            return parse_refusal(item.output).unwrap_or(ScanHelo::Accepted);
        }
        if self.roles.contains(&Role::Accepts) { ScanHelo::Accepted } else { ScanHelo::Unknown }
    }
}

fn is_smtp(item: &ItemText) -> bool {
    [item.name, item.family].iter().any(|text| text.to_ascii_lowercase().contains("smtp"))
}

/// Reads the four texts of plugin 18528 (`check_smtp_helo.nasl`): `answered with a 421 code.`,
/// `answered with a 554 code.`, `answered with a 501 code to HELO requests.`, `rejects our HELO
/// requests`. Nessus may have broken them over lines.
fn parse_refusal(output: &str) -> Option<ScanHelo> {
    let words = output.replace("\\n", " ");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.contains("rejects our HELO requests") {
        return Some(ScanHelo::Rejected);
    }
    let (_, answer) = words.split_once("answered with a ")?;
    let (code, rest) = answer.split_once(' ')?;
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) || !rest.starts_with("code") {
        return None;
    }
    if rest.starts_with("code to HELO") {
        return Some(ScanHelo::Rejected);
    }
    matches!(code.as_bytes().first(), Some(b'4' | b'5')).then_some(ScanHelo::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item<'a>(port: u16, name: &'a str, family: &'a str, output: &'a str) -> ItemText<'a> {
        ItemText { port, protocol: "tcp", name, family, output }
    }

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(TABLE.len(), include_str!("catalogue.tsv").lines().count() - 1);
        let catalogue = Catalogue::new(&PluginSelection::Smtp);
        let words = |id| {
            let plugin = catalogue.get(id).unwrap();
            plugin.roles.iter().map(|r| r.word()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(words(34861), "check");
        assert_eq!(words(52611), "accepts,weakens");
        assert_eq!(words(10262), "accepts,relay");
        assert_eq!(words(19506), "scanner");
        assert!(catalogue.get(10287).is_none());
    }

    #[test]
    fn a_selection_is_smtp_or_ids() {
        assert_eq!(PluginSelection::parse("smtp"), Ok(PluginSelection::Smtp));
        let ids = PluginSelection::parse("34861, 99001,34861").unwrap();
        assert_eq!(ids, PluginSelection::Ids(vec![34861, 99001]));
        assert!(ids.selects(34861) && !ids.selects(10263));
        assert_eq!(Catalogue::new(&ids).get(99001).unwrap().roles, [Role::Detects]);
        assert_eq!(
            PluginSelection::parse("34861;18528").unwrap_err(),
            "--plugins: found \"34861;18528\"; expected smtp or plugin ids such as 34861,18528"
        );
    }

    #[test]
    fn the_aix_patch_and_port_0_are_set_aside() {
        let catalogue = Catalogue::new(&PluginSelection::Smtp);
        let check = catalogue.get(34861).unwrap();
        let aix = item(0, "AIX 610000 : U819688", "AIX Local Security Checks", "");
        assert_eq!(check.set_aside(&aix), Some(SetAside::NotSmtp));
        assert_eq!(check.scan_helo(&aix), ScanHelo::Unknown);
        let zero = item(0, "SMTP Server Connection Check", "SMTP problems", "");
        assert_eq!(check.set_aside(&zero), Some(SetAside::NoPort));
        let real = item(25, "SMTP Server Connection Check", "SMTP problems", "HELO answered");
        assert_eq!(check.set_aside(&real), None);
        assert_eq!(check.scan_helo(&real), ScanHelo::Accepted);
        let udp = ItemText { protocol: "UDP", ..real };
        assert_eq!(check.set_aside(&udp), Some(SetAside::NotTcp));
        assert_eq!(catalogue.get(19506).unwrap().set_aside(&zero), None);
    }

    #[test]
    fn service_detection_counts_only_for_smtp() {
        let catalogue = Catalogue::new(&PluginSelection::Smtp);
        let service = catalogue.get(22964).unwrap();
        let text = |output| item(25, "Service Detection", "Service detection", output);
        assert!(service.counts(&text("\nAn SMTP server is running on this port.\n")));
        assert!(!service.counts(&text("A web server is running on this port.")));
        assert_eq!(service.scan_helo(&text("")), ScanHelo::Unknown);
    }

    #[test]
    fn the_four_refusals_of_the_connection_check() {
        let cases = [
            ("The SMTP server on this port answered with a 421 code.\nThis means", "refused"),
            ("The SMTP server on this port answered with a 554 code.\\nThis means", "refused"),
            (
                "The SMTP server on this port\nanswered with a\n501 code to HELO requests.",
                "rejected",
            ),
            ("The SMTP server on this port rejects our HELO requests.", "rejected"),
            ("The SMTP server answered with a 250 code.", "accepted"),
            ("", "accepted"),
        ];
        let catalogue = Catalogue::new(&PluginSelection::Smtp);
        for id in [18528, 34861] {
            let check = catalogue.get(id).unwrap();
            for (output, expected) in cases {
                let said = check.scan_helo(&item(25, "SMTP server accepts us", "SMTP", output));
                assert_eq!(said.word(), expected, "{output}");
            }
        }
    }
}
