//! What begins with `<!` or `<?`: comments, CDATA, DOCTYPE, instructions, the XML declaration.
//! In: bytes and where to start. Out: what it is and where it ends, or a fault, or that the bytes
//! end inside it.
//!
//! A DOCTYPE with declarations is refused: entities that it declares could expand without end or
//! name files. Where these may stand is the caller's to check.

use memchr::{memchr, memmem};

use crate::scan::markup::{
    NAME, NAME_START, SPACE, Stop, attribute, fault, is, is_space, run, shown,
};

/// What `<!` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bang {
    Comment,
    Cdata,
    Doctype,
}

/// A comment, CDATA section or DOCTYPE, `at` its `<`: which, and the offset behind it.
pub(super) fn bang(bytes: &[u8], at: usize) -> Result<(Bang, usize), Stop> {
    let rest = bytes.get(at..).unwrap_or_default();
    let kinds =
        [(&b"<!--"[..], Bang::Comment), (b"<![CDATA[", Bang::Cdata), (b"<!DOCTYPE", Bang::Doctype)];
    for (opening, kind) in kinds {
        if rest.starts_with(opening) {
            let body = at.saturating_add(opening.len());
            let after = match kind {
                Bang::Comment => comment(bytes, body)?,
                Bang::Cdata => find(bytes, body, b"]]>")?.saturating_add(3),
                Bang::Doctype => doctype(bytes, body)?,
            };
            return Ok((kind, after));
        }
        if opening.starts_with(rest) {
            return Err(Stop::Incomplete);
        }
    }
    fault(at, format!("found {}; expected a comment or CDATA", shown(bytes, at)))
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Result<usize, Stop> {
    let ahead = memmem::find(bytes.get(from..).unwrap_or_default(), needle);
    ahead.map(|n| from.saturating_add(n)).ok_or(Stop::Incomplete)
}

fn comment(bytes: &[u8], body: usize) -> Result<usize, Stop> {
    let dashes = find(bytes, body, b"--")?;
    match bytes.get(dashes.saturating_add(2)) {
        None => Err(Stop::Incomplete),
        Some(b'>') => Ok(dashes.saturating_add(3)),
        Some(_) => fault(dashes, "found -- inside a comment; expected \"-->\""),
    }
}

/// A DOCTYPE that declares nothing is harmless; one with declarations could expand without end.
fn doctype(bytes: &[u8], body: usize) -> Result<usize, Stop> {
    let mut at = body;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(ahead) = rest.iter().position(|b| matches!(b, b'>' | b'[' | b'<' | b'"' | b'\''))
        else {
            return Err(Stop::Incomplete);
        };
        let found = at.saturating_add(ahead);
        match bytes.get(found) {
            Some(b'>') => return Ok(found.saturating_add(1)),
            Some(&quote @ (b'"' | b'\'')) => {
                let inside = found.saturating_add(1);
                let close = memchr(quote, bytes.get(inside..).unwrap_or_default());
                at = inside.saturating_add(close.ok_or(Stop::Incomplete)?).saturating_add(1);
            }
            _ => {
                return fault(
                    found,
                    "found a DOCTYPE with declarations; expected none: they are refused",
                );
            }
        }
    }
}

/// What `<?` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// `<?xml …?>`.
    Declaration,
    /// Any other.
    Other,
}

/// A processing instruction, `at` its `<`: which, and the offset behind it.
pub(super) fn instruction(bytes: &[u8], at: usize) -> Result<(Instruction, usize), Stop> {
    let from = at.saturating_add(2);
    let end = find(bytes, from, b"?>")?;
    let target = bytes.get(from..run(bytes, from, NAME)).unwrap_or_default();
    let body = bytes.get(from..end).unwrap_or_default();
    let spaced = body.get(target.len()).is_none_or(|&b| is_space(b));
    if !target.first().is_some_and(|&b| is(b, NAME_START)) || target.len() > body.len() || !spaced {
        return fault(at, format!("found {}; expected a processing instruction", shown(bytes, at)));
    }
    let after = end.saturating_add(2);
    if !target.eq_ignore_ascii_case(b"xml") {
        return Ok((Instruction::Other, after));
    }
    if target != b"xml" || !is_declaration(bytes, from.saturating_add(target.len()), end) {
        let found = shown(bytes, at);
        return fault(at, format!("found {found}; expected <?xml version=\"1.0\" ?>"));
    }
    Ok((Instruction::Declaration, after))
}

