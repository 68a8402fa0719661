//! Uris: which path they name, and what their query says (wire specification, section 3.5). Pure functions.

use std::{borrow::Cow, fmt};

/// A uri taken apart. Scheme, user and host are checked and forgotten; the fragment belongs to nobody.
///
/// ```
/// use teleport::uri::Uri;
///
/// let uri = Uri::parse("/group/home%20page?peer_id=7&tag=a+b")?;
/// assert_eq!(uri.path(), "/group/home page");
/// assert_eq!(uri.query_value("tag").as_deref(), Some("a b"));
/// # Ok::<(), teleport::uri::UriError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    path: &'a str,
    query: &'a str,
}

impl<'a> Uri<'a> {
    /// Takes a uri apart. Blanks and non-ASCII characters may stand unescaped in path and query.
    ///
    /// # Errors
    /// A broken escape in path or fragment, a control character before the fragment, a malformed scheme, user, host or port, or
    /// a colon in the first segment of a relative path. A broken escape in the query is no error.
    pub fn parse(uri: &'a str) -> Result<Self, UriError> {
        let (main, fragment) = match uri.split_once('#') {
            Some((main, fragment)) => (main, fragment),
            None => (uri, ""),
        };
        let parsed = Self::parse_main(main).map_err(|kind| UriError::new(main, kind))?;
        check_escapes(fragment).map_err(|kind| UriError::new(uri, kind))?;
        Ok(parsed)
    }

    fn parse_main(uri: &'a str) -> Result<Self, Kind> {
        if uri.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Kind::Control);
        }
        let (has_scheme, rest) = skip_scheme(uri)?;
        let (mut path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') {
            if has_scheme {
                // `a:b` names no path at all.
                return Ok(Self { path: "", query });
            }
            let first = path.split('/').next().unwrap_or_default();
            if first.contains(':') {
                return Err(Kind::ColonInFirstSegment);
            }
        }
        if let Some(rest) = path.strip_prefix("//")
            && (has_scheme || !rest.starts_with('/'))
        {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            check_authority(authority)?;
            path = rest;
        }
        check_escapes(path)?;
        Ok(Self { path, query })
    }

    /// The path, percent-decoded: what routes are matched by. Not cleaned: `/a/../b` is just a name.
    #[must_use]
    pub fn path(&self) -> Cow<'a, str> {
        decode(self.path, false).unwrap_or(Cow::Borrowed(self.path))
    }

    /// The query as it stands there, without the `?`.
    #[must_use]
    pub fn raw_query(&self) -> &'a str {
        self.query
    }

    /// The decoded pairs of the query in order. `+` is a blank; a pair with a broken escape or a `;` is left out.
    pub fn query(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let pairs = self.query.split('&');
        pairs
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name, true)?, decode(value, true)?))
            })
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = self.query();
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

/// Puts a route below a prefix: `/` between them, once, and in front.
///
/// ```
/// # use teleport::uri::join;
/// assert_eq!(join("group", "/home/test"), "/group/home/test");
/// assert_eq!(join("/", "/home"), "/home");
/// ```
#[must_use]
pub fn join(prefix: &str, route: &str) -> String {
    let mut joined = String::with_capacity(prefix.len() + route.len() + 2);
    for part in [prefix, route] {
        let part = part.trim_matches('/');
        if !part.is_empty() {
            joined.push('/');
            joined.push_str(part);
        }
    }
    if route.ends_with('/') && route.contains(|char| char != '/') {
        joined.push('/');
    }
    joined
}

