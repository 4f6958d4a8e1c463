//! What must hold for every export. In: samples changed at random, and exports put together at
//! random. Out: nothing; the reader gives the same wherever it cuts and however little it is
//! handed at a time, and it accepts what quick-xml accepts with its checks switched on and the
//! rules of XML 1.0 that it leaves to its user.

use std::path::Path;

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::scan::proofs::{Failing, outcome, read, samples};
use crate::scan::read::{ScanOptions, read_in_chunks};

/// quick-xml with every check on, and the rules of XML 1.0 that it leaves to its user.
fn quick_xml_accepts(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return true };
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let (mut depth, mut roots) = (0, 0);
    loop {
        let fine = match reader.read_event() {
            Err(_) => return false,
            Ok(Event::Eof) => return depth == 0 && roots == 1,
            Ok(Event::Start(tag)) => {
                roots += u32::from(depth == 0);
                depth += 1;
                well_formed(&tag)
            }
            Ok(Event::Empty(tag)) => {
                roots += u32::from(depth == 0);
                well_formed(&tag)
            }
            Ok(Event::End(_)) => {
                depth -= 1;
                true
            }
            Ok(Event::Text(words)) => {
                !words.contains("]]>") && (depth > 0 || words.trim().is_empty())
            }
            Ok(Event::GeneralRef(name)) => depth > 0 && known_reference(&name),
            Ok(Event::CData(_)) => depth > 0,
            Ok(_) => true,
        };
        if !fine {
            return false;
        }
    }
}

fn well_formed(tag: &BytesStart) -> bool {
    let names_fine = |name: &str| {
        let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':') || !c.is_ascii();
        name.starts_with(first)
            && name.chars().all(|c| first(c) || c.is_ascii_digit() || matches!(c, '-' | '.'))
    };
    names_fine(tag.name().as_ref())
        && tag.attributes().all(|attribute| {
            attribute.is_ok_and(|a| {
                let references = a.value.split('&').skip(1);
                let fine =
                    |tail: &str| tail.split_once(';').is_some_and(|(n, _)| known_reference(n));
                names_fine(a.key.as_ref())
                    && !a.value.contains('<')
                    && references.into_iter().all(fine)
            })
        })
}

fn known_reference(name: &str) -> bool {
    let number =
        |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    matches!(name, "lt" | "gt" | "amp" | "quot" | "apos")
        || name.strip_prefix("#x").is_some_and(|digits| number(digits, 16))
        || name.strip_prefix('#').is_some_and(|digits| number(digits, 10))
}

#[derive(Debug, Clone)]
struct Change {
    at: prop::sample::Index,
    remove: usize,
    insert: &'static str,
}

fn change() -> impl Strategy<Value = Change> {
    let pieces = [
        "",
        "",
        "<",
        ">",
        "/",
        "&",
        ";",
        "\"",
        "'",
        "=",
        " ",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "&lt;",
        "&#10;",
        "<a>",
        "</a>",
        "<ReportItem ",
        "</ReportItem>",
        "<ReportHost name='z'>",
        "</ReportHost>",
        "<Report",
        "é",
        "\u{1}",
        "</Report>",
    ];
    let insert = prop::sample::select(pieces.to_vec());
    (any::<prop::sample::Index>(), 0usize..4, insert).prop_map(|(at, remove, insert)| Change {
        at,
        remove,
        insert,
    })
}

fn changed_sample() -> impl Strategy<Value = Vec<u8>> {
    let samples: Vec<Vec<u8>> = samples().into_iter().map(|(_, bytes)| bytes).collect();
    (prop::sample::select(samples), prop::collection::vec(change(), 0..4)).prop_map(
        |(mut bytes, changes)| {
            for change in changes {
                let at = change.at.index(bytes.len() + 1);
                let end = (at + change.remove).min(bytes.len());
                bytes.splice(at..end, change.insert.bytes());
            }
            bytes
        },
    )
}

