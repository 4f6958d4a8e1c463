//! Which asset a mail server's name means. In: the names that policy and scans give to assets.
//! Out: one asset, none, or several, in which case nobody chooses.
//!
//! The order is the design's (section 6): the policy's `log_names`, the names of the scans, then
//! the unqualified name.

use std::collections::{BTreeMap, BTreeSet};

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// The place of the only asset of that name.
    One(usize),
    /// No asset has it.
    None,
    /// Several have it: their places, ascending.
    Several(Vec<usize>),
}

/// The names of all assets.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Policy `log_names`.
    logged: BTreeMap<String, BTreeSet<usize>>,
    /// Names of the scans.
    scanned: BTreeMap<String, BTreeSet<usize>>,
    /// First labels of all names.
    labels: BTreeMap<String, BTreeSet<usize>>,
    /// Names that are a single label.
    unqualified: BTreeMap<String, BTreeSet<usize>>,
}

impl Names {
    /// Adds an asset's names.
    pub fn add(&mut self, asset: usize, logged: &[String], scanned: &[String]) {
        for name in logged {
            self.logged.entry(tidy(name)).or_default().insert(asset);
        }
        for name in scanned {
            self.scanned.entry(tidy(name)).or_default().insert(asset);
        }
        for name in logged.iter().chain(scanned).map(|name| tidy(name)) {
            let label = name.split('.').next().unwrap_or_default();
            self.labels.entry(label.to_owned()).or_default().insert(asset);
            if label == name {
                self.unqualified.entry(name).or_default().insert(asset);
            }
        }
    }

    /// The asset that a log means by this name.
    pub fn resolve(&self, name: &str) -> Resolved {
        let name = tidy(name);
        let short = match name.split_once('.') {
            // mx1 of another domain is another host: only an asset without a domain fits.
            Some((label, _)) => self.unqualified.get(label),
            None => self.labels.get(&name),
        };
        let first = [self.logged.get(&name), self.scanned.get(&name), short];
        let Some(assets) = first.into_iter().flatten().next() else { return Resolved::None };
        match (assets.len(), assets.first()) {
            (1, Some(&asset)) => Resolved::One(asset),
            _ => Resolved::Several(assets.iter().copied().collect()),
        }
    }
}

/// Names are compared in lower case, without a final dot.
pub fn tidy(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_that_knows_the_name_decides() {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let mut names = Names::default();
        names.add(0, &own(&["mail01"]), &own(&["mx1.example.com", "mx1"]));
        names.add(1, &[], &own(&["mail01", "mx2.example.com"]));
        names.add(2, &[], &own(&["mx2.other.example"]));
        names.add(3, &[], &own(&["bare"]));
        names.add(4, &[], &own(&["twin"]));
        names.add(5, &[], &own(&["twin"]));
        let cases = [
            ("MAIL01", Resolved::One(0)),
            ("mx1.example.com.", Resolved::One(0)),
            ("mx1", Resolved::One(0)),
            ("mx2.example.com", Resolved::One(1)),
            ("mx2", Resolved::Several(vec![1, 2])),
            ("twin", Resolved::Several(vec![4, 5])),
            ("bare.example.com", Resolved::One(3)),
            ("mx1.elsewhere.example", Resolved::One(0)),
            ("mx2.elsewhere.example", Resolved::None),
            ("nobody", Resolved::None),
            ("", Resolved::None),
        ];
        for (name, expected) in cases {
            assert_eq!(names.resolve(name), expected, "{name}");
        }
    }
}
