//! The name of a ticket. In: the asset's key and the port. Out: an id that stays the same for as
//! long as the asset and the port do, whatever scans and logs say about them.

use crate::model::judged::JudgedTarget;
use crate::model::text::id_part;

/// `helo-` + asset key + `-` + port, lower case; characters other than ASCII letters, digits and
/// `.:-` become `_`.
pub fn ticket_id(asset_key: &str, port: u16) -> String {
    format!("helo-{}-{port}", id_part(asset_key))
}

/// The ids under which earlier runs may have known the target, before the policy named its asset.
pub fn former_ids(target: &JudgedTarget) -> impl Iterator<Item = String> {
    target.asset.former_keys.iter().map(|key| ticket_id(key, target.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_of_safe_characters() {
        let cases = [
            ("203.0.113.25", 25, "helo-203.0.113.25-25"),
            ("2001:db8::25", 465, "helo-2001:db8::25-465"),
            ("MX1.Example.COM", 587, "helo-mx1.example.com-587"),
            ("mail host/1", 25, "helo-mail_host_1-25"),
            ("m\u{fc}ller", 25, "helo-m_ller-25"),
            ("=cmd\u{202e}", 25, "helo-_cmd_-25"),
        ];
        for (key, port, expected) in cases {
            assert_eq!(ticket_id(key, port), expected);
        }
    }
}
