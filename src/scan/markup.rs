//! XML 1.0 markup, byte by byte. In: bytes and where to start. Out: where the piece of markup
//! ends, or a fault (what was found, what was expected), or that the bytes end inside it.
//!
//! Checks what XML 1.0 calls well-formed of one piece: names, attributes (quoted, unique, no `<`),
//! references (the five entities and numbers). What begins with `<!` or `<?` is in `bang`. Left to
//! the caller: nesting. Left to the readers of text: bytes that are no UTF-8, control characters, and
//! references to characters that XML forbids are replaced and counted there, since one odd
//! banner must not cost a whole scan.

use std::ops::Range;

use memchr::memchr3;

/// Most attributes that one tag may have.
const MAX_ATTRIBUTES: usize = 4096;

/// Why reading stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The markup is not well-formed.
    Fault(Box<Fault>),
    /// The export ends inside something.
    Cut(Box<Fault>),
    /// The bytes end inside a piece of markup: more of them are needed.
    Incomplete,
    /// A guess about the surroundings was too weak: read again knowing them.
    Unsure,
}

/// Something that is not well-formed, or over a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset in the bytes that were read.
    pub(super) at: usize,
    /// What was found and what was expected.
    pub(super) message: String,
}

/// A fault at an offset.
pub(super) fn fault<T>(at: usize, message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fault(Box::new(Fault { at, message: message.into() })))
}

/// The first bytes from an offset, printable, for messages.
pub(super) fn shown(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    let cut = rest.get(..24).unwrap_or(rest);
    format!("{:?}", String::from_utf8_lossy(cut))
}

/// One attribute of a tag: where its name and its raw value (without quotes) stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// How a start tag ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagEnd {
    /// `>`: children follow.
    Open,
    /// `/>`.
    Empty,
}

/// A start tag: where its name stands, how it ended, and the offset behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartTag {
    pub(super) name: Range<usize>,
    pub(super) end: TagEnd,
    pub(super) after: usize,
}

/// Bytes that names consist of.
pub(super) const NAME: u8 = 1;
/// Bytes that names begin with.
pub(super) const NAME_START: u8 = 2;
/// White space.
pub(super) const SPACE: u8 = 4;

/// What each byte may be. Bytes above 0x7f are parts of letters outside ASCII.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() || b == b'_' || b == b':' || b >= 0x80 {
            table[byte] = NAME | NAME_START;
        } else if b.is_ascii_digit() || b == b'-' || b == b'.' {
            table[byte] = NAME;
        } else if matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
            table[byte] = SPACE;
        }
        byte += 1;
    }
    table
}

/// Whether a byte is of a class.
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASS.get(usize::from(byte)).is_some_and(|c| c & class != 0)
}

/// Whether a byte is white space in XML.
pub(super) fn is_space(byte: u8) -> bool {
    is(byte, SPACE)
}

/// Where the bytes of a class that begin at `at` end.
pub(super) fn run(bytes: &[u8], at: usize, class: u8) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at.saturating_add(rest.iter().position(|&b| !is(b, class)).unwrap_or(rest.len()))
}

/// Where one of three bytes stands next. Mostly within a few bytes, which are compared eight at a
/// time, in place; `memchr` is faster only where it is further.
#[inline]
fn next_of(wanted: [u8; 3], rest: &[u8]) -> Option<usize> {
    const NEAR: usize = 3;
    let (words, _) = rest.as_chunks::<8>();
    for (index, word) in words.iter().take(NEAR).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = wanted.iter().fold(0, |found, byte| {
            // A byte is zero where it is equal; the lowest one that borrows is the first of them.
            let apart = word ^ u64::from_ne_bytes([*byte; 8]);
            let borrows = apart.wrapping_sub(u64::from_ne_bytes([0x01; 8]));
            found | borrows & !apart & u64::from_ne_bytes([0x80; 8])
        });
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let passed = words.len().min(NEAR) * 8;
    let [a, b, c] = wanted;
    memchr3(a, b, c, rest.get(passed..)?).map(|ahead| passed + ahead)
}

/// Character data from `at` on: the offset of the next `<`, or the end of the bytes.
#[inline]
pub(super) fn text(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let mut from = at;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let Some(ahead) = next_of([b'<', b'&', b']'], rest) else { return Ok(bytes.len()) };
        let found = from.saturating_add(ahead);
        match bytes.get(found) {
            Some(b'&') => from = reference(bytes, found)?,
            Some(b']') if bytes.get(found..).is_some_and(|rest| rest.starts_with(b"]]>")) => {
                return fault(found, "found \"]]>\" in text; expected \"]]&gt;\"");
            }
            Some(b']') => from = found.saturating_add(1),
            _ => return Ok(found),
        }
    }
}

