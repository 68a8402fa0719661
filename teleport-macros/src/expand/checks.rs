//! What the compiler is asked about the user's types, so that a "no" appears at the type and says what to do.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Generics, Path, Type, WherePredicate, parse_quote_spanned, spanned::Spanned};

use super::at;

/// Asks which codecs can read `ty`. A "none" is reported where the strategy is used.
pub(super) fn decode_strategy(ty: &Type, krate: &Path) -> TokenStream {
    quote_spanned! {at(ty.span())=> {
        #[allow(unused_imports)]
        use #krate::__private::probe::{
            DecodeBoth as _, DecodeMessage as _, DecodePlain as _, DecodeScalar as _, DecodeUnsupported as _,
        };
        (&&&&&#krate::__private::probe::Probe::<#ty>::NEW).decode_strategy()
    }}
}

/// Asks which codecs can write `ty`.
pub(super) fn encode_strategy(ty: &Type, krate: &Path) -> TokenStream {
    quote_spanned! {at(ty.span())=> {
        #[allow(unused_imports)]
        use #krate::__private::probe::{
            EncodeBoth as _, EncodeMessage as _, EncodePlain as _, EncodeScalar as _, EncodeUnsupported as _,
        };
        (&&&&&#krate::__private::probe::Probe::<#ty>::NEW).encode_strategy()
    }}
}

/// Many calls on many threads share one controller. As a bound, this is asked once, and the routes may take it for granted:
/// no error for each of them.
///
/// With a lifetime, the compiler could not use the bound, for it forgets which lifetime that is where an `async` block is to
/// be `Send`; there, each route is checked.
pub(super) fn shared_controller(ty: &Type, generics: &Generics) -> WherePredicate {
    let threads = generics
        .lifetimes()
        .next()
        .is_none()
        .then(|| quote!(+ ::core::marker::Send + ::core::marker::Sync));
    parse_quote_spanned! {at(ty.span())=> #ty: 'static #threads }
}
