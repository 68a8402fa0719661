//! From the model to tokens.
//!
//! Generated code is thin: it names the user's types and calls functions of `__private`. Its paths are absolute, its local
//! names cannot meet the user's, and the tokens that a type error should point at carry the span of the user's type.

mod checks;
mod client;
mod fallback;
mod item;
mod routes;
mod types;

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::{
    model::{Controller, Method},
    syntax::Source,
};

/// The user's item, its routes, and its client; the latter two as stubs if anything is wrong.
pub(crate) fn expand(source: &Source, controller: &Controller, failed: bool) -> TokenStream {
    let routes = if failed {
        fallback::routes(controller)
    } else {
        routes::body(controller)
    };
    let calls = each_once(&controller.methods).map(|method| {
        if failed {
            fallback::call(controller, method)
        } else {
            client::call(controller, method)
        }
    });
    let client = client::client(controller, &calls.collect());
    match source {
        Source::Impl(head, members) => {
            let item = item::impl_block(head, members);
            let routes = routes::implementation(controller, &routes);
            quote! { #item #routes #client }
        }
        Source::Trait(head, members) => {
            let item = item::contract(head, members, controller, &routes);
            quote! { #item #client }
        }
        Source::Other(item) => quote!(#item),
    }
}

/// Two methods of one name are the compiler's to report, once: where the user has written them.
fn each_once(methods: &[Method]) -> impl Iterator<Item = &Method> {
    let mut names = HashSet::new();
    methods
        .iter()
        .filter(move |method| !method.carried.cfgs.is_empty() || names.insert(&method.ident))
}

/// Lints that generated code leaves alone: the user can do nothing about it.
fn allow() -> TokenStream {
    quote! {
        #[allow(clippy::all, clippy::pedantic, clippy::nursery, deprecated, private_bounds, private_interfaces)]
    }
}

/// Points at the user's code, but with local names that the user's cannot meet, not even through `macro_rules`.
fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// The same tokens, but an error about them points at `span`.
fn pointing_at(span: Span, tokens: &impl ToTokens) -> TokenStream {
    let tokens = tokens.to_token_stream().into_iter();
    tokens
        .map(|mut token: TokenTree| {
            token.set_span(token.span().located_at(span));
            token
        })
        .collect()
}
