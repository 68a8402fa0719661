//! The arguments of the attributes.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Ident, LitBool, LitInt, LitStr, Meta, Path, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser},
};

use crate::{
    errors::Sink,
    model::{Extras, Kind},
    parse::conditional,
    route,
    syntax::is_own,
};

/// `#[pull_controller(group = "/v1", name = "house", client = Name, crate = path)]`.
pub(crate) struct ControllerArgs {
    pub(crate) group: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) client: Client,
    /// The crate that generated code names.
    pub(crate) krate: Path,
}

/// Which client is generated.
#[derive(Debug, PartialEq)]
pub(crate) enum Client {
    Default,
    Named(Ident),
    None,
}

impl ControllerArgs {
    pub(crate) fn parse(tokens: TokenStream, sink: &Sink<'_>) -> Self {
        let mut this = Self {
            group: None,
            name: None,
            client: Client::Default,
            krate: syn::parse_quote!(::teleport),
        };
        let hint = |text: &LitStr| format!("write `group = {}`", text.token());
        for entry in entries(tokens, CONTROLLER_KEYS, hint, sink) {
            match entry.name().as_str() {
                "group" => this.group = entry.string(route::check_group, sink),
                "name" => this.name = entry.string(route::check_name, sink),
                "client" => this.client = entry.client(sink).unwrap_or(Client::Default),
                "crate" => {
                    const WANTED: &str = "write a path without quotes: `crate = some::path`";
                    if let Some(path) = entry.parse(Path::parse_mod_style, WANTED, sink) {
                        this.krate = path;
                    }
                }
                _ => entry.unknown(CONTROLLER_KEYS, sink),
            }
        }
        this
    }
}

/// `#[pull(uri = "...", cancel, slow_ms = 500)]` or `#[pull(skip)]` on a method.
#[derive(Default)]
pub(crate) struct MethodArgs {
    pub(crate) uri: Option<LitStr>,
    pub(crate) skip: bool,
    pub(crate) extras: Extras,
}

impl MethodArgs {
    /// Takes the macro's own attributes off `attrs`.
    pub(crate) fn take(kind: Kind, attrs: &mut Vec<Attribute>, sink: &Sink<'_>) -> Self {
        let (here, there) = (kind.name(), kind.other().name());
        let mut own = None;
        attrs.retain(|attr| {
            if attr.path().is_ident(there) {
                sink.at(attr.path(), format!("this is a {here} controller: write `#[{here}(..)]`, or move the method to a `#[{there}_controller]`"));
            } else if attr.path().is_ident(here) {
                if own.is_some() {
                    sink.at(attr.path(), format!("a second `#[{here}(..)]` on one method; put all keys into one"));
                } else {
                    own = Some(Self::read(attr, kind, sink));
                }
            } else {
                check_conditional(attr, sink);
                return true;
            }
            false
        });
        own.unwrap_or_default()
    }

    fn read(attr: &Attribute, kind: Kind, sink: &Sink<'_>) -> Self {
        let mut this = Self::default();
        let name = kind.name();
        let list = match &attr.meta {
            Meta::List(list) if !is_empty(&list.tokens) => list,
            Meta::NameValue(pair) if is_text(&pair.value) => {
                let value = pair.value.to_token_stream();
                sink.at(value.clone(), format!("write `#[{name}(uri = {value})]`"));
                return this;
            }
            _ => {
                sink.at(&attr.meta, format!("write `#[{name}(uri = \"...\")]` or `#[{name}(skip)]`, or leave the attribute out"));
                return this;
            }
        };
        let hint = |text: &LitStr| format!("write `uri = {}`", text.token());
        for entry in entries(list.tokens.clone(), METHOD_KEYS, hint, sink) {
            match entry.name().as_str() {
                "uri" => this.uri = entry.string(route::check_uri, sink),
                "skip" => this.skip = entry.flag(sink),
                "cancel" => {
                    this.extras.cancel = entry.flag(sink);
                    if kind == Kind::Push {
                        sink.at(&entry.key, "a push cannot be cancelled: its sender does not wait; leave `cancel` out");
                    }
                }
                "slow_ms" => this.extras.slow_ms = entry.millis(sink),
                _ => entry.unknown(METHOD_KEYS, sink),
            }
        }
        if this.skip && this.extras != Extras::default() {
            sink.at(
                &list.tokens,
                "a method that is skipped is no handler: leave out `skip`, or all else",
            );
        }
        if this.skip
            && let Some(uri) = &this.uri
        {
            sink.at(
                uri,
                "a method that is skipped has no route: leave out `uri` or `skip`",
            );
        }
        this
    }
}

/// Nothing, or commas with nothing between them.
fn is_empty(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().all(|tree| is_comma(&tree))
}

fn is_comma(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ',')
}

