//! The arguments of the attributes.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Token, parse::Parser,
    punctuated::Punctuated,
};

use crate::{errors::Errors, model::Kind, route};

/// `#[pull_controller(group = "/v1", name = "house", client = Name, crate = path)]`.
pub(crate) struct ControllerArgs {
    pub(crate) group: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) client: Client,
    /// The crate that generated code names.
    pub(crate) krate: Path,
}

/// Which client is generated.
pub(crate) enum Client {
    Default,
    Named(Ident),
    None,
}

const CONTROLLER_KEYS: &str = "the keys are `group`, `name`, `client` and `crate`";
const METHOD_KEYS: &str = "the keys are `uri` and `skip`";

impl ControllerArgs {
    pub(crate) fn parse(tokens: TokenStream, errors: &Errors) -> Self {
        let mut this = Self {
            group: None,
            name: None,
            client: Client::Default,
            krate: syn::parse_quote!(::teleport),
        };
        let mut seen: Vec<String> = Vec::new();
        for meta in metas(tokens, errors) {
            let key = meta.path().to_token_stream().to_string();
            if seen.contains(&key) {
                errors.at(meta.path(), format!("`{key}` is given twice; keep one"));
                continue;
            }
            match key.as_str() {
                "group" => {
                    this.group = string(&meta, errors).filter(|lit| check_group(lit, errors))
                }
                "name" => this.name = string(&meta, errors).filter(|lit| check_uri(lit, errors)),
                "client" => this.client = client(&meta, errors).unwrap_or(Client::Default),
                "crate" => {
                    if let Some(path) = path(&meta, errors) {
                        this.krate = path;
                    }
                }
                _ => errors.at(
                    meta.path(),
                    format!("unknown key `{key}`; {CONTROLLER_KEYS}"),
                ),
            }
            seen.push(key);
        }
        this
    }
}

/// `#[pull(uri = "...")]` or `#[pull(skip)]` on a method.
#[derive(Default)]
pub(crate) struct MethodArgs {
    pub(crate) uri: Option<LitStr>,
    pub(crate) skip: bool,
}

impl MethodArgs {
    /// Takes the macro's own attributes off `attrs`.
    pub(crate) fn take(kind: Kind, attrs: &mut Vec<Attribute>, errors: &Errors) -> Self {
        let mut this = Self::default();
        let mut first = true;
        attrs.retain(|attr| {
            if attr.path().is_ident(kind.other().name()) {
                let (here, there) = (kind.name(), kind.other().name());
                errors.at(
                    attr.path(),
                    format!("this is a {here} controller: write `#[{here}(..)]`, or move the method to a `#[{there}_controller]`"),
                );
                return false;
            }
            if !attr.path().is_ident(kind.name()) {
                return true;
            }
            if !first {
                errors.at(attr.path(), format!("one `#[{}(..)]` is enough; put all keys into it", kind.name()));
            }
            first = false;
            this.read(attr, kind, errors);
            false
        });
        this
    }

    fn read(&mut self, attr: &Attribute, kind: Kind, errors: &Errors) {
        let name = kind.name();
        let Meta::List(list) = &attr.meta else {
            errors.at(attr, format!("write `#[{name}(uri = \"...\")]` or `#[{name}(skip)]`, or leave the attribute out"));
            return;
        };
        for meta in metas(list.tokens.clone(), errors) {
            let key = meta.path().to_token_stream().to_string();
            match (key.as_str(), &meta) {
                ("uri", _) if self.uri.is_some() => {
                    errors.at(meta.path(), "`uri` is given twice; keep one");
                }
                ("uri", _) => {
                    self.uri = string(&meta, errors).filter(|lit| check_uri(lit, errors));
                }
                ("skip", Meta::Path(_)) => self.skip = true,
                ("skip", _) => errors.at(&meta, "`skip` stands alone"),
                _ => errors.at(meta.path(), format!("unknown key `{key}`; {METHOD_KEYS}")),
            }
            if self.skip && self.uri.is_some() {
                errors.at(
                    meta,
                    "a method that is skipped has no route; leave out `uri` or `skip`",
                );
            }
        }
    }
}

fn metas(tokens: TokenStream, errors: &Errors) -> Punctuated<Meta, Token![,]> {
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    parser.parse2(tokens).unwrap_or_else(|error| {
        errors.push(error);
        Punctuated::new()
    })
}

fn string(meta: &Meta, errors: &Errors) -> Option<LitStr> {
    if let Meta::NameValue(pair) = meta
        && let Expr::Lit(ExprLit {
            lit: Lit::Str(lit), ..
        }) = &pair.value
    {
        return Some(lit.clone());
    }
    let key = meta.path().to_token_stream();
    errors.at(meta, format!("write a string: `{key} = \"...\"`"));
    None
}

fn path(meta: &Meta, errors: &Errors) -> Option<Path> {
    if let Meta::NameValue(pair) = meta
        && let Expr::Path(path) = &pair.value
    {
        return Some(path.path.clone());
    }
    let key = meta.path().to_token_stream();
    errors.at(
        meta,
        format!("write a path without quotes: `{key} = some::path`"),
    );
    None
}

fn client(meta: &Meta, errors: &Errors) -> Option<Client> {
    if let Meta::NameValue(pair) = meta {
        match &pair.value {
            Expr::Path(path) => {
                if let Some(ident) = path.path.get_ident() {
                    return Some(Client::Named(ident.clone()));
                }
            }
            Expr::Lit(ExprLit {
                lit: Lit::Bool(lit),
                ..
            }) if !lit.value => return Some(Client::None),
            _ => {}
        }
    }
    errors.at(
        meta,
        "write a name for the client, `client = HomeClient`, or `client = false` for none",
    );
    None
}

fn check_uri(lit: &LitStr, errors: &Errors) -> bool {
    let checked = route::check(&lit.value());
    if let Err(text) = checked {
        errors.at(lit, text);
    }
    checked.is_ok()
}

fn check_group(lit: &LitStr, errors: &Errors) -> bool {
    if !lit.value().starts_with('/') {
        errors.at(
            lit,
            format!("a group begins with a slash: write \"/{}\"", lit.value()),
        );
        return false;
    }
    check_uri(lit, errors)
}
