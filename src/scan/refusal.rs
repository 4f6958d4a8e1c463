//! Why a file is no .nessus export. In: its first bytes, or its root element. Out: what was
//! found, in words that tell the operator which file to export instead.

use crate::scan::markup::shown;

const EXPECTED: &str = "expected an export that begins with <NessusClientData_v2";

/// What is wrong with a file that does not begin like XML; none if it does.
pub(super) fn not_xml(head: &[u8]) -> Option<String> {
    let found = match head {
        [] => "an empty file".to_string(),
        [b'P', b'K', 3 | 5, ..] => "a ZIP archive or .xlsx (first bytes 50 4b)".to_string(),
        [0x1f, 0x8b, ..] => "a gzip file inside a compressed file".to_string(),
        _ if head.trim_ascii_start().starts_with(b"<") => return html(head),
        _ if head.trim_ascii_start().is_empty() && head.len() < 512 => "only blanks".to_string(),
        _ => format!("first bytes {}", hex(head)),
    };
    Some(format!("found {found}; {EXPECTED}"))
}

fn html(head: &[u8]) -> Option<String> {
    let text = head.trim_ascii_start().to_ascii_lowercase();
    let page = text.starts_with(b"<!doctype html") || text.starts_with(b"<html");
    page.then(|| format!("found an HTML page (perhaps of a login); {EXPECTED}"))
}

fn hex(head: &[u8]) -> String {
    let bytes: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    bytes.join(" ")
}

/// What is wrong with a root element, `at` its `<`.
pub(super) fn wrong_root(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at.saturating_add(1)..).unwrap_or_default();
    let end = rest.iter().position(|b| matches!(b, b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n'));
    let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    if name == b"NessusClientData" {
        return "found a version 1 export (NessusClientData); expected NessusClientData_v2: export \
                the scan again as .nessus (v2)"
            .to_string();
    }
    let found = shown(bytes, at);
    format!("found the root element {found}; expected <NessusClientData_v2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named() {
        let cases: [(&[u8], Option<&str>); 7] = [
            (b"", Some("found an empty file")),
            (b"PK\x03\x04xl/", Some("found a ZIP archive or .xlsx (first bytes 50 4b)")),
            (b"SQLite format 3\0", Some("found first bytes 53 51 4c 69 74 65 20 66")),
            (b" \n<!doctype HTML>", Some("found an HTML page (perhaps of a login)")),
            (b"  \n", Some("found only blanks")),
            (b" <?xml version=\"1.0\"?>", None),
            (b"<NessusClientData_v2>", None),
        ];
        for (head, expected) in cases {
            let message = not_xml(head);
            let expected = expected.map(|found| format!("{found}; {EXPECTED}"));
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn wrong_roots_are_named() {
        assert_eq!(
            wrong_root(b"<NessusClientData><x>", 0),
            "found a version 1 export (NessusClientData); expected NessusClientData_v2: export the \
             scan again as .nessus (v2)"
        );
        assert_eq!(
            wrong_root(b"<a>", 0),
            "found the root element \"<a>\"; expected <NessusClientData_v2"
        );
    }
}
