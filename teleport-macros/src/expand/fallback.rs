//! Stubs beside an error. They have the names and, as far as it is known, the types of the real things, so that code which
//! uses them gives no errors of its own.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Type, parse_quote};

use super::{client, types};
use crate::{
    model::{Controller, Method},
    validate::is_reserved,
};

/// The body of `into_router`.
pub(super) fn routes(controller: &Controller) -> TokenStream {
    let krate = &controller.krate;
    quote! { #krate::Router::new() }
}

/// A method of the client.
pub(super) fn call(controller: &Controller, method: &Method) -> TokenStream {
    if is_reserved(controller, &method.ident) {
        return TokenStream::new();
    }
    let krate = &controller.krate;
    let Method {
        ident, generics, ..
    } = method;
    let attrs = client::method_attrs(controller, method);
    let names = method.args.iter().map(|arg| &arg.ident);
    let types = method.args.iter().map(|arg| match &arg.ty {
        ty if controller.is_contract() && !types::is_plain(ty) => parse_quote!(()),
        ty => types::for_client(ty.clone(), controller, method),
    });
    let reply = match types::reply(method, krate) {
        Type::Never(_) => parse_quote!(()),
        ty if types::is_plain(&ty) => ty,
        ty if controller.is_contract() || types::has_word(&ty, "impl") => parse_quote!(()),
        ty => types::for_client(ty, controller, method),
    };
    let where_clause = &generics.where_clause;
    quote! {
        #attrs
        #[allow(unused_variables)]
        pub async fn #ident #generics (&self, #(#names: #types),*) -> ::core::result::Result<#reply, #krate::Error> #where_clause {
            ::core::future::pending().await
        }
    }
}
