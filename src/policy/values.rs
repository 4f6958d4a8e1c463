//! What the texts of a policy mean: networks, names, globs, zones, durations. In: one text. Out:
//! the value, or `found; expected` without file and line, which the caller knows.
//!
//! Numbers are decimal only: 010.0.0.1 is refused, since other programs read it as octal.

use std::net::IpAddr;
use std::path::{Component, Path};
use std::str::FromStr;

use chrono::FixedOffset;
use chrono_tz::{TZ_VARIANTS, Tz};
use globset::{GlobBuilder, GlobMatcher};
use ipnet::IpNet;

use super::document::expected_one_of;
use crate::model::flow::Action;
use crate::model::net::{parse_decimal, parse_ip, parse_network};
use crate::model::policy::{AssetMatch, AssetRole, DuePlan, HostFirewall, Zone, absolute};

/// A value, or what was found and what was expected.
pub(super) type Checked<T> = Result<T, String>;

/// An address or a network.
pub(super) fn network(text: &str) -> Checked<IpNet> {
    parse_network(text).ok_or_else(|| {
        format!(
            "{text:?} is no network; expected an address or a network such as 192.0.2.0/24 or \
             2001:db8::/32, without leading zeros"
        )
    })
}

/// An address.
pub(super) fn address(text: &str) -> Checked<IpAddr> {
    parse_ip(text.as_bytes()).ok_or_else(|| {
        format!(
            "{text:?} is no address; expected one such as 192.0.2.25 or 2001:db8::25, without \
             leading zeros"
        )
    })
}

/// An entry of `match`: what cannot be a name must be a network.
pub(super) fn asset_match(text: &str) -> Checked<AssetMatch> {
    if let Some(network) = parse_network(text) {
        return Ok(AssetMatch::Network(network));
    }
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if numeric || text.contains(['/', ':']) {
        return network(text).map(AssetMatch::Network);
    }
    name(text).map(AssetMatch::Name)
}

/// A host or domain name, lower case, without a final dot.
pub(super) fn name(text: &str) -> Checked<String> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() || bare.contains(char::is_whitespace) || bare.contains(char::is_control) {
        return Err(format!("{text:?} is no name; expected one such as \"mx1.example.com\""));
    }
    Ok(bare.to_lowercase())
}

/// A text that says something.
pub(super) fn filled(text: &str) -> Checked<String> {
    let bare = text.trim();
    if bare.is_empty() {
        return Err("an empty text; expected one, or no such key".to_owned());
    }
    Ok(bare.to_owned())
}

/// A ticket's id.
pub(super) fn ticket(text: &str) -> Checked<String> {
    let id = text.trim().to_lowercase();
    let port = id.rsplit_once('-').and_then(|(_, port)| port.parse::<u16>().ok());
    if id.starts_with("helo-") && port.is_some_and(|port| port > 0) {
        return Ok(id);
    }
    Err(format!(
        "{text:?} is no ticket id; expected one of tickets.csv such as \"helo-192.0.2.25-25\""
    ))
}

/// The name of a supported log format.
pub(super) fn format_name(text: &str, formats: &[&str]) -> Checked<String> {
    if formats.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("unknown format {text:?}; {}", expected_one_of(text, formats)))
}

/// The name of a ticket system's profile.
pub(super) fn output_profile(text: &str, profiles: &[&str]) -> Checked<String> {
    if profiles.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("unknown profile {text:?}; {}", expected_one_of(text, profiles)))
}

/// A host of an Ansible inventory: nothing that a pattern could take for more than one host.
pub(super) fn inventory_host(text: &str) -> Checked<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts
        || !text.chars().all(plain)
        || text.len() > 253
        || text == "all"
        || text == "ungrouped"
    {
        return Err(format!(
            "{text:?} is no host of an inventory; expected its name there, such as \"mx1\": letters, \
             digits, dots, hyphens and _, no group and no pattern"
        ));
    }
    Ok(text.to_owned())
}

/// A firewall of a Linux host.
pub(super) fn host_firewall(text: &str) -> Checked<HostFirewall> {
    HostFirewall::ALL.into_iter().find(|firewall| firewall.word() == text).ok_or_else(|| {
        let words = HostFirewall::ALL.map(HostFirewall::word);
        format!("unknown firewall {text:?}; {}", expected_one_of(text, &words))
    })
}

/// A role.
pub(super) fn role(text: &str) -> Checked<AssetRole> {
    AssetRole::ALL.into_iter().find(|role| role.word() == text).ok_or_else(|| {
        let words = AssetRole::ALL.map(AssetRole::word);
        format!("unknown role {text:?}; {}", expected_one_of(text, &words))
    })
}

