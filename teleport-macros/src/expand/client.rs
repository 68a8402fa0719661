//! The typed client.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{GenericParam, Generics, Type, parse_quote};

use super::{
    allow, at,
    checks::{self, Way},
    pointing_at, types,
};
use crate::model::{Controller, Kind, Method};

pub(super) fn client(controller: &Controller, calls: &TokenStream) -> TokenStream {
    // One with the controller's own name has been reported.
    let client = controller.client.as_ref();
    let Some(client) = client.filter(|client| **client != controller.ident) else {
        return TokenStream::new();
    };
    let krate = &controller.krate;
    // A second client of this name is reported at the name that it comes from.
    let span = at(controller.ident.span());
    let vis = match controller.is_contract() {
        true => controller.vis.to_token_stream(),
        false => pointing_at(span, &controller.vis),
    };
    let generics = types::client_generics(controller);
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    // With defaults, which `impl_generics` are without.
    let declared = (!generics.params.is_empty()).then(|| {
        let params = &generics.params;
        quote!(<#params>)
    });
    let marker = marker(&generics);
    let name = client.to_string();
    let attrs = {
        let (cfgs, allows) = (&controller.carried.cfgs, &controller.carried.allows);
        let allow = allow();
        quote!(#(#cfgs)* #(#allows)* #allow)
    };
    let docs = docs(controller);
    quote_spanned! {span=>
        #attrs
        #[allow(dead_code, non_camel_case_types, unreachable_pub)]
        #docs
        #vis struct #client #declared #where_clause {
            caller: #krate::__private::Caller,
            marker: ::core::marker::PhantomData<#marker>,
        }

        #attrs
        #[allow(dead_code, unreachable_pub)]
        impl #impl_generics #client #ty_generics #where_clause {
            /// Calls over this connection, mostly a session.
            #[must_use]
            pub fn new(connection: &impl #krate::Connection) -> Self {
                Self {
                    caller: #krate::__private::Caller::new(connection),
                    marker: ::core::marker::PhantomData,
                }
            }

            /// Calls the routes below this prefix, for controllers that are nested there.
            #[must_use]
            pub fn prefix(self, prefix: &::core::primitive::str) -> Self {
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

            #calls
        }

        #attrs
        #[automatically_derived]
        impl #impl_generics ::core::clone::Clone for #client #ty_generics #where_clause {
            fn clone(&self) -> Self {
                Self {
                    caller: ::core::clone::Clone::clone(&self.caller),
                    marker: ::core::marker::PhantomData,
                }
            }
        }

        #attrs
        #[automatically_derived]
        impl #impl_generics ::core::fmt::Debug for #client #ty_generics #where_clause {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                formatter.debug_tuple(#name).field(&self.caller).finish()
            }
        }
    }
}

/// What the client is, and what the user says about the controller.
fn docs(controller: &Controller) -> TokenStream {
    let (kind, ident) = (controller.kind.name(), &controller.ident);
    let first = format!("Calls the {kind} handlers of `{ident}` on the other side of a session.");
    let users = &controller.carried.docs;
    let users = users
        .iter()
        .filter(|attr| !attr.path().is_ident("deprecated"));
    let users: Vec<_> = users.collect();
    let gap = (!users.is_empty()).then(|| quote!(#[doc = ""]));
    quote!(#[doc = #first] #gap #(#users)*)
}

/// Uses every parameter, and is `Send`, `Sync` and without drop glue whatever they are.
fn marker(generics: &Generics) -> Type {
    let parts = generics.params.iter().filter_map(|param| match param {
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
    parse_quote!(fn() -> (#(#parts,)*))
}

/// The attributes of a method of the client, with docs in any case.
pub(super) fn method_attrs(controller: &Controller, method: &Method) -> TokenStream {
    let carried = &method.carried;
    let (cfgs, docs, allows) = (&carried.cfgs, &carried.docs, &carried.allows);
    let documented = docs.iter().any(|attr| attr.path().is_ident("doc"));
    let generated = (!documented).then(|| {
        let verb = match controller.kind {
            Kind::Pull => "Pulls",
            Kind::Push => "Pushes to",
        };
        let text = format!("{verb} `{}`.", method.uri);
        quote!(#[doc = #text])
    });
    quote!(#(#cfgs)* #(#docs)* #generated #(#allows)*)
}

/// The method of the client that calls `method`.
pub(super) fn call(controller: &Controller, method: &Method) -> TokenStream {
    let krate = &controller.krate;
    let Method { ident, uri, .. } = method;
    let attrs = method_attrs(controller, method);
    let args_ty = types::for_client(types::args(method), controller, method);
    let names: Vec<_> = method.args.iter().map(|arg| &arg.ident).collect();
    let types = method
        .args
        .iter()
        .map(|arg| types::for_client(arg.ty.clone(), controller, method));
    let value = match &names[..] {
        [] => quote!(()),
        [name] => quote!(#name),
        names => quote!((#(#names),*)),
    };
    let types: Vec<_> = types.collect();
    let span = at(ident.span());
    let encode = checks::strategy(Way::Write, &args_ty, &types, krate);
    let reply_ty = match controller.kind {
        Kind::Pull => types::for_client(types::reply(method, krate), controller, method),
        Kind::Push => parse_quote!(()),
    };
    let krate = pointing_at(span, krate);
    let call = match controller.kind {
        Kind::Pull => {
            let decode = checks::strategy(Way::Read, &reply_ty, &[], &controller.krate);
            let call = match method.extras.cancel {
                false => quote_spanned!(span=> call_pull),
                true => quote_spanned!(span=> call_pull_cancel),
            };
            quote_spanned! {span=>
                let __decode = #decode;
                #krate::__private::#call::<#args_ty, #reply_ty, _, _>(
                    &self.caller, #uri, __encode, #value, __decode,
                )
            }
        }
        Kind::Push => quote_spanned! {span=>
            #krate::__private::call_push::<#args_ty, _>(&self.caller, #uri, __encode, #value)
        },
    };
    quote_spanned! {span=>
        #attrs
        pub async fn #ident(&self, #(#names: #types),*) -> ::core::result::Result<#reply_ty, #krate::Error> {
            let __encode = #encode;
            // Awaited by reference it stays where it is made. To await it as it is would move it, twice.
            let mut __call = { #call };
            (&mut __call).await
        }
    }
}
