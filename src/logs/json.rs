//! Reads single values out of JSON lines without building a tree. In: a line's bytes. Out: values
//! as slices of it, strings without their quotes and with their escapes as they stand.
//!
//! Made for records of machines: the addresses, ports and words that are read never hold escapes.
//! What is skipped is only followed as far as is needed to find its end, so depth costs nothing and
//! damaged JSON gives no value rather than an error.

/// A JSON value, from its first byte to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// The first value in a text; whatever follows is left alone.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        split_value(text).map(|(value, _)| value)
    }

    /// The first value in a text, and what follows it.
    pub fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        split_value(text)
    }

    /// The first object in a text that may stand in an array or have something before it: a syslog
    /// head, `[`, `,`.
    pub fn read_object(text: &'a [u8]) -> Option<Self> {
        Self::read(text.get(memchr::memchr(b'{', text)?..)?)
    }

    /// The value of an object's key, the first of equal ones.
    pub fn get(self, key: &str) -> Option<Json<'a>> {
        self.members().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The value at a path of keys.
    pub fn at(self, path: &[&str]) -> Option<Json<'a>> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The content of a string or the digits of a number; none for anything else and for an empty
    /// string.
    pub fn text(self) -> Option<&'a [u8]> {
        let text = match self.0 {
            [b'"', inner @ .., b'"'] => inner,
            [b'0'..=b'9' | b'-', ..] => self.0,
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// The object that has this key: itself, or the first of its members that has it, where a
    /// collector has put a record into an object of its own.
    pub fn holding(self, key: &str) -> Option<Json<'a>> {
        let has = |value: &Json<'_>| value.get(key).is_some();
        let inner = || self.members().map(|(_, value)| value).find(has);
        if has(&self) { Some(self) } else { inner() }
    }

    /// The text of an object's key.
    pub fn text_of(self, key: &str) -> Option<&'a [u8]> {
        self.get(key)?.text()
    }

    /// Whether it is `true`.
    pub fn is_true(self) -> bool {
        self.0 == b"true"
    }

    /// The value as it stands, strings without their quotes; none for `null` and for what is empty.
    pub fn shown(self) -> Option<&'a [u8]> {
        match self.0 {
            b"null" | b"\"\"" | b"[]" | b"{}" => None,
            [b'"', inner @ .., b'"'] => Some(inner),
            whole => Some(whole),
        }
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.0.starts_with(b"{")
    }

    /// The members of an object in order; nothing for any other value.
    pub fn members(self) -> impl Iterator<Item = (&'a [u8], Json<'a>)> {
        let mut rest = self.0.strip_prefix(b"{").unwrap_or_default();
        std::iter::from_fn(move || {
            let (key, tail) = split_value(skip(rest, b','))?;
            let key = key.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
            let tail = tail.trim_ascii_start().strip_prefix(b":")?;
            let (value, tail) = split_value(tail)?;
            rest = tail;
            Some((key, value))
        })
    }

    /// The elements of an array in order; nothing for any other value.
    pub fn elements(self) -> impl Iterator<Item = Json<'a>> {
        let mut rest = self.0.strip_prefix(b"[").unwrap_or_default();
        std::iter::from_fn(move || {
            let (value, tail) = split_value(skip(rest, b','))?;
            rest = tail;
            Some(value)
        })
    }
}

/// The text after blanks and, if it comes next, this byte.
fn skip(text: &[u8], byte: u8) -> &[u8] {
    let text = text.trim_ascii_start();
    match text.split_first() {
        Some((first, rest)) if *first == byte => rest,
        _ => text,
    }
}

/// The value at the start of a text and what follows it; none at a closing bracket.
fn split_value(text: &[u8]) -> Option<(Json<'_>, &[u8])> {
    let text = text.trim_ascii_start();
    let length = match text.first()? {
        b'"' => end_of_string(text)?,
        b'{' | b'[' => end_of_nested(text)?,
        b'}' | b']' | b',' | b':' => return None,
        _ => text.iter().position(|b| b",]} \t\r\n".contains(b)).unwrap_or(text.len()),
    };
    let (value, rest) = text.split_at_checked(length)?;
    Some((Json(value), rest))
}

/// The number of bytes of a string at the start of the text, quotes included.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        let byte = at.checked_add(found)?;
        if text.get(byte) == Some(&b'"') {
            return byte.checked_add(1);
        }
        at = byte.checked_add(2)?;
    }
}

/// The number of bytes of an object or array at the start of the text.
fn end_of_nested(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let length = match text.get(at)? {
            b'"' => end_of_string(text.get(at..)?)?,
            b'{' | b'[' => {
                depth = depth.checked_add(1)?;
                1
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                1
            }
            _ => 1,
        };
        at = at.checked_add(length)?;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_paths() {
        let line =
            br#"head, {"a" : {"b":[1, "x\"]}", {"c":25.0}],"a":"no"}, "d":"", "e":true,"a":7}"#;
        let object = Json::read_object(line).unwrap();
        let text =
            |path: &[&str]| object.at(path).and_then(Json::text).map(String::from_utf8_lossy);
        assert_eq!(text(&["a", "a"]).as_deref(), Some("no"));
        assert_eq!(text(&["d"]), None);
        assert_eq!(text(&["e"]), None);
        assert!(object.get("e").unwrap().is_true());
        let list: Vec<_> = object.at(&["a", "b"]).unwrap().elements().collect();
        let [one, quoted, nested] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!(one.text(), Some(&b"1"[..]));
        assert_eq!(quoted.text(), Some(&br#"x\"]}"#[..]));
        assert_eq!(nested.text_of("c"), Some(&b"25.0"[..]));
        assert_eq!(object.holding("d"), Some(object));
        assert_eq!(object.holding("b"), object.get("a"));
        assert_eq!(object.holding("c"), None);
    }

    #[test]
    fn damage_gives_no_value() {
        for line in [
            &b"{"[..],
            b"{\"a\"",
            b"{\"a\":",
            b"{\"a\":\"x",
            b"{\"a\":[1,2}",
            b"{\"a\" 1}",
            b"}",
            b"\"\\",
            b"{a:1}",
            b"",
        ] {
            let value = Json::read_object(line).and_then(|object| object.get("a"));
            assert_eq!(value, None, "{}", String::from_utf8_lossy(line));
        }
        let deep = [b"{\"x\":".as_slice(), &b"[".repeat(100_000)].concat();
        assert_eq!(Json::read(&deep), None);
    }
}
