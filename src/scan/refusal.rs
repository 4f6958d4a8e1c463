//! Whether a file is a .nessus export, and why it is none. In: its first bytes, or its root
//! element. Out: yes or no; what was found, in words that tell the operator which file to export
//! instead.

use memchr::memmem;

use crate::scan::markup::shown;

/// Whether a file's first bytes (a few kilobytes are enough) are those of a .nessus export of any
/// version, whatever its encoding: behind declaration and comments stands its root element. A
/// file may be named `.nessus` and be none; `read_scan` says what it is instead.
pub fn is_export(head: &[u8]) -> bool {
    let plain: Vec<u8> = head.iter().copied().filter(|b| *b != 0 && b.is_ascii()).collect();
    let mut rest = plain.trim_ascii_start();
    while let Some(behind) = behind_aside(rest) {
        rest = behind;
    }
    [&b"<NessusClientData"[..], b"<ReportHost"].iter().any(|root| rest.starts_with(root))
}

/// What stands behind the comment or instruction that the text begins with, if it does.
fn behind_aside(text: &[u8]) -> Option<&[u8]> {
    let closing: &[u8] = match text {
        [b'<', b'!', b'-', b'-', ..] => b"-->",
        [b'<', b'?', ..] => b"?>",
        _ => return None,
    };
    let end = memmem::find(text, closing)?;
    text.get(end.saturating_add(closing.len())..).map(<[u8]>::trim_ascii_start)
}

const EXPECTED: &str = "expected an export that begins with <NessusClientData_v2";

/// What is wrong with a file that does not begin like XML; none if it does.
pub(super) fn not_xml(head: &[u8]) -> Option<String> {
    let found = match head {
        [] => "an empty file".to_string(),
        [b'P', b'K', 3 | 5, ..] => "a ZIP archive or .xlsx (first bytes 50 4b)".to_string(),
        [0x1f, 0x8b, ..] => "a gzip file inside a compressed file".to_string(),
        _ if head.trim_ascii_start().starts_with(b"<") => return html(head),
        _ if head.trim_ascii_start().is_empty() => return None,
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
            (b"  \n", None),
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
    fn exports_are_recognised_by_their_root() {
        let utf16: Vec<u8> =
            "\u{feff}<NessusClientData_v2>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(&[u8], bool); 8] = [
            (b"<?xml version=\"1.0\" ?>\n<!-- a --><!-- b -->\n<NessusClientData_v2>", true),
            (b"<!-- a --><?xml version=\"1.0\" ?><ReportHost name='x'>", true),
            (b"\xef\xbb\xbf<NessusClientData_v2", true),
            (b"<NessusClientData><Report>", true),
            (&utf16, true),
            (b"<134>Nov  2 10:00:00 fw1 kernel: SRC=192.0.2.1", false),
            (b"<!-- a", false),
            (b"", false),
        ];
        for (head, expected) in cases {
            assert_eq!(is_export(head), expected, "{}", String::from_utf8_lossy(head));
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