/// Exports put together at random from what exports consist of, most of them not well-formed.
fn random_export() -> impl Strategy<Value = String> {
    let pieces = [
        "<Report>",
        "</Report>",
        "<ReportHost name='a'>",
        "</ReportHost>",
        "<ReportHost name='b'/>",
        "<HostProperties><tag name='host-ip'>192.0.2.1</tag></HostProperties>",
        "<ReportItem port='25' severity='0' pluginID='10287'>",
        "</ReportItem>",
        "<ReportItem port='25' severity='0' pluginID='10263'><plugin_output>220 x</plugin_output>",
        "<ReportItem port='25' severity='0' pluginID='10263'/>",
        "<ReportItem port='25' severity='0' pluginID='10287'><a>b</a></ReportItem>",
        "<ReportItem port='25' severity='0' pluginID='10262'></ReportItem>",
        "<!--<ReportItem port='25'>",
        "-->",
        "<![CDATA[<ReportItem port='25'>",
        "]]>",
        "<?x <ReportHost>",
        "?>",
        "<a>",
        "</a>",
        "<a b='",
        "'>",
        "text",
        " ",
        "&lt;",
        "<Policy>",
        "</Policy>",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    let roots = [
        ("<NessusClientData_v2><Report>", "</Report></NessusClientData_v2>"),
        ("<NessusClientData_v2>", "</NessusClientData_v2>"),
        ("<ReportHost name='root'>", "</ReportHost>"),
        (
            "<NessusClientData_v2><Report><ReportHost name='c'>",
            "</ReportHost></Report></NessusClientData_v2>",
        ),
        ("", ""),
    ];
    (prop::sample::select(roots.to_vec()), prop::collection::vec(piece, 0..25), 0..3usize).prop_map(
        |((head, tail), pieces, times)| {
            let body = pieces.concat().repeat(times);
            [head, &body, tail].concat()
        },
    )
}

/// Exports put together at random that are well-formed.
fn proper_export() -> impl Strategy<Value = String> {
    let pieces = [
        "<HostProperties><tag name='host-ip'>192.0.2.1</tag></HostProperties>",
        "<ReportItem port='25' severity='0' pluginID='10263'><plugin_output>220 &lt;ReportItem</plugin_output></ReportItem>",
        "<ReportItem port='25' severity='0' pluginID='10263'/>",
        "<ReportItem port='25' severity='0' pluginID='10287'><a>b</a><c/>d</ReportItem >",
        "<ReportItem port='x' severity='0' pluginID='10287'><a>b</a></ReportItem>",
        "<ReportItem port='25' severity='0' pluginID='10287'><ReportItem port='25' severity='0' pluginID='10263'/></ReportItem>",
        "<!--<ReportItem port='25'>--><![CDATA[<ReportItem port='25'>]]><?x <ReportHost>?>",
        "<a b='/>'>text</a>\n",
        "</ReportHost><ReportHost name='b'>",
        "</ReportHost>\n<ReportHost name='c'/><ReportHost name='d'>",
        "</ReportHost></Report><Report><ReportHost name='e'>",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..30).prop_map(|pieces| {
        format!(
            "<NessusClientData_v2><Report><ReportHost name='a'>{}</ReportHost></Report></NessusClientData_v2>",
            pieces.concat()
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_and_read_sizes_change_nothing(bytes in changed_sample(), size in 24usize..600, step in 1usize..40) {
        let whole = outcome(read(&bytes, 1 << 20));
        prop_assert_eq!(&outcome(read(&bytes, size)), &whole);
        let mut slow = Failing { bytes: &bytes, step, kind: None };
        let options = ScanOptions::default();
        let slow = read_in_chunks(&mut slow, Path::new("x"), 0, &options, size);
        prop_assert_eq!(&outcome(slow), &whole);
    }

    #[test]
    fn what_is_accepted_is_well_formed(bytes in changed_sample()) {
        if read(&bytes, 200).is_ok() && !bytes.starts_with(b"\xff\xfe") {
            prop_assert!(quick_xml_accepts(&bytes));
        }
    }

    #[test]
    fn random_exports_are_read_the_same_whatever_the_cuts(
        export in prop_oneof![random_export(), proper_export()], size in 60usize..400, other in 60usize..400,
    ) {
        let bytes = export.as_bytes();
        let whole = outcome(read(bytes, 1 << 20));
        prop_assert_eq!(&outcome(read(bytes, size)), &whole);
        prop_assert_eq!(&outcome(read(bytes, other)), &whole);
        let root_fits = crate::scan::is_export(bytes);
        prop_assert_eq!(whole.is_ok(), root_fits && quick_xml_accepts(bytes));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut export = b"<NessusClientData_v2>".to_vec();
        export.extend(&bytes);
        prop_assert_eq!(outcome(read(&bytes, 64)), outcome(read(&bytes, 1 << 20)));
        prop_assert_eq!(outcome(read(&export, 64)), outcome(read(&export, 1 << 20)));
    }
}