/// `allow` or `deny`.
pub(super) fn verdict(text: &str) -> Checked<Action> {
    [Action::Allow, Action::Deny].into_iter().find(|action| action.word() == text).ok_or_else(
        || format!("unknown verdict {text:?}; {}", expected_one_of(text, &["allow", "deny"])),
    )
}

/// A due-date profile.
pub(super) fn profile(text: &str) -> Checked<DuePlan> {
    let found = DuePlan::PROFILES.into_iter().find(|(name, _)| *name == text);
    found.map(|(name, days)| DuePlan { name: name.to_owned(), days }).ok_or_else(|| {
        let names = DuePlan::PROFILES.map(|(name, _)| name);
        format!("unknown profile {text:?}; {}", expected_one_of(text, &names))
    })
}

/// The most days that a due date or a window may have.
const MOST_DAYS: i64 = 3650;

/// Own due days for P1 to P4.
pub(super) fn due_days(numbers: &[i64]) -> Checked<DuePlan> {
    let wrong = || {
        format!(
            "{numbers:?} are no due days; expected four numbers from 1 to {MOST_DAYS}, none \
             smaller than the one before, such as [3, 14, 60, 180]"
        )
    };
    let days = <[i64; 4]>::try_from(numbers).map_err(|_| wrong())?;
    if !days.is_sorted() || days.iter().any(|n| !(1..=MOST_DAYS).contains(n)) {
        return Err(wrong());
    }
    Ok(DuePlan { name: "own".to_owned(), days: days.map(|n| n as u32) })
}

/// A duration of at most a day, in seconds.
pub(super) fn tolerance(text: &str) -> Checked<i64> {
    duration(text).filter(|seconds| *seconds <= 86_400).ok_or_else(|| {
        format!("{text:?} is no tolerance; expected a duration of at most a day such as \"120s\"")
    })
}

/// A number of whole days, at least one.
pub(super) fn window(text: &str) -> Checked<u32> {
    duration(text)
        .filter(|seconds| seconds % 86_400 == 0 && (1..=MOST_DAYS).contains(&(seconds / 86_400)))
        .map(|seconds| (seconds / 86_400) as u32)
        .ok_or_else(|| {
            format!(
                "{text:?} is no window; expected whole days such as \"90d\", at most {MOST_DAYS}"
            )
        })
}

/// `120s`, `2m`, `1h`, `90d` in seconds.
fn duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number = parse_decimal(text.strip_suffix(unit)?.trim_end().as_bytes())?;
    i64::try_from(number).ok()?.checked_mul(factor)
}

/// An IANA zone, or a fixed offset such as `+02:00`, `-0530`, `+01`, `Z`.
pub(super) fn zone(text: &str) -> Checked<Zone> {
    if let Ok(named) = Tz::from_str(text) {
        return Ok(Zone::Named(named));
    }
    if let Some(offset) = fixed_offset(text) {
        return Ok(Zone::Fixed(offset));
    }
    let nearest = TZ_VARIANTS
        .iter()
        .map(|tz| {
            (strsim::damerau_levenshtein(&text.to_lowercase(), &tz.name().to_lowercase()), tz)
        })
        .min_by_key(|(distance, tz)| (*distance, tz.name()))
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, tz)| format!("{:?}, ", tz.name()))
        .unwrap_or_default();
    Err(format!(
        "unknown zone {text:?}; expected {nearest}an IANA name such as \"Europe/Berlin\" or a \
         fixed offset such as \"+02:00\""
    ))
}

fn fixed_offset(text: &str) -> Option<FixedOffset> {
    if text == "Z" {
        return FixedOffset::east_opt(0);
    }
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [a, b] => ([*a, *b], *b"00"),
        [a, b, c, d] | [a, b, b':', c, d] => ([*a, *b], [*c, *d]),
        _ => return None,
    };
    let (hours, minutes) = (parse_decimal(&hours)? as i32, parse_decimal(&minutes)? as i32);
    // No zone in use is further than 14 hours from UTC.
    (hours <= 14 && minutes < 60)
        .then(|| FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60)))
        .flatten()
}

/// A glob over absolute paths; a relative one starts at `folder`. `*` and `?` stop at a slash,
/// `**` does not.
pub(super) fn glob(text: &str, folder: &Path) -> Checked<GlobMatcher> {
    let wrong = |why: String| {
        format!("{text:?} is no glob: {why}; expected one such as \"firewall/asa*.log\"")
    };
    if text.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    if text == "-" {
        return compile(text).map_err(wrong);
    }
    // The pattern's own `.` and `..` are resolved here: the paths it meets have none.
    let mut base = if text.starts_with('/') { "/".into() } else { absolute(folder_or_dot(folder)) };
    let mut rest = Vec::new();
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if rest.is_empty() => {
                base.pop();
            }
            part => rest.push(part),
        }
    }
    let base = globset::escape(&base.to_string_lossy());
    let whole = format!("{}/{}", base.trim_end_matches('/'), rest.join("/"));
    compile(&whole).map_err(wrong)
}

