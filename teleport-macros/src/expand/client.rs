//! The typed client.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{GenericParam, Path, Type, ext::IdentExt, spanned::Spanned};

use super::{args_type, decode_strategy, encode_strategy, reply_type};
use crate::{
    args::{Client, ControllerArgs},
    model::{Controller, Kind, Method},
};

pub(super) fn expand(controller: &Controller, args: &ControllerArgs) -> TokenStream {
    let krate = &args.krate;
    let suffix = match controller.kind {
        Kind::Pull => "Client",
        Kind::Push => "PushClient",
    };
    let client = match &args.client {
        Client::None => return TokenStream::new(),
        Client::Named(ident) => ident.clone(),
        Client::Default => format_ident!("{}{suffix}", controller.ident.unraw()),
    };
    let Controller {
        vis,
        cfgs,
        generics,
        ..
    } = controller;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let declared = &generics.params;
    let marker = marker(controller);
    let name = client.to_string();
    let doc = format!(
        "Calls the {} handlers of `{}` on the other side of a session.",
        controller.kind.name(),
        controller.ident
    );
    let methods = controller
        .methods
        .iter()
        .map(|method| call(controller, method, krate));
    let angled = (!declared.is_empty()).then(|| quote!(<#declared>));
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #[allow(clippy::all, clippy::pedantic, dead_code, unreachable_pub, private_interfaces, private_bounds)]
        #vis struct #client #angled #where_clause {
            caller: #krate::__private::Caller,
            marker: ::core::marker::PhantomData<#marker>,
        }

        #(#cfgs)*
        #[automatically_derived]
        #[allow(clippy::all, clippy::pedantic, dead_code, unreachable_pub, private_interfaces, private_bounds)]
        impl #impl_generics #client #ty_generics #where_clause {
            /// Calls through this session.
            #[must_use]
            pub fn new(session: &#krate::Session) -> Self {
                Self {
                    caller: #krate::__private::Caller::new(session),
                    marker: ::core::marker::PhantomData,
                }
            }

            /// Calls the routes below this prefix, for controllers that are nested there.
            #[must_use]
            pub fn prefix(self, prefix: &str) -> Self {
                Self {
                    caller: self.caller.prefix(prefix),
                    marker: self.marker,
                }
            }

            /// Sends all calls with these options.
            #[must_use]
            pub fn options(self, options: #krate::CallOptions) -> Self {
                Self {
                    caller: self.caller.options(options),
                    marker: self.marker,
                }
            }

            #(#methods)*
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #impl_generics ::core::clone::Clone for #client #ty_generics #where_clause {
            fn clone(&self) -> Self {
                Self {
                    caller: ::core::clone::Clone::clone(&self.caller),
                    marker: ::core::marker::PhantomData,
                }
            }
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #impl_generics ::core::fmt::Debug for #client #ty_generics #where_clause {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                formatter.debug_tuple(#name).field(&self.caller).finish()
            }
        }
    }
}

/// Uses every parameter, and is `Send`, `Sync` and without drop glue whatever they are.
fn marker(controller: &Controller) -> Type {
    let parts = controller
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Lifetime(param) => {
                let lifetime = &param.lifetime;
                Some(quote!(& #lifetime ()))
            }
            GenericParam::Type(param) => {
                let ident = &param.ident;
                Some(quote!(*const #ident))
            }
            GenericParam::Const(_) => None,
        });
    syn::parse_quote!(fn() -> (#(#parts,)*))
}

fn call(controller: &Controller, method: &Method, krate: &Path) -> TokenStream {
    let Method {
        ident,
        docs,
        cfgs,
        uri,
        ..
    } = method;
    let args_ty = args_type(method);
    let names: Vec<_> = method.args.iter().map(|arg| &arg.ident).collect();
    let types = method.args.iter().map(|arg| &arg.ty);
    let value = match &names[..] {
        [] => quote!(()),
        [name] => quote!(#name),
        names => quote!((#(#names),*)),
    };
    let generated = format!(
        "{} `{uri}`.",
        if controller.kind == Kind::Pull {
            "Pulls"
        } else {
            "Pushes to"
        }
    );
    let doc = docs
        .iter()
        .all(|attr| !attr.path().is_ident("doc"))
        .then(|| quote!(#[doc = #generated]));
    let encode = encode_strategy(&args_ty, krate);
    let encode_name = Ident::new("__encode", Span::mixed_site().located_at(args_ty.span()));
    let (reply, body) = match controller.kind {
        Kind::Pull => {
            let reply_ty = reply_type(method, krate);
            let decode = decode_strategy(&reply_ty, krate);
            let decode_name =
                Ident::new("__decode", Span::mixed_site().located_at(reply_ty.span()));
            let call = quote_spanned! {ident.span()=>
                let #decode_name = #decode;
                #krate::__private::call_pull::<#args_ty, #reply_ty, _, _>(
                    &self.caller, #uri, #encode_name, #value, #decode_name,
                ).await
            };
            (quote!(#reply_ty), call)
        }
        Kind::Push => {
            let call = quote_spanned! {ident.span()=>
                #krate::__private::call_push::<#args_ty, _>(&self.caller, #uri, #encode_name, #value).await
            };
            (quote!(()), call)
        }
    };
    quote! {
        #(#cfgs)*
        #(#docs)*
        #doc
        pub async fn #ident(&self, #(#names: #types),*) -> ::core::result::Result<#reply, #krate::Error> {
            let #encode_name = #encode;
            #body
        }
    }
}