/// The compiler decides about a `cfg_attr` after the macro has run.
fn check_conditional(attr: &Attribute, sink: &Sink<'_>) {
    if !attr.path().is_ident("cfg_attr") {
        return;
    }
    for meta in conditional(attr)
        .map(|(_, metas)| metas)
        .unwrap_or_default()
    {
        if is_own(meta.path()) {
            let name = meta.path().to_token_stream();
            sink.at(meta.path(), format!("`{name}` cannot depend on a `cfg_attr`: write the method twice, each behind its `cfg`"));
        }
    }
}

fn is_text(value: &syn::Expr) -> bool {
    syn::parse2::<LitStr>(value.to_token_stream()).is_ok()
}

const CONTROLLER_KEYS: &[&str] = &["group", "name", "client", "crate"];
const METHOD_KEYS: &[&str] = &["uri", "cancel", "slow_ms", "skip"];

/// `key`, or `key = value`. The value is looked at later, by the one who knows what it should be.
struct Entry {
    key: Ident,
    value: TokenStream,
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.call(Ident::parse_any)?;
        if !input.is_empty() {
            input.parse::<Token![=]>()?;
        }
        Ok(Self {
            key,
            value: input.parse()?,
        })
    }
}

/// Splits at the commas, so that a mistake in one entry hides none in the others.
fn entries(
    tokens: TokenStream,
    keys: &[&str],
    hint: impl Fn(&LitStr) -> String,
    sink: &Sink<'_>,
) -> Vec<Entry> {
    let trees: Vec<_> = tokens.into_iter().collect();
    let mut found: Vec<Entry> = Vec::new();
    for part in trees.split(is_comma).filter(|part| !part.is_empty()) {
        let part = part.iter().cloned().collect::<TokenStream>();
        if let Ok(text) = syn::parse2::<LitStr>(part.clone()) {
            sink.at(&text, hint(&text));
            continue;
        }
        match syn::parse2::<Entry>(part.clone()) {
            Ok(entry) if found.iter().any(|other| other.key == entry.key) => {
                let key = entry.name();
                sink.at(&entry.key, format!("`{key}` is given twice; keep one"));
            }
            Ok(entry) => found.push(entry),
            Err(_) => sink.at(part, format!("write `key = value`; {}", valid(keys))),
        }
    }
    found
}

impl Entry {
    fn name(&self) -> String {
        self.key.to_string()
    }

    fn unknown(&self, keys: &[&str], sink: &Sink<'_>) {
        sink.at(
            &self.key,
            format!("unknown key `{}`; {}", self.key, valid(keys)),
        );
    }

