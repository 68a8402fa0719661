//! Attributes of the user's that generated code shares.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Meta, Token,
    parse::{ParseStream, Parser},
    parse_quote,
    punctuated::Punctuated,
};

use crate::model::Carried;

pub(super) fn carried(attrs: &[Attribute]) -> Carried {
    let of = |class| {
        let attrs = attrs.iter().filter_map(|attr| keep(attr, class));
        attrs.collect()
    };
    Carried {
        cfgs: of(Class::Cfg),
        docs: of(Class::Doc),
        allows: of(Class::Allow),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Cfg,
    Doc,
    Allow,
}

/// `attr` as far as it belongs to `class`.
fn keep(attr: &Attribute, class: Class) -> Option<Attribute> {
    let meta = match conditional(attr) {
        Some((predicate, metas)) => {
            let metas: Vec<_> = metas
                .iter()
                .filter_map(|meta| of_class(meta, class))
                .collect();
            if metas.is_empty() {
                return None;
            }
            parse_quote!(cfg_attr(#predicate, #(#metas),*))
        }
        None => of_class(&attr.meta, class)?,
    };
    Some(Attribute {
        meta,
        ..attr.clone()
    })
}

fn of_class(meta: &Meta, class: Class) -> Option<Meta> {
    let path = meta.path();
    let found = if path.is_ident("cfg") {
        Class::Cfg
    } else if path.is_ident("doc") || path.is_ident("deprecated") {
        Class::Doc
    } else if path.is_ident("allow") || path.is_ident("expect") {
        Class::Allow
    } else {
        return None;
    };
    if found != class {
        return None;
    }
    match meta {
        // What is expected of the user's code need not happen in ours.
        Meta::List(list) if path.is_ident("expect") => {
            let lints = &list.tokens;
            Some(parse_quote!(allow(#lints)))
        }
        meta => Some(meta.clone()),
    }
}

/// The parts of a `cfg_attr`: its predicate, and the attributes that depend on it.
pub(crate) fn conditional(attr: &Attribute) -> Option<(TokenStream, Vec<Meta>)> {
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    let Meta::List(list) = &attr.meta else {
        return None;
    };
    let parser = |input: ParseStream<'_>| {
        let mut predicate = TokenStream::new();
        while !input.is_empty() && !input.peek(Token![,]) {
            let tree: proc_macro2::TokenTree = input.parse()?;
            predicate = quote!(#predicate #tree);
        }
        input.parse::<Option<Token![,]>>()?;
        let metas = Punctuated::<Meta, Token![,]>::parse_terminated(input)?;
        Ok((predicate, metas.into_iter().collect()))
    };
    parser.parse2(list.tokens.clone()).ok()
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;

    use super::*;

    fn texts(attrs: &[Attribute]) -> Vec<String> {
        let texts = attrs
            .iter()
            .map(|attr| attr.to_token_stream().to_string().replace(' ', ""));
        texts.collect()
    }

    #[test]
    fn attributes_are_sorted_by_what_they_are_good_for() {
        let attrs: Vec<Attribute> = vec![
            parse_quote!(#[doc = "Adds."]),
            parse_quote!(#[inline]),
            parse_quote!(#[cfg(unix)]),
            parse_quote!(#[expect(non_snake_case, reason = "x")]),
            parse_quote!(#[cfg_attr(all(a, b), deprecated, inline, cfg(c))]),
        ];
        let carried = carried(&attrs);
        assert_eq!(
            texts(&carried.cfgs),
            ["#[cfg(unix)]", "#[cfg_attr(all(a,b),cfg(c))]"]
        );
        assert_eq!(
            texts(&carried.docs),
            ["#[doc=\"Adds.\"]", "#[cfg_attr(all(a,b),deprecated)]"]
        );
        assert_eq!(
            texts(&carried.allows),
            ["#[allow(non_snake_case,reason=\"x\")]"]
        );
    }
}