/// A reference, `at` its `&`: the offset behind the `;`.
fn reference(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let rest = bytes.get(at.saturating_add(1)..).unwrap_or_default();
    let usual = match rest {
        [b'q', b'u', b'o', b't', b';', ..] | [b'a', b'p', b'o', b's', b';', ..] => 6,
        [b'l' | b'g', b't', b';', ..] => 4,
        [b'#', b'x', b'd', b';', ..] | [b'a', b'm', b'p', b';', ..] => 5,
        _ => 0,
    };
    if usual > 0 {
        return Ok(at.saturating_add(usual));
    }
    let length = rest.iter().position(|&b| !(is(b, NAME) || b == b'#'));
    let body = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
    match length.and_then(|n| rest.get(n)) {
        None if body.len() < 64 => Err(Stop::Incomplete),
        Some(b';') if is_number(body) => Ok(at.saturating_add(body.len()).saturating_add(2)),
        Some(b';') => fault(
            at,
            format!(
                "found the undeclared entity {}; expected &lt; &gt; &amp; &quot; &apos; or a \
                 character number",
                shown(bytes, at)
            ),
        ),
        _ => fault(at, format!("found {}; expected \"&amp;\" for a plain &", shown(bytes, at))),
    }
}

/// `#13` or `#xD`, without `&` and `;`.
fn is_number(body: &[u8]) -> bool {
    match body.strip_prefix(b"#") {
        Some([b'x', hex @ ..]) => !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit),
        Some(digits) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        None => false,
    }
}

/// A start tag, `at` its `<`; its attributes are left in `attributes`.
#[inline]
pub(super) fn start_tag(
    bytes: &[u8],
    at: usize,
    attributes: &mut Vec<Attribute>,
) -> Result<StartTag, Stop> {
    attributes.clear();
    let from = at.saturating_add(1);
    let Some(&first) = bytes.get(from) else { return Err(Stop::Incomplete) };
    if !is(first, NAME_START) {
        let found = shown(bytes, at);
        return fault(at, format!("found {found}; expected a tag, or \"&lt;\" for a plain <"));
    }
    let name = from..run(bytes, from, NAME);
    if bytes.get(name.end) == Some(&b'>') {
        let after = name.end.saturating_add(1);
        return Ok(StartTag { name, end: TagEnd::Open, after });
    }
    let (end, after) = attribute_list(bytes, at, name.end, attributes)?;
    if attributes.len() > 1 {
        check_unique(bytes, attributes)?;
    }
    Ok(StartTag { name, end, after })
}

/// Names of tags without attributes that were read before, by their first eight bytes: items have the
/// same elements over and over, and comparing a name is quicker than looking at each of its bytes.
#[derive(Debug)]
pub(super) struct KnownNames([(usize, usize); 64]);

impl KnownNames {
    /// None yet.
    pub(super) fn new() -> Self {
        Self([(0, 0); 64])
    }

    /// The start tag at `at` if it is `<name>` with a known name, in the same bytes as always.
    #[inline]
    pub(super) fn tag(&self, bytes: &[u8], at: usize) -> Option<StartTag> {
        let from = at.saturating_add(1);
        let rest = bytes.get(from..)?;
        let &(start, length) = self.0.get(Self::slot(rest)?)?;
        let name =
            bytes.get(start..start.saturating_add(length)).filter(|name| !name.is_empty())?;
        let found = rest.get(length) == Some(&b'>') && rest.starts_with(name);
        let end = from.saturating_add(length);
        let tag = StartTag { name: from..end, end: TagEnd::Open, after: end.saturating_add(1) };
        found.then_some(tag)
    }

    /// Remembers the name of a tag without attributes.
    pub(super) fn add(&mut self, bytes: &[u8], tag: &StartTag) {
        let name = tag.name.clone();
        let plain = tag.end == TagEnd::Open && tag.after == name.end.saturating_add(1);
        // Of a shorter one the slot would depend on what follows it.
        let slot = bytes.get(name.clone()).filter(|_| plain).and_then(Self::slot);
        if let Some(known) = slot.and_then(|slot| self.0.get_mut(slot)) {
            *known = (name.start, name.len());
        }
    }