    /// The value, if it parses to its end; else `wanted` is reported.
    fn parse<T>(
        &self,
        parser: impl FnOnce(ParseStream<'_>) -> syn::Result<T>,
        wanted: &str,
        sink: &Sink<'_>,
    ) -> Option<T> {
        let parsed = parser.parse2(self.value.clone()).ok();
        if parsed.is_none() {
            let Self { key, value } = self;
            let place = if value.is_empty() {
                quote!(#key)
            } else {
                value.clone()
            };
            sink.at(place, wanted);
        }
        parsed
    }

    fn string(
        &self,
        check: impl Fn(&str) -> Result<(), String>,
        sink: &Sink<'_>,
    ) -> Option<LitStr> {
        let wanted = format!("write a string: `{} = \"...\"`", self.key);
        let text: LitStr = self.parse(<LitStr as Parse>::parse, &wanted, sink)?;
        if let Err(error) = check(&text.value()) {
            sink.at(&text, error);
            return None;
        }
        Some(text)
    }

    /// A key that stands alone.
    fn flag(&self, sink: &Sink<'_>) -> bool {
        if !self.value.is_empty() {
            let key = &self.key;
            sink.at(
                &self.value,
                format!("`{key}` has no value: write `{key}` alone"),
            );
        }
        true
    }

    /// A number of milliseconds, not 0.
    fn millis(&self, sink: &Sink<'_>) -> Option<u64> {
        let key = &self.key;
        let wanted = format!("write a number of milliseconds from 1 on: `{key} = 500`");
        let number: LitInt = self.parse(<LitInt as Parse>::parse, &wanted, sink)?;
        match number.base10_parse() {
            Ok(millis @ 1..) if number.suffix().is_empty() => Some(millis),
            _ => {
                sink.at(&number, wanted);
                None
            }
        }
    }

    fn client(&self, sink: &Sink<'_>) -> Option<Client> {
        let parser = |input: ParseStream<'_>| {
            if input.peek(LitBool) {
                return match input.parse::<LitBool>()?.value {
                    false => Ok(Client::None),
                    true => Err(input.error("")),
                };
            }
            input.parse().map(Client::Named)
        };
        let wanted =
            "write a name without quotes, `client = HomeClient`, or `client = false` for no client";
        self.parse(parser, wanted, sink)
    }
}

fn valid(keys: &[&str]) -> String {
    let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match &quoted[..] {
        [others @ .., last] => format!("the keys are {} and {last}", others.join(", ")),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Errors;

    fn controller(text: &str) -> (ControllerArgs, Vec<String>) {
        let errors = Errors::default();
        let args = ControllerArgs::parse(text.parse().unwrap(), &errors.sink());
        (args, errors.texts())
    }

    fn text(tokens: &impl ToTokens) -> String {
        tokens.to_token_stream().to_string()
    }

    fn method(text: &str) -> (MethodArgs, Vec<String>) {
        let errors = Errors::default();
        let mut attrs = Attribute::parse_outer.parse_str(text).unwrap();
        let args = MethodArgs::take(Kind::Pull, &mut attrs, &errors.sink());
        (args, errors.texts())
    }

    #[test]
    fn all_keys_of_a_controller_are_read() {
        let (args, errors) =
            controller(r#"group = "/v1", name = "house", client = Caller, crate = crate::rpc,"#);
        assert_eq!(errors, [""; 0]);
        assert_eq!(args.group.unwrap().value(), "/v1");
        assert_eq!(args.name.unwrap().value(), "house");
        assert_eq!(args.client, Client::Named(syn::parse_quote!(Caller)));
        assert_eq!(text(&args.krate), "crate :: rpc");
        assert_eq!(controller("client = false").0.client, Client::None);
        assert_eq!(text(&controller("").0.krate), ":: teleport");
    }

    #[test]
    fn every_entry_of_a_controller_is_checked_in_one_pass() {
        let (_, errors) = controller(
            r#""/v1", group = 1, nam = "x", client = "C", crate = "c", 7, group = "/x""#,
        );
        assert_eq!(
            errors,
            [
                "write `group = \"/v1\"`",
                "write `key = value`; the keys are `group`, `name`, `client` and `crate`",
                "`group` is given twice; keep one",
                "write a string: `group = \"...\"`",
                "unknown key `nam`; the keys are `group`, `name`, `client` and `crate`",
                "write a name without quotes, `client = HomeClient`, or `client = false` for no client",
                "write a path without quotes: `crate = some::path`",
            ]
        );
    }

    #[test]
    fn the_attribute_of_a_method_is_taken_off_and_read() {
        assert_eq!(
            method(r#"#[pull(uri = "/x")]"#).0.uri.unwrap().value(),
            "/x"
        );
        assert!(method("#[pull(skip)]").0.skip);
        let extras = method("#[pull(cancel, slow_ms = 1_500)]").0.extras;
        assert!(extras.cancel && extras.slow_ms == Some(1500));
        let (args, errors) = method("#[inline]");
        assert!(!args.skip && args.uri.is_none() && errors.is_empty());
    }

    #[test]
    fn mistakes_in_the_attribute_of_a_method_say_what_to_write() {
        let table = [
            (
                "#[pull]",
                "write `#[pull(uri = \"...\")]` or `#[pull(skip)]`, or leave the attribute out",
            ),
            (
                "#[pull()]",
                "write `#[pull(uri = \"...\")]` or `#[pull(skip)]`, or leave the attribute out",
            ),
            (
                "#[pull(,)]",
                "write `#[pull(uri = \"...\")]` or `#[pull(skip)]`, or leave the attribute out",
            ),
            ("#[pull = \"/x\"]", "write `#[pull(uri = \"/x\")]`"),
            ("#[pull(\"/x\")]", "write `uri = \"/x\"`"),
            (
                "#[pull(url = \"/x\")]",
                "unknown key `url`; the keys are `uri`, `cancel`, `slow_ms` and `skip`",
            ),
            ("#[pull(uri)]", "write a string: `uri = \"...\"`"),
            (
                "#[pull(skip = true)]",
                "`skip` has no value: write `skip` alone",
            ),
            (
                "#[pull(cancel = true)]",
                "`cancel` has no value: write `cancel` alone",
            ),
            (
                "#[pull(slow_ms = \"1s\")]",
                "write a number of milliseconds from 1 on: `slow_ms = 500`",
            ),
            (
                "#[pull(slow_ms = 0)]",
                "write a number of milliseconds from 1 on: `slow_ms = 500`",
            ),
            (
                "#[pull(skip, cancel)]",
                "a method that is skipped is no handler: leave out `skip`, or all else",
            ),
            ("#[pull(skip, skip)]", "`skip` is given twice; keep one"),
            (
                "#[pull(skip, uri = \"/x\")]",
                "a method that is skipped has no route: leave out `uri` or `skip`",
            ),
            (
                "#[pull(skip)] #[pull(uri = \"/x\")]",
                "a second `#[pull(..)]` on one method; put all keys into one",
            ),
            (
                "#[push(skip)]",
                "this is a pull controller: write `#[pull(..)]`, or move the method to a `#[push_controller]`",
            ),
            (
                "#[cfg_attr(test, pull(skip))]",
                "`pull` cannot depend on a `cfg_attr`: write the method twice, each behind its `cfg`",
            ),
        ];
        for (attr, text) in table {
            assert_eq!(method(attr).1, [text], "{attr}");
        }
    }
}
