//! From the model to tokens.
//!
//! Generated code is thin: it names the user's types and calls functions of `__private`. Its paths are absolute, its local
//! names cannot meet the user's, and the tokens that a type error should point at carry the span of the user's type.

mod client;
mod item;
mod routes;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Path, Type, spanned::Spanned};

use crate::{
    args::ControllerArgs,
    model::{Controller, Item, Method, Output},
};

/// The user's item, its routes, and its client.
pub(crate) fn expand(item: &Item, controller: &Controller, args: &ControllerArgs) -> TokenStream {
    let routes = routes::expand(controller, &args.krate);
    let client = client::expand(controller, args);
    match item {
        Item::Impl(item) => {
            let routes = routes::implementation(controller, &args.krate, &routes);
            quote! { #item #routes #client }
        }
        Item::Trait(item) => {
            let item = item::contract(item, &args.krate, &routes);
            quote! { #item #client }
        }
    }
}

/// The type of a handler's body: nothing, the one argument, or a tuple.
fn args_type(method: &Method) -> Type {
    match &method.args[..] {
        [] => syn::parse_quote!(()),
        [arg] => arg.ty.clone(),
        args => {
            let types = args.iter().map(|arg| &arg.ty);
            syn::parse_quote!((#(#types),*))
        }
    }
}

/// The type of what a handler gives on success.
fn reply_type(method: &Method, krate: &Path) -> Type {
    match &method.output {
        Output::Unit => syn::parse_quote!(()),
        Output::Value(ty)
        | Output::Result {
            value: Some(ty), ..
        } => ty.clone(),
        Output::Result { whole, value: None } => {
            syn::parse_quote!(<#whole as #krate::__private::HandlerResult>::Value)
        }
    }
}

/// Asks which codecs can read `ty`. The result's type is what the compiler complains about, at the user's own type.
fn decode_strategy(ty: &Type, krate: &Path) -> TokenStream {
    quote_spanned! {ty.span()=> {
        #[allow(unused_imports)]
        use #krate::__private::probe::{
            DecodeBoth as _, DecodeMessage as _, DecodePlain as _, DecodeScalar as _, DecodeUnsupported as _,
        };
        (&&&&&#krate::__private::probe::Probe::<#ty>::NEW).decode_strategy()
    }}
}

/// Asks which codecs can write `ty`.
fn encode_strategy(ty: &Type, krate: &Path) -> TokenStream {
    quote_spanned! {ty.span()=> {
        #[allow(unused_imports)]
        use #krate::__private::probe::{
            EncodeBoth as _, EncodeMessage as _, EncodePlain as _, EncodeScalar as _, EncodeUnsupported as _,
        };
        (&&&&&#krate::__private::probe::Probe::<#ty>::NEW).encode_strategy()
    }}
}