    fn slot(text: &[u8]) -> Option<usize> {
        let word = u64::from_le_bytes(*text.first_chunk()?);
        Some((word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize)
    }
}

/// The attributes of the tag that begins at `tag`, from behind its name to its end.
fn attribute_list(
    bytes: &[u8],
    tag: usize,
    from: usize,
    attributes: &mut Vec<Attribute>,
) -> Result<(TagEnd, usize), Stop> {
    let mut at = from;
    loop {
        let next = run(bytes, at, SPACE);
        match bytes.get(next) {
            None => return Err(Stop::Incomplete),
            Some(b'>') => return Ok((TagEnd::Open, next.saturating_add(1))),
            Some(b'/') => return empty_end(bytes, next),
            Some(&b) if is(b, NAME_START) && next > at => {}
            Some(_) => {
                let found = shown(bytes, next);
                return fault(
                    next,
                    format!("found {found} inside a tag; expected an attribute or >"),
                );
            }
        }
        if attributes.len() >= MAX_ATTRIBUTES {
            return fault(tag, format!("limit: a tag of more than {MAX_ATTRIBUTES} attributes"));
        }
        let attribute = attribute(bytes, next)?;
        at = attribute.value.end.saturating_add(1);
        attributes.push(attribute);
    }
}

fn empty_end(bytes: &[u8], slash: usize) -> Result<(TagEnd, usize), Stop> {
    match bytes.get(slash.saturating_add(1)) {
        None => Err(Stop::Incomplete),
        Some(b'>') => Ok((TagEnd::Empty, slash.saturating_add(2))),
        Some(_) => fault(slash, format!("found {}; expected \"/>\"", shown(bytes, slash))),
    }
}

/// One attribute, `at` the first byte of its name.
pub(super) fn attribute(bytes: &[u8], at: usize) -> Result<Attribute, Stop> {
    let name = at..run(bytes, at, NAME);
    let usual = matches!(bytes.get(name.end..), Some([b'=', b'"' | b'\'', ..]));
    let open = if usual {
        name.end.saturating_add(1)
    } else {
        let equals = skip_to(bytes, name.end, b'=', "expected = after the attribute's name")?;
        run(bytes, equals.saturating_add(1), SPACE)
    };
    let quote = match bytes.get(open) {
        None => return Err(Stop::Incomplete),
        Some(&quote @ (b'"' | b'\'')) => quote,
        Some(_) => {
            let found = shown(bytes, open);
            return fault(open, format!("found {found}; expected a quoted attribute value"));
        }
    };
    let start = open.saturating_add(1);
    let mut from = start;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let Some(ahead) = next_of([quote, b'&', b'<'], rest) else { return Err(Stop::Incomplete) };
        let found = from.saturating_add(ahead);
        match bytes.get(found) {
            Some(b'&') => from = reference(bytes, found)?,
            Some(b'<') => {
                return fault(
                    found,
                    "found < in an attribute value; expected \"&lt;\" or the quote",
                );
            }
            _ => return Ok(Attribute { name, value: start..found }),
        }
    }
}

/// Skips white space up to the byte that must come next.
fn skip_to(bytes: &[u8], at: usize, wanted: u8, expected: &str) -> Result<usize, Stop> {
    let next = run(bytes, at, SPACE);
    match bytes.get(next) {
        None => Err(Stop::Incomplete),
        Some(&b) if b == wanted => Ok(next),
        Some(_) => fault(next, format!("found {}; {expected}", shown(bytes, next))),
    }
}

/// XML 1.0, 3.1: no attribute name may appear more than once in a tag.
fn check_unique(bytes: &[u8], attributes: &[Attribute]) -> Result<(), Stop> {
    let name = |a: &Attribute| bytes.get(a.name.clone()).unwrap_or_default();
    let twice = if attributes.len() <= 16 {
        attributes.iter().enumerate().find_map(|(i, a)| {
            attributes.iter().take(i).any(|b| name(a) == name(b)).then_some(a.name.start)
        })
    } else {
        let mut sorted: Vec<&Attribute> = attributes.iter().collect();
        sorted.sort_by(|a, b| name(a).cmp(name(b)).then(a.name.start.cmp(&b.name.start)));
        sorted.windows(2).find_map(|pair| match pair {
            [a, b] if name(a) == name(b) => Some(b.name.start),
            _ => None,
        })
    };
    match twice {
        None => Ok(()),
        Some(at) => fault(at, format!("found {} twice in a tag", shown(bytes, at))),
    }
}