fn compile(pattern: &str) -> Checked<GlobMatcher> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().to_string())
}

/// A glob joined to the policy's folder, as the list of inputs reads it.
pub(super) fn joined_glob(text: &str, folder: &Path) -> Checked<String> {
    glob(text, folder)?;
    if text.starts_with('/') || folder.as_os_str().is_empty() {
        return Ok(text.to_owned());
    }
    let folder = globset::escape(&folder.to_string_lossy());
    Ok(format!("{}/{text}", folder.trim_end_matches('/')))
}

fn folder_or_dot(folder: &Path) -> &Path {
    if folder.components().next().is_none() {
        Path::new(Component::CurDir.as_os_str())
    } else {
        folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        let cases = [
            ("Europe/Berlin", "Named(Europe/Berlin)"),
            ("UTC", "Named(UTC)"),
            ("Z", "Fixed(+00:00)"),
            ("+02:00", "Fixed(+02:00)"),
            ("-0530", "Fixed(-05:30)"),
            ("+01", "Fixed(+01:00)"),
        ];
        for (text, expected) in cases {
            assert_eq!(format!("{:?}", zone(text).unwrap()), expected, "{text}");
        }
        for text in ["", "Berlin", "+15:00", "+0260", "+2", "Europe", "+-1:00"] {
            assert!(zone(text).is_err(), "{text}");
        }
        assert!(zone("Europe/Brelin").unwrap_err().contains("expected \"Europe/Berlin\", an IANA"));
    }

    #[test]
    fn durations() {
        for (text, expected) in
            [("120s", Some(120)), ("2m", Some(120)), ("1h", Some(3600)), ("0s", Some(0))]
        {
            assert_eq!(tolerance(text).ok(), expected, "{text}");
        }
        for text in ["", "120", "s", "2d", "-1s", "1.5h", "99999999999999999999s", "1ä"] {
            assert!(tolerance(text).is_err(), "{text}");
        }
        assert_eq!(window("90d"), Ok(90));
        assert_eq!(window("48h"), Ok(2));
        assert!(window("0d").is_err() && window("36h").is_err() && window("9999d").is_err());
    }

    #[test]
    fn globs_match_absolute_paths() {
        let cases = [
            ("fw/asa*.log", "/etc/ht", "/etc/ht/fw/asa1.log", true),
            ("fw/asa*.log", "/etc/ht", "/etc/ht/fw/sub/asa1.log", false),
            ("./fw/../x", "/etc/ht", "/etc/ht/x", false),
            ("../logs/**/*.log", "/etc/ht", "/etc/logs/a/b/c.log", true),
            ("/var/log/mail*", "/etc/ht", "/var/log/mail.log", true),
            ("a/*", "/etc/h[t]", "/etc/h[t]/a/b", true),
            ("-", "/etc/ht", "-", true),
        ];
        for (pattern, folder, path, expected) in cases {
            let glob = glob(pattern, Path::new(folder)).unwrap();
            assert_eq!(glob.is_match(path), expected, "{pattern} in {folder} on {path}");
        }
        assert!(glob("a[", Path::new("/")).unwrap_err().contains("is no glob"));
        assert!(glob("", Path::new("/")).is_err());
    }

    #[test]
    fn globs_of_inputs_join_the_folder() {
        let cases = [
            ("scan/*", "demo", "demo/scan/*"),
            ("/scan/*", "demo", "/scan/*"),
            ("scan/*", "", "scan/*"),
            ("scan/*", "d[1]", "d[[]1[]]/scan/*"),
        ];
        for (text, folder, expected) in cases {
            assert_eq!(joined_glob(text, Path::new(folder)).unwrap(), expected);
        }
    }

    #[test]
    fn matches_are_networks_or_names() {
        assert!(matches!(asset_match("203.0.113.25"), Ok(AssetMatch::Network(_))));
        assert_eq!(asset_match("MX1.Example.COM."), Ok(AssetMatch::Name("mx1.example.com".into())));
        for text in ["203.0.113", "010.0.0.1", "10.0.0.0/33", "::zz", "a b", ""] {
            assert!(asset_match(text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_due_days() {
        assert_eq!(due_days(&[1, 2, 2, 9]).unwrap().days, [1, 2, 2, 9]);
        for wrong in [&[1, 2, 3][..], &[0, 1, 2, 3], &[3, 2, 5, 6], &[1, 2, 3, 99999]] {
            assert!(due_days(wrong).is_err(), "{wrong:?}");
        }
    }
}
