//! A contract trait, re-emitted: its methods promise futures that can be sent to another thread.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemTrait, Path, ReturnType, TraitItem};

pub(super) fn contract(item: &ItemTrait, krate: &Path, routes: &TokenStream) -> TokenStream {
    let mut item = item.clone();
    for member in &mut item.items {
        let TraitItem::Fn(function) = member else {
            continue;
        };
        if function.sig.asyncness.take().is_none() {
            continue;
        }
        let output = match &function.sig.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => quote!(#ty),
        };
        function.sig.output = syn::parse_quote! {
            -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
        };
        if let Some(body) = &function.default {
            function.default = Some(syn::parse_quote!({ async move #body }));
        }
    }
    item.items.push(syn::parse_quote! {
        /// The routes of this contract, answered by `self`.
        #[allow(clippy::all, clippy::pedantic)]
        fn into_router(self) -> #krate::Router
        where
            Self: ::core::marker::Sized + ::core::marker::Send + ::core::marker::Sync + 'static,
        {
            #routes
        }
    });
    // Many calls share one controller between threads, and their futures borrow it.
    item.supertraits
        .push(syn::parse_quote!(::core::marker::Sync));
    item.colon_token.get_or_insert_default();
    quote!(#item)
}