/// XML 1.0, 2.8: `version`, then `encoding` and `standalone` if at all, in this order.
fn is_declaration(bytes: &[u8], from: usize, end: usize) -> bool {
    let mut left: &[&[u8]] = &[b"version", b"encoding", b"standalone"];
    let (mut at, mut version) = (from, false);
    while run(bytes, at, SPACE) < end {
        let next = run(bytes, at, SPACE);
        let Some(Ok(found)) = (next > at).then(|| attribute(bytes, next)) else { return false };
        let name = bytes.get(found.name).unwrap_or_default();
        let value = bytes.get(found.value.clone()).unwrap_or_default();
        let Some(place) = left.iter().position(|known| *known == name) else { return false };
        left = left.get(place.saturating_add(1)..).unwrap_or_default();
        version |= name == b"version";
        let right = match name {
            b"version" => {
                value.strip_prefix(b"1.").is_some_and(|n| n.iter().all(u8::is_ascii_digit))
            }
            b"encoding" => value.first().is_some_and(u8::is_ascii_alphabetic),
            _ => matches!(value, b"yes" | b"no"),
        };
        if !right || found.value.end >= end {
            return false;
        }
        at = found.value.end.saturating_add(1);
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(stop: &Stop) -> String {
        match stop {
            Stop::Fault(fault) => format!("{}: {}", fault.at, fault.message),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn comments_cdata_doctype_instructions() {
        let cases = [
            ("<!-- <a> -->x", "Comment 12"),
            ("<!-- a -- b -->", "7: found -- inside a comment; expected \"-->\""),
            ("<!-- a --", "Incomplete"),
            ("<![CDATA[ <a>]] ]]>x", "Cdata 19"),
            ("<!DOCTYPE a SYSTEM \"x>y\">", "Doctype 25"),
            (
                "<!DOCTYPE a [<!ENTITY b 'c'>]>",
                "12: found a DOCTYPE with declarations; expected none: they are refused",
            ),
            ("<!ELEMENT a>", "0: found \"<!ELEMENT a>\"; expected a comment or CDATA"),
            ("<!", "Incomplete"),
        ];
        for (input, expected) in cases {
            let got = match bang(input.as_bytes(), 0) {
                Ok((kind, after)) => format!("{kind:?} {after}"),
                Err(stop) => message(&stop),
            };
            assert_eq!(got, expected, "{input}");
        }
        let cases = [
            ("<?xml version=\"1.0\"?>", "Declaration 21"),
            ("<?a b?>", "Other 7"),
            ("<??>", "0: found \"<??>\"; expected a processing instruction"),
            (
                "<?XML version='1'?>",
                "0: found \"<?XML version='1'?>\"; expected <?xml version=\"1.0\" ?>",
            ),
            ("<?xml version='1.0' encoding=\"UTF-8\" standalone='no' ?>", "Declaration 55"),
            (
                "<?xml encoding='UTF-8'?>",
                "0: found \"<?xml encoding='UTF-8'?>\"; expected <?xml version=\"1.0\" ?>",
            ),
            ("<?xml?>", "0: found \"<?xml?>\"; expected <?xml version=\"1.0\" ?>"),
            ("<?xml ", "Incomplete"),
        ];
        for (input, expected) in cases {
            let got = match instruction(input.as_bytes(), 0) {
                Ok((kind, after)) => format!("{kind:?} {after}"),
                Err(stop) => message(&stop),
            };
            assert_eq!(got, expected, "{input}");
        }
    }
}
