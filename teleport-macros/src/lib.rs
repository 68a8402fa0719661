//! The attribute macros of teleport. Use them through the `teleport` crate, where they are documented.
#![forbid(unsafe_code)]

mod args;
mod errors;
mod expand;
mod model;
mod parse;
mod route;
#[cfg(test)]
mod snapshots;
mod syntax;
mod text;
mod validate;

use proc_macro::TokenStream;

use crate::model::Kind;

#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn pull_controller(args: TokenStream, item: TokenStream) -> TokenStream {
    controller(Kind::Pull, args.into(), item.into()).into()
}

#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn push_controller(args: TokenStream, item: TokenStream) -> TokenStream {
    controller(Kind::Push, args.into(), item.into()).into()
}

/// Parse, validate, expand. The user's item is always in the output, whatever is wrong with it, and so are the names that
/// others may use: one mistake is one error.
fn controller(
    kind: Kind,
    args: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let errors = errors::Errors::default();
    let sink = errors.sink();
    let args = args::ControllerArgs::parse(args, &sink);
    let expanded = match parse::item(kind, item.clone(), args, &sink) {
        Some((source, controller)) => {
            validate::controller(&controller, &sink);
            expand::expand(&source, &controller, sink.failed())
        }
        None => item,
    };
    let errors = errors.into_tokens();
    quote::quote! { #expanded #errors }
}