/// An end tag of another form than `</name>`, `at` its `<`: its name and the offset behind it.
pub(super) fn end_tag(bytes: &[u8], at: usize) -> Result<(Range<usize>, usize), Stop> {
    let from = at.saturating_add(2);
    let name = from..run(bytes, from, NAME);
    match bytes.get(from) {
        None => return Err(Stop::Incomplete),
        Some(&b) if is(b, NAME_START) => {}
        Some(_) => return fault(at, format!("found {}; expected an end tag", shown(bytes, at))),
    }
    let close = skip_to(bytes, name.end, b'>', "expected > of the end tag")?;
    Ok((name, close.saturating_add(1)))
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
    fn text_ends_at_the_next_tag_and_its_references_are_checked() {
        let cases = [
            ("a &lt; b<", "8"),
            ("&#xd;&#13;&#xA0;x<", "17"),
            ("plain", "5"),
            ("a & b<", "2: found \"& b<\"; expected \"&amp;\" for a plain &"),
            (
                "&nbsp;<",
                "0: found the undeclared entity \"&nbsp;<\"; expected &lt; &gt; &amp; &quot; &apos; \
                 or a character number",
            ),
            (
                "&#x;<",
                "0: found the undeclared entity \"&#x;<\"; expected &lt; &gt; &amp; &quot; &apos; or a character number",
            ),
            ("a]]>b<", "1: found \"]]>\" in text; expected \"]]&gt;\""),
            ("&am", "Incomplete"),
        ];
        for (input, expected) in cases {
            let got = match text(input.as_bytes(), 0) {
                Ok(end) => end.to_string(),
                Err(stop) => message(&stop),
            };
            assert_eq!(got, expected, "{input}");
        }
    }

    #[test]
    fn start_tags() {
        let cases = [
            ("<a>", "1..2 Open 3 0"),
            ("<a/>", "1..2 Empty 4 0"),
            ("<cm:x-1 a='1' b = \"&amp;'\" />", "1..7 Empty 29 2"),
            ("< a>", "0: found \"< a>\"; expected a tag, or \"&lt;\" for a plain <"),
            ("<<a>", "0: found \"<<a>\"; expected a tag, or \"&lt;\" for a plain <"),
            ("<a@b>", "2: found \"@b>\" inside a tag; expected an attribute or >"),
            ("<a b=1>", "5: found \"1>\"; expected a quoted attribute value"),
            ("<a b>", "4: found \">\"; expected = after the attribute's name"),
            ("<a b=\"<\">", "6: found < in an attribute value; expected \"&lt;\" or the quote"),
            ("<a b='1'c='2'>", "8: found \"c='2'>\" inside a tag; expected an attribute or >"),
            ("<a b='1' b='2'>", "9: found \"b='2'>\" twice in a tag"),
            ("<a /b>", "3: found \"/b>\"; expected \"/>\""),
            ("<a b='1", "Incomplete"),
            ("<a", "Incomplete"),
        ];
        for (input, expected) in cases {
            let mut attributes = Vec::new();
            let got = match start_tag(input.as_bytes(), 0, &mut attributes) {
                Ok(t) => format!("{:?} {:?} {} {}", t.name, t.end, t.after, attributes.len()),
                Err(stop) => message(&stop),
            };
            assert_eq!(got, expected, "{input}");
        }
    }

    #[test]
    fn known_names_are_found_where_they_are_whole() {
        let text =
            b"<plugin_name>x</plugin_name><plugin_name><plugin_names><plugin_name a='1'><fname>";
        let mut known = KnownNames::new();
        let mut attributes = Vec::new();
        let first = start_tag(text, 0, &mut attributes).unwrap();
        assert_eq!(known.tag(text, 0), None);
        known.add(text, &first);
        assert_eq!(known.tag(text, 0), Some(first));
        assert_eq!(known.tag(text, 28), start_tag(text, 28, &mut attributes).ok());
        assert_eq!(known.tag(text, 41), None);
        assert_eq!(known.tag(text, 55), None);
        let short = start_tag(text, 74, &mut attributes).unwrap();
        known.add(text, &short);
        assert_eq!(known.tag(text, 74), None);
    }

    #[test]
    fn too_many_attributes_and_far_twins() {
        let tag = |n: usize| {
            let list: Vec<String> = (0..n).map(|i| format!("a{i}=''")).collect();
            format!("<a {}>", list.join(" "))
        };
        let mut attributes = Vec::new();
        assert!(start_tag(tag(4096).as_bytes(), 0, &mut attributes).is_ok());
        let over = start_tag(tag(4097).as_bytes(), 0, &mut attributes).unwrap_err();
        assert_eq!(message(&over), "0: limit: a tag of more than 4096 attributes");
        let twins = tag(40).replace("a39=", "a1=");
        assert!(start_tag(twins.as_bytes(), 0, &mut attributes).is_err());
    }
}
