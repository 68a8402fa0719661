//! The registration of the handlers.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Expr, Lit, Meta, Path, spanned::Spanned};

use super::{args_type, decode_strategy, encode_strategy, reply_type};
use crate::{
    model::{Controller, Kind, Method, Output},
    parse::type_text,
};

/// The body of `into_router`.
pub(super) fn expand(controller: &Controller, krate: &Path) -> TokenStream {
    let routes = controller
        .methods
        .iter()
        .map(|method| route(controller, method, krate));
    quote! {
        let __controller = #krate::__private::Arc::new(self);
        #[allow(unused_mut)]
        let mut __router = #krate::Router::new();
        #(#routes)*
        let _ = __controller;
        __router
    }
}

/// The impl of `PullController` or `PushController` for a controller that is a type.
pub(super) fn implementation(
    controller: &Controller,
    krate: &Path,
    routes: &TokenStream,
) -> TokenStream {
    let Controller {
        self_ty,
        cfgs,
        generics,
        ..
    } = controller;
    let the_trait = match controller.kind {
        Kind::Pull => quote!(PullController),
        Kind::Push => quote!(PushController),
    };
    let mut generics = generics.clone();
    // A bound without parameters would be checked here already, as an error of its own far from the reason.
    let bounds = quote!(::core::marker::Send + ::core::marker::Sync + 'static);
    if !generics.params.is_empty() {
        generics
            .make_where_clause()
            .predicates
            .push(syn::parse_quote!(#self_ty: #bounds));
    }
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        #[allow(clippy::all, clippy::pedantic)]
        impl #impl_generics #krate::#the_trait for #self_ty #where_clause {
            fn into_router(self) -> #krate::Router {
                #routes
            }
        }
    }
}

fn route(controller: &Controller, method: &Method, krate: &Path) -> TokenStream {
    let Method { ident, cfgs, .. } = method;
    let self_ty = &controller.self_ty;
    let args_ty = args_type(method);
    let reply_ty = reply_type(method, krate);
    let names: Vec<_> = (0..method.args.len())
        .map(|index| local(&format!("__arg{index}")))
        .collect();
    let pattern = match &names[..] {
        [] => quote!(()),
        [name] => quote!(#name),
        names => quote!((#(#names),*)),
    };
    let ctx = method.ctx.then(|| quote!(&__ctx,));
    let result = match &method.output {
        Output::Result { whole, .. } => {
            quote_spanned! {whole.span()=> #krate::__private::into_result(__output) }
        }
        Output::Unit | Output::Value(_) => quote!(::core::result::Result::Ok(__output)),
    };
    let ctx_ty = Ident::new(controller.kind.ctx(), Span::call_site());
    let info = info(controller, method, krate);
    let decode = decode_strategy(&args_ty, krate);
    // The error for a type without a codec appears where the strategy is used.
    let decode_name = Ident::new("__decode", Span::mixed_site().located_at(args_ty.span()));
    let handler = quote! {
        move |__ctx: #krate::#ctx_ty, #pattern: #args_ty| {
            let __controller = #krate::__private::Arc::clone(&__controller);
            async move {
                let __output = #self_ty::#ident(&*__controller, #ctx #(#names),*).await;
                (__ctx, #result)
            }
        }
    };
    let register = match controller.kind {
        Kind::Pull => {
            let encode = encode_strategy(&reply_ty, krate);
            let encode_name =
                Ident::new("__encode", Span::mixed_site().located_at(reply_ty.span()));
            quote_spanned! {ident.span()=>
                let #encode_name = #encode;
                #krate::__private::pull_route::<#args_ty, #reply_ty, _, _, _, _>(
                    &mut __router, #info, #decode_name, #encode_name, #handler,
                );
            }
        }
        Kind::Push => quote_spanned! {ident.span()=>
            #krate::__private::push_route::<#args_ty, _, _, _>(&mut __router, #info, #decode_name, #handler);
        },
    };
    quote! {
        #(#cfgs)*
        {
            let __controller = #krate::__private::Arc::clone(&__controller);
            let #decode_name = #decode;
            #register
        }
    }
}

fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn info(controller: &Controller, method: &Method, krate: &Path) -> TokenStream {
    let uri = &method.uri;
    let handler = format!("{}::{}", controller.ident, method.ident);
    let docs = docs(&method.docs);
    let args = type_text(&args_type(method));
    let reply = match &method.output {
        Output::Unit => "()".to_owned(),
        Output::Value(ty)
        | Output::Result {
            value: Some(ty), ..
        } => type_text(ty),
        Output::Result { whole, .. } => type_text(whole),
    };
    quote_spanned! {method.ident.span()=>
        #krate::__private::RouteInfo {
            uri: #uri,
            handler: #handler,
            file: ::core::file!(),
            line: ::core::line!(),
            docs: #docs,
            args: #args,
            reply: #reply,
        }
    }
}

/// The text of doc comments, a line each.
fn docs(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}
