//! The registration of the handlers.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, Expr, ExprLit, Lit, Meta, spanned::Spanned};

use super::{
    allow, at,
    checks::{self, Way},
    each_once, pointing_at, types,
};
use crate::{
    model::{Controller, Extras, Kind, Method, Output, Target},
    text::type_text,
};

/// The impl of `PullController` or `PushController` for a controller that is a type.
pub(super) fn implementation(controller: &Controller, body: &TokenStream) -> TokenStream {
    let Target::Type(self_ty) = &controller.target else {
        return TokenStream::new();
    };
    let krate = &controller.krate;
    let the_trait = match controller.kind {
        Kind::Pull => quote!(PullController),
        Kind::Push => quote!(PushController),
    };
    let allow = allow();
    let cfgs = &controller.carried.cfgs;
    let mut generics = controller.generics.clone();
    let predicates = &mut generics.make_where_clause().predicates;
    predicates.push(checks::shared_controller(self_ty, &controller.generics));
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    // A second controller of this type is reported at the type.
    let header = quote_spanned! {at(self_ty.span())=>
        impl #impl_generics #krate::#the_trait for #self_ty #where_clause
    };
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        #allow
        #header {
            fn into_router(self) -> #krate::Router {
                #body
            }
        }
    }
}

/// The body of `into_router`.
pub(super) fn body(controller: &Controller) -> TokenStream {
    let krate = &controller.krate;
    let routes = each_once(&controller.methods).map(|method| route(controller, method));
    let [this, router] = ["__controller", "__router"].map(local);
    quote! {
        let #this = #krate::__private::Arc::new(self);
        #[allow(unused_mut)]
        let mut #router = #krate::Router::new();
        #(#routes)*
        #router
    }
}

fn route(controller: &Controller, method: &Method) -> TokenStream {
    let krate = &controller.krate;
    let cfgs = &method.carried.cfgs;
    let args_ty = types::without_lifetimes(types::args(method), method);
    let reply_ty = types::reply(method, krate);
    let parts: Vec<_> = method
        .args
        .iter()
        .map(|arg| types::without_lifetimes(arg.ty.clone(), method))
        .collect();
    let decode = checks::strategy(Way::Read, &args_ty, &parts, krate);
    let [this, router, decode_name, encode_name] =
        ["__controller", "__router", "__decode", "__encode"].map(local);
    let info = info(controller, method);
    let handler = handler(controller, method);
    let span = at(method.ident.span());
    let krate = pointing_at(span, krate);
    let register = match controller.kind {
        Kind::Pull => {
            let encode = checks::strategy(Way::Write, &reply_ty, &[], &controller.krate);
            quote_spanned! {span=>
                let #encode_name = #encode;
                #krate::__private::pull_route::<#args_ty, #reply_ty, _, _, _, _>(
                    &mut #router, #info, #decode_name, #encode_name, #handler,
                );
            }
        }
        Kind::Push => quote_spanned! {span=>
            #krate::__private::push_route::<#args_ty, _, _, _>(&mut #router, #info, #decode_name, #handler);
        },
    };
    quote! {
        #(#cfgs)*
        {
            let #this = ::core::clone::Clone::clone(&#this);
            let #decode_name = #decode;
            #register
        }
    }
}

/// The closure that takes a call apart and puts the answer together.
fn handler(controller: &Controller, method: &Method) -> TokenStream {
    let krate = &controller.krate;
    let Method { ident, args, .. } = method;
    let span = at(ident.span());
    let args_ty = types::without_lifetimes(types::args(method), method);
    let names: Vec<_> = (0..args.len())
        .map(|index| local(&format!("__arg{index}")))
        .collect();
    let pattern = match &names[..] {
        [] => quote!(()),
        [name] => quote!(#name),
        names => quote!((#(#names),*)),
    };
    let [this, output] = ["__controller", "__output"].map(local);
    let ctx = local("__ctx");
    let ctx_ty = format_ident!("{}", controller.kind.context());
    let ctx_arg = method.context.map(|span| {
        let ctx = Ident::new("__ctx", at(span));
        quote_spanned!(at(span)=> &#ctx,)
    });
    let callee = match &controller.target {
        Target::Type(ty) => quote_spanned!(span=> <#ty>),
        Target::Contract => {
            let (name, (_, ty_generics, _)) =
                (&controller.ident, controller.generics.split_for_impl());
            quote_spanned!(span=> <Self as #name #ty_generics>)
        }
    };
    let result = match &method.output {
        Output::Result { error, .. } => {
            let span = at(*error);
            let (krate, output) = (pointing_at(span, krate), Ident::new("__output", span));
            quote_spanned! {span=> #krate::__private::into_result(#output) }
        }
        Output::Unit | Output::Value(_) => quote!(::core::result::Result::Ok(#output)),
    };
    quote_spanned! {span=>
        move |#ctx: #krate::#ctx_ty, #pattern: #args_ty| {
            let #this = ::core::clone::Clone::clone(&#this);
            async move {
                let #output = #callee::#ident(&*#this, #ctx_arg #(#names),*).await;
                (#ctx, #result)
            }
        }
    }
}

fn local(name: &str) -> Ident {
    Ident::new(name, proc_macro2::Span::mixed_site())
}

fn info(controller: &Controller, method: &Method) -> TokenStream {
    let krate = &controller.krate;
    let uri = &method.uri;
    let handler = format!("{}::{}", controller.ident, method.ident).replace("r#", "");
    let docs = docs(&method.carried.docs);
    let args = type_text(&types::args(method));
    let reply = match &method.output {
        Output::Unit => "()".to_owned(),
        Output::Value(ty)
        | Output::Result {
            value: Some(ty), ..
        } => type_text(ty),
        Output::Result { whole, .. } => type_text(whole),
    };
    let Extras { cancel, slow_ms } = method.extras;
    let slow_ms = slow_ms.unwrap_or(0);
    let with = (method.extras != Extras::default()).then(
        || quote!(.with(#krate::__private::RouteExtras { cancel: #cancel, slow_ms: #slow_ms })),
    );
    // Not `at`: the line is to be that of the method, not that of the attribute.
    quote_spanned! {method.ident.span()=>
        #krate::__private::RouteInfo {
            uri: #uri,
            handler: #handler,
            file: ::core::file!(),
            line: ::core::line!(),
            docs: #docs,
            args: #args,
            reply: #reply,
        } #with
    }
}

/// The text of doc comments: a literal, or something like `include_str!(..)` between literals.
fn docs(attrs: &[Attribute]) -> TokenStream {
    let values: Vec<_> = attrs.iter().filter_map(doc_value).collect();
    let literals: Option<Vec<_>> = values.iter().map(|value| doc_line(value)).collect();
    match literals {
        Some(lines) => Literal::string(&lines.join("\n")).to_token_stream(),
        None => {
            let parts = values.iter().map(|value| match doc_line(value) {
                Some(line) => quote!(#line),
                None => quote!(#value),
            });
            let parts = parts.enumerate().map(|(index, part)| match index {
                0 => part,
                _ => quote!("\n", #part),
            });
            quote!(::core::concat!(#(#parts),*))
        }
    }
}

fn doc_value(attr: &Attribute) -> Option<&Expr> {
    match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => Some(&pair.value),
        _ => None,
    }
}

fn doc_line(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => {
            let text = text.value();
            Some(
                text.strip_prefix(' ')
                    .unwrap_or(&text)
                    .trim_end()
                    .to_owned(),
            )
        }
        _ => None,
    }
}
