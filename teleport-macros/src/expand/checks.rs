//! What the compiler is asked about the user's types, so that a "no" appears at the type and says what to do.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::{Generics, Path, Type, WherePredicate, parse_quote_spanned, spanned::Spanned};

use super::{at, pointing_at};

/// Which way a body goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Read,
    Write,
}

/// Asks which codecs can carry the body `ty`; a "none" is reported at the type, once.
///
/// `args` are the types of the arguments that the body is made of. If there are several, it is reported at each of them.
pub(super) fn strategy(way: Way, ty: &Type, args: &[Type], krate: &Path) -> TokenStream {
    let span = at(ty.span());
    let check = match args {
        [_, _, ..] => args.iter().map(|arg| check_part(way, arg, krate)).collect(),
        _ => check_whole(way, ty, krate),
    };
    let strategy = probe(way, ty, "Reported", krate);
    quote_spanned!(span=> { #check #strategy })
}

fn check_whole(way: Way, ty: &Type, krate: &Path) -> TokenStream {
    let span = at(ty.span());
    let strategy = probe(way, ty, "Unsupported", krate);
    let (krate, check) = (pointing_at(span, krate), way.check("", span));
    quote_spanned!(span=> #krate::__private::#check::<#ty, _>(#strategy);)
}

fn check_part(way: Way, ty: &Type, krate: &Path) -> TokenStream {
    let span = at(ty.span());
    let (krate, check) = (pointing_at(span, krate), way.check("_one_of_many", span));
    quote_spanned!(span=> #krate::__private::#check::<#ty>();)
}

/// The best strategy for `ty`, or else `otherwise`.
fn probe(way: Way, ty: &Type, otherwise: &str, krate: &Path) -> TokenStream {
    let span = at(ty.span());
    let (class, method) = match way {
        Way::Read => ("Decode", "decode_strategy"),
        Way::Write => ("Encode", "encode_strategy"),
    };
    let levels = ["Both", "Message", "Plain", "Scalar", otherwise];
    let levels = levels.map(|level| format_ident!("{class}{level}", span = span));
    let [probe, method] = ["__Probe", method].map(|name| Ident::new(name, span));
    quote_spanned! {span=> {
        #[allow(unused_imports)]
        use #krate::__private::probe::{Probe as #probe, #(#levels as _),*};
        (&&&&&#probe::<#ty>::NEW).#method()
    }}
}

impl Way {
    fn check(self, suffix: &str, span: Span) -> Ident {
        match self {
            Self::Read => format_ident!("reads{suffix}", span = span),
            Self::Write => format_ident!("writes{suffix}", span = span),
        }
    }
}

/// Many calls on many threads share one controller. As a bound, this is asked once, and the routes may take it for granted:
/// no error for each of them.
///
/// With a lifetime, the compiler could not use the bound, for it forgets which lifetime that is where an `async` block is to
/// be `Send`; there, each route is checked.
pub(super) fn shared_controller(ty: &Type, generics: &Generics) -> WherePredicate {
    let span = at(ty.span());
    let threads = generics
        .lifetimes()
        .next()
        .is_none()
        .then(|| quote_spanned!(span=> + ::core::marker::Send + ::core::marker::Sync));
    parse_quote_spanned! {span=> #ty: 'static #threads }
}
