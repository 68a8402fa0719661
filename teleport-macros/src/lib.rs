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

/// parse, validate, expand. The user's item is always in the output, whatever is wrong with it, so that nothing else
/// breaks.
fn controller(
    kind: Kind,
    args: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let errors = errors::Errors::default();
    let args = args::ControllerArgs::parse(args, &errors);
    let expanded = match parse::item(kind, item, &args, &errors) {
        parse::Parsed::Controller(item, controller) => {
            validate::controller(&controller, &errors);
            expand::expand(&item, &controller, &args)
        }
        parse::Parsed::Other(item) => item,
    };
    let errors = errors.into_tokens();
    quote::quote! { #expanded #errors }
}