/// Whether there is a scheme, and what comes behind it.
fn skip_scheme(uri: &str) -> Result<(bool, &str), Kind> {
    for (at, byte) in uri.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(Kind::MissingScheme),
            b':' => return Ok((true, uri.get(at + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok((false, uri))
}

fn check_authority(authority: &str) -> Result<(), Kind> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    check_host(host)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(allowed) {
        return Err(Kind::UserInfo);
    }
    check_escapes(user)
}

fn check_host(host: &str) -> Result<(), Kind> {
    if host.starts_with('[') {
        let (literal, port) = host.rsplit_once(']').ok_or(Kind::MissingBracket)?;
        check_port(port)?;
        if let Some((address, zone)) = literal.split_once("%25") {
            check_host_part(address, HostPart::Name)?;
            check_host_part(zone, HostPart::Zone)?;
            return check_host_part(port, HostPart::Name);
        }
    } else if let Some(at) = host.rfind(':') {
        check_port(host.get(at..).unwrap_or_default())?;
    }
    check_host_part(host, HostPart::Name)
}

/// Nothing, or a colon with any number of digits.
fn check_port(port: &str) -> Result<(), Kind> {
    let digits = match port.strip_prefix(':') {
        Some(digits) => digits,
        None if port.is_empty() => port,
        None => return Err(Kind::Port(shortened(port))),
    };
    match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(Kind::Port(shortened(port))),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum HostPart {
    Name,
    /// What stands behind `%25` in the brackets of an IPv6 address.
    Zone,
}

/// In a name only non-ASCII bytes and `%` may be escaped; in a zone only `%`, blanks, and what needs no escape.
fn check_host_part(text: &str, part: HostPart) -> Result<(), Kind> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            if byte.is_ascii() && !plain(byte) {
                return Err(Kind::HostCharacter(char::from(byte)));
            }
            rest = after;
            continue;
        }
        let allowed = hex(rest).filter(|byte| match (byte, part) {
            (b'%', _) | (b' ', HostPart::Zone) => true,
            (byte, HostPart::Zone) => plain(*byte),
            (byte, HostPart::Name) => !byte.is_ascii(),
        });
        if allowed.is_none() {
            return Err(Kind::escape(rest));
        }
        rest = rest.get(3..).unwrap_or_default();
    }
    Ok(())
}

fn check_escapes(text: &str) -> Result<(), Kind> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let escape = rest.get(at..).unwrap_or_default();
        if hex(escape).is_none() {
            return Err(Kind::escape(escape));
        }
        rest = escape.get(3..).unwrap_or_default();
    }
    Ok(())
}

/// The byte behind `%XX` at the start of `escape`.
fn hex(escape: &[u8]) -> Option<u8> {
    match escape {
        [b'%', high, low, ..] => {
            let high = char::from(*high).to_digit(16)?;
            let low = char::from(*low).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        }
        _ => None,
    }
}

/// `None` if an escape is broken. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn decode(text: &str, plus_is_blank: bool) -> Option<Cow<'_, str>> {
    let special = |byte: u8| byte == b'%' || plus_is_blank && byte == b'+';
    if !text.bytes().any(special) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                out.push(hex(&[b'%', *digits.first()?, *digits.last()?])?);
                rest = after;
            }
            b'+' if plus_is_blank => out.push(b' '),
            other => out.push(other),
        }
    }
    Some(Cow::Owned(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

/// A text that is no uri. Its message is the one that a Go peer sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriError {
    uri: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    ColonInFirstSegment,
    Control,
    Escape(Vec<u8>),
    HostCharacter(char),
    MissingBracket,
    MissingScheme,
    Port(String),
    UserInfo,
}

impl Kind {
    /// The first three bytes are the escape, even where they end in the middle of a character.
    fn escape(rest: &[u8]) -> Self {
        Self::Escape(rest.get(..3).unwrap_or(rest).to_vec())
    }
}

impl UriError {
    fn new(uri: &str, kind: Kind) -> Self {
        Self {
            uri: shortened(uri),
            kind,
        }
    }
}

/// The message goes back to who sent the uri, which may be as long as a packet.
fn shortened(text: &str) -> String {
    const MOST: usize = 1000;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let end = (0..=MOST).rev().find(|at| text.is_char_boundary(*at));
    format!("{}...", text.get(..end.unwrap_or(0)).unwrap_or_default())
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse {}: ", Quoted(self.uri.as_bytes()))?;
        match &self.kind {
            Kind::ColonInFirstSegment => {
                f.write_str("first path segment in URL cannot contain colon")
            }
            Kind::Control => f.write_str("net/url: invalid control character in URL"),
            Kind::Escape(escape) => write!(f, "invalid URL escape {}", Quoted(escape)),
            Kind::HostCharacter(char) => {
                let mut buffer = [0; 4];
                let char = char.encode_utf8(&mut buffer).as_bytes();
                write!(f, "invalid character {} in host name", Quoted(char))
            }
            Kind::MissingBracket => f.write_str("missing ']' in host"),
            Kind::MissingScheme => f.write_str("missing protocol scheme"),
            Kind::Port(port) => write!(f, "invalid port {} after host", Quoted(port.as_bytes())),
            Kind::UserInfo => f.write_str("net/url: invalid userinfo"),
        }
    }
}

