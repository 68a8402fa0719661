//! The user's item, re-emitted.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    FnArg, GenericParam, ItemImpl, ItemTrait, Pat, ReturnType, parse_quote, parse_quote_spanned,
    spanned::Spanned,
};

use super::{allow, at};
use crate::{
    model::Controller,
    syntax::{self, Body, Function, Member, Members},
};

/// An impl block: as it is.
pub(super) fn impl_block(head: &ItemImpl, members: &Members) -> TokenStream {
    let list = members.list.iter().map(|member| match member {
        // It is the macro that asks for these.
        Member::Fn(function) if function.is_handler => {
            quote!(#[allow(clippy::unused_async, clippy::unused_self)] #member)
        }
        member => member.to_token_stream(),
    });
    syntax::join(head, &members.with(list.collect()))
}

/// A contract: its methods promise futures that can be sent to another thread.
pub(super) fn contract(
    head: &ItemTrait,
    members: &Members,
    controller: &Controller,
    routes: &TokenStream,
) -> TokenStream {
    let mut head = head.clone();
    // Its futures borrow the controller, and can be sent to another thread.
    head.supertraits.push(parse_quote!(::core::marker::Sync));
    head.colon_token.get_or_insert_default();
    let list = members.list.iter().map(|member| match member {
        Member::Fn(function) if function.sig.asyncness.is_some() => method(function),
        member => member.to_token_stream(),
    });
    let list: Vec<_> = list.chain([into_router(controller, routes)]).collect();
    syntax::join(head, &members.with(list))
}

/// `async fn f() -> T` becomes `fn f() -> impl Future<Output = T> + Send`.
fn method(function: &Function) -> TokenStream {
    let Function {
        attrs, sig, body, ..
    } = function;
    let mut sig = sig.clone();
    sig.asyncness = None;
    let span = at(sig.fn_token.span());
    let output = match &sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    sig.output = parse_quote_spanned! {span=>
        -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
    };
    let Body::Braces(body) = body else {
        return quote! { #(#attrs)* #sig #body };
    };
    let moved = move_arguments(sig.inputs.iter_mut());
    quote_spanned! {span=>
        #(#attrs)*
        #[allow(unused_braces, clippy::manual_async_fn)]
        #sig {
            async move {
                #moved
                #body
            }
        }
    }
}

/// As in an `async fn`, arguments live until the body ends, even those that it does not use.
fn move_arguments<'a>(inputs: impl Iterator<Item = &'a mut FnArg>) -> TokenStream {
    let mut moved = TokenStream::new();
    for (index, input) in inputs.enumerate() {
        let FnArg::Typed(input) = input else { continue };
        let pat = &input.pat;
        let name = match &**pat {
            Pat::Ident(pat) if pat.subpat.is_none() => pat.ident.clone(),
            pat => format_ident!("__arg{index}", span = at(pat.span())),
        };
        match &**pat {
            Pat::Wild(_) => moved.extend(quote!(let #name = #name;)),
            _ => moved.extend(quote!(let #pat = #name;)),
        }
        *input.pat = parse_quote!(#name);
    }
    moved
}

fn into_router(controller: &Controller, routes: &TokenStream) -> TokenStream {
    let krate = &controller.krate;
    let allow = allow();
    let params = controller
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Lifetime(param) => Some(param.lifetime.to_token_stream()),
            GenericParam::Type(param) => Some(param.ident.to_token_stream()),
            GenericParam::Const(_) => None,
        });
    quote! {
        /// The routes of this contract, answered by `self`.
        #allow
        fn into_router(self) -> #krate::Router
        where
            Self: ::core::marker::Sized + ::core::marker::Send + ::core::marker::Sync + 'static,
            #(#params: 'static,)*
        {
            #routes
        }
    }
}
