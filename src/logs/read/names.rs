//! What a log's name tells of rotation. In: a path. Out: the name without what rotation added, and
//! how far the file has moved on.
//!
//! Names prove nothing: they only divide what the content leaves open.

use std::path::Path;

/// Endings that compressing a log gives its name.
const PACKED: [&str; 6] = [".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z"];

/// Above every date of ten digits, so that an older date counts as farther moved on.
const BEFORE_DATES: i64 = 10_000_000_000;

/// The name of a log without what rotation adds to it, `fw/asa.log` for `fw/asa.log.2.gz`,
/// `fw/asa.log-20261102` and `fw/asa.log` itself; and how far rotation has moved it on, more for an
/// older file, 0 for the one that is written.
pub(super) fn rotated(path: &Path) -> (String, i64) {
    let shown = path.display().to_string();
    let packed = PACKED.iter().find_map(|ending| shown.strip_suffix(ending));
    let name = packed.unwrap_or(&shown);
    let Some((stem, ending)) = name.rsplit_once(['.', '-']) else { return (name.to_owned(), 0) };
    let is_date = matches!(ending.len(), 8 | 10);
    let is_turn = name.as_bytes().get(stem.len()) == Some(&b'.') && (1..=3).contains(&ending.len());
    // Logs may be named by their firewalls: `edge-1`, or an address.
    let own = stem.rsplit('/').next().unwrap_or_default();
    let is_word = own.bytes().any(|b| b.is_ascii_alphabetic());
    let is_number = ending.bytes().all(|b| b.is_ascii_digit());
    match ending.parse::<i64>() {
        Ok(turn) if is_number && is_word && is_turn => (stem.to_owned(), turn),
        Ok(date) if is_number && is_word && is_date => (stem.to_owned(), BEFORE_DATES - date),
        _ => (name.to_owned(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_changes_only_the_age() {
        let cases = [
            ("fw/asa.log", "fw/asa.log", 0),
            ("fw/asa.log.1", "fw/asa.log", 1),
            ("fw/asa.log.12.gz", "fw/asa.log", 12),
            ("fw/asa.log-20261102.xz", "fw/asa.log", 9_979_738_898),
            ("fw/asa.log-2026110213", "fw/asa.log", 7_973_889_787),
            ("fw/asa.log.gz", "fw/asa.log", 0),
            ("fw/10.0.0.1", "fw/10.0.0.1", 0),
            ("fw/edge-1", "fw/edge-1", 0),
            ("fw/7", "fw/7", 0),
            ("-", "-", 0),
        ];
        for (path, name, age) in cases {
            assert_eq!(rotated(Path::new(path)), (name.to_owned(), age), "{path}");
        }
    }
}