impl std::error::Error for UriError {}

/// Bytes in quotes, as Go's `%q` prints them.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    '\u{7}' => f.write_str("\\a")?,
                    '\u{8}' => f.write_str("\\b")?,
                    '\u{c}' => f.write_str("\\f")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    '\u{b}' => f.write_str("\\v")?,
                    ascii if ascii.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(ascii))?,
                    control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                    other => write!(f, "{other}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(uri: &str) -> String {
        Uri::parse(uri).unwrap().path().into_owned()
    }

    #[test]
    fn the_path_is_decoded_and_not_cleaned() {
        let table = [
            ("/x/ret/url", "/x/ret/url"),
            ("/x/%72et/u%72l?x=1", "/x/ret/url"),
            ("tp://user@host:9090/x/y?k=v", "/x/y"),
            ("//host/x/y", "/x/y"),
            ("///x", "///x"),
            ("/a/../b", "/a/../b"),
            ("/a//b", "/a//b"),
            ("/a/", "/a/"),
            ("a", "a"),
            ("a:b", ""),
            ("", ""),
            ("*", "*"),
            ("/名 前", "/名 前"),
            ("/a?b#c", "/a"),
            ("/%ff", "/\u{fffd}"),
            ("http://[::1]:80/x", "/x"),
            ("http://[fe80::1%25en%20%25]:/x", "/x"),
            ("//[no-address]/x", "/x"),
            ("//host:/x", "/x"),
            ("//host:99999999/x", "/x"),
            ("//a:b:80/x", "/x"),
            ("//h%C3%B6st%25/x", "/x"),
            ("//höst/x", "/x"),
            ("//us:er%20:p%40ss@host/x", "/x"),
            ("//u@v@host/x", "/x"),
            ("//?q", ""),
            ("x-1+2.3:///y", "/y"),
            ("mailto:/x", "/x"),
            ("./a:b", "./a:b"),
            ("/a:b", "/a:b"),
            ("a/b:c", "a/b:c"),
            ("+a", "+a"),
            ("/a??b", "/a"),
            ("/a%2Fb%3fc%23d", "/a/b?c#d"),
            ("/a+b", "/a+b"),
            ("/a#b\u{1}#c", "/a"),
            ("#", ""),
        ];
        for (uri, expected) in table {
            assert_eq!(path(uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_is_no_uri_says_why_in_go_s_words() {
        let table = [
            ("/a/%zz", r#"parse "/a/%zz": invalid URL escape "%zz""#),
            ("/a/%2", r#"parse "/a/%2": invalid URL escape "%2""#),
            (":foo", r#"parse ":foo": missing protocol scheme"#),
            (
                "http://[::1/x",
                r#"parse "http://[::1/x": missing ']' in host"#,
            ),
            (
                "/ctl/\u{7f}",
                r#"parse "/ctl/\x7f": net/url: invalid control character in URL"#,
            ),
            (
                "/a\nb",
                r#"parse "/a\nb": net/url: invalid control character in URL"#,
            ),
            (
                "1a:b",
                r#"parse "1a:b": first path segment in URL cannot contain colon"#,
            ),
            (
                "//ho st/x",
                r#"parse "//ho st/x": invalid character " " in host name"#,
            ),
            (
                "//host:port/x",
                r#"parse "//host:port/x": invalid port ":port" after host"#,
            ),
            ("/a#%zz", r#"parse "/a#%zz": invalid URL escape "%zz""#),
            ("/a%zz#%yy", r#"parse "/a%zz": invalid URL escape "%zz""#),
            ("/a/%", r#"parse "/a/%": invalid URL escape "%""#),
            (
                "/a/%名",
                r#"parse "/a/%名": invalid URL escape "%\xe5\x90""#,
            ),
            (
                "/\u{85}\"\\%0g",
                r#"parse "/\u0085\"\\%0g": invalid URL escape "%0g""#,
            ),
            (
                "//h%20st/x",
                r#"parse "//h%20st/x": invalid URL escape "%20""#,
            ),
            ("//%41/x", r#"parse "//%41/x": invalid URL escape "%41""#),
            (
                "//h|t/x",
                r#"parse "//h|t/x": invalid character "|" in host name"#,
            ),
            (
                "//h\\t/x",
                r#"parse "//h\\t/x": invalid character "\\" in host name"#,
            ),
            (
                "//[::1]x/",
                r#"parse "//[::1]x/": invalid port "x" after host"#,
            ),
            (
                "//[::1]:8x/",
                r#"parse "//[::1]:8x/": invalid port ":8x" after host"#,
            ),
            (
                "//[fe80::1%25%41|]/",
                r#"parse "//[fe80::1%25%41|]/": invalid character "|" in host name"#,
            ),
            (
                "//[fe80::1%25%c3]/",
                r#"parse "//[fe80::1%25%c3]/": invalid URL escape "%c3""#,
            ),
            (
                "//us er@host/x",
                r#"parse "//us er@host/x": net/url: invalid userinfo"#,
            ),
            (
                "//user%zz@host/x",
                r#"parse "//user%zz@host/x": invalid URL escape "%zz""#,
            ),
            (
                "a:b%zz:c/d\u{0}",
                r#"parse "a:b%zz:c/d\x00": net/url: invalid control character in URL"#,
            ),
        ];
        for (uri, expected) in table {
            assert_eq!(Uri::parse(uri).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn query_pairs_keep_their_order_and_broken_ones_are_left_out() {
        let uri = Uri::parse("/x?a;b=1&bad=%zz&ok=1&a=+%26&a=2&&c&%E4%BD%A0=x#f").unwrap();
        let pairs: Vec<_> = uri.query().collect();
        let expected = [("ok", "1"), ("a", " &"), ("a", "2"), ("c", ""), ("你", "x")];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
        assert_eq!(uri.query_value("a").as_deref(), Some(" &"));
        assert_eq!(uri.query_value("none"), None);
        assert_eq!(Uri::parse("/x?").unwrap().raw_query(), "");
    }

    #[test]
    fn prefixes_are_joined_by_single_slashes() {
        let table = [
            ("", "/a", "/a"),
            ("/g", "/a/b", "/g/a/b"),
            ("/g/", "a", "/g/a"),
            ("g", "", "/g"),
            ("/g/h", "/a/", "/g/h/a/"),
            ("g", "//", "/g"),
            ("", "//", ""),
        ];
        for (prefix, route, expected) in table {
            assert_eq!(join(prefix, route), expected);
        }
    }

    #[test]
    fn a_long_uri_is_shortened_in_its_error() {
        for start in ["/%zz", "//host:"] {
            let uri = format!("{start}{}", "ö".repeat(10_000));
            let error = Uri::parse(&uri).unwrap_err().to_string();
            assert!(error.len() < 3000, "{error}");
            assert!(error.contains("öö...\""), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_uri_or_an_error(text in ".*") {
            if let Ok(uri) = Uri::parse(&text) {
                let _ = uri.path();
                uri.query().count();
            }
        }
    }
}
