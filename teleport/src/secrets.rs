//! What must not be seen in logs and error texts: which names stand for secrets, and uris without them.

use std::borrow::Cow;

use crate::uri;

/// Names of values that are not shown, unless an application has a list of its own.
pub(crate) const NAMES: [&str; 5] = ["password", "passwd", "secret", "token", "authorization"];

/// Stands for a value that is not shown.
pub(crate) const MASK: &str = "***";

/// Whether a value with this name is not to be shown. Case does not matter.
pub(crate) fn is_hidden(name: &str, hidden: &[impl AsRef<str>]) -> bool {
    hidden
        .iter()
        .any(|hidden| hidden.as_ref().eq_ignore_ascii_case(name))
}

/// A uri, or a text with one in it, in which the values of hidden query parameters are masked. The uri need not be a valid one.
pub(crate) fn hide<'a>(text: &'a str, hidden: &[impl AsRef<str>]) -> Cow<'a, str> {
    let Some((path, query)) = text.split_once('?') else {
        return Cow::Borrowed(text);
    };
    let shown = |pair: &'a str| match pair.split_once('=') {
        Some((name, _)) if is_hidden(&plain(name), hidden) => Err(name),
        _ => Ok(pair),
    };
    // `;` separates too in the eyes of some, and what is behind a second `?` may have been meant as a query.
    let parts = || query.split_inclusive(['&', ';', '?', '#']);
    let without_end = |part: &'a str| part.trim_end_matches(['&', ';', '?', '#']);
    if parts().all(|part| shown(without_end(part)).is_ok()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    out.push_str(path);
    out.push('?');
    for part in parts() {
        let pair = without_end(part);
        match shown(pair) {
            Ok(pair) => out.push_str(pair),
            Err(name) => {
                out.push_str(name);
                out.push('=');
                out.push_str(MASK);
            }
        }
        out.push_str(part.get(pair.len()..).unwrap_or_default());
    }
    Cow::Owned(out)
}

/// The name as the application sees it.
fn plain(name: &str) -> Cow<'_, str> {
    uri::decode(name, true).unwrap_or(Cow::Borrowed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_hidden_names_are_masked_and_all_else_stays() {
        for (uri, shown) in [
            ("/a", "/a"),
            ("/token=x", "/token=x"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a?token=x", "/a?token=***"),
            ("/a?b=c&Token=x&d=e#f", "/a?b=c&Token=***&d=e#f"),
            ("/a?to%6Ben=x", "/a?to%6Ben=***"),
            ("/a?token=x%zz;secret=y", "/a?token=***;secret=***"),
            ("/a?token=x=y", "/a?token=***"),
            ("/a?token=", "/a?token=***"),
            ("/a?tokens=x", "/a?tokens=x"),
            ("/a?b?password=x", "/a?b?password=***"),
            ("\u{1}/a?\u{2}&secret=x", "\u{1}/a?\u{2}&secret=***"),
        ] {
            assert_eq!(hide(uri, &NAMES), shown);
        }
    }

    #[test]
    fn a_uri_without_secrets_is_not_copied() {
        assert!(matches!(hide("/a?b=c", &NAMES), Cow::Borrowed(_)));
    }
}
