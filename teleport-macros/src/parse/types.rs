//! Rules about the types of arguments and replies.

use quote::ToTokens;
use syn::{
    Ident, Lifetime, Path, PathArguments, Type, TypeFnPtr, TypeImplTrait, TypeNever, TypeReference,
    visit_mut::{self, VisitMut},
};

use super::Scope;
use crate::{errors::Sink, text::type_text};

/// Where a type stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Argument,
    Reply,
}

/// Checks `ty` and all types in it.
pub(super) fn check(ty: &Type, place: Place, scope: &Scope, sink: &Sink<'_>) {
    Rules { place, scope, sink }.visit_type_mut(&mut ty.clone());
}

struct Rules<'a> {
    place: Place,
    scope: &'a Scope,
    sink: &'a Sink<'a>,
}

// In a contract, `Self` is the type of an implementor that no client knows. `VisitMut` only for want of `Visit`: nothing is changed.
impl VisitMut for Rules<'_> {
    fn visit_type_reference_mut(&mut self, ty: &mut TypeReference) {
        if self.place == Place::Argument
            && let Some(hint) = self.part_of_context(&ty.elem)
        {
            return self.sink.at(ty, hint);
        }
        let owned = owned_form(&ty.elem);
        let text = match self.place {
            Place::Argument => "an argument is read from the body and must own its data",
            Place::Reply if self.scope.client.is_some() => {
                "the client reads the reply from a body, so it must own its data"
            }
            // It is only written, so it may be what lives for ever.
            Place::Reply => return visit_mut::visit_type_reference_mut(self, ty),
        };
        self.sink.at(ty, format!("{text}: write {owned}"));
    }

    fn visit_type_never_mut(&mut self, ty: &mut TypeNever) {
        let text = match self.place {
            Place::Argument => "no body can be read into `!`: write another type",
            Place::Reply => {
                "a handler has to end, for its caller waits: write the type of what it answers, or leave it out"
            }
        };
        self.sink.at(ty, text);
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        let text = match self.place {
            Place::Argument => {
                "what is read from the body must be a known type: write the type instead of `impl Trait`"
            }
            Place::Reply => {
                "the client must know the type of the reply: write the type instead of `impl Trait`"
            }
        };
        self.sink.at(ty, text);
    }

    // What a function takes and gives is its own affair.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}

    fn visit_path_arguments_mut(&mut self, arguments: &mut PathArguments) {
        if !matches!(arguments, PathArguments::Parenthesized(_)) {
            visit_mut::visit_path_arguments_mut(self, arguments);
        }
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if self.place == Place::Reply && lifetime.ident != "static" {
            self.sink.at(lifetime, "a reply outlives its handler and must own its data: write `'static`, or an owned type");
        }
    }

    fn visit_path_mut(&mut self, path: &mut Path) {
        if self.place == Place::Argument
            && let Some(last) = path.segments.last()
            && (last.ident == "PullCtx" || last.ident == "PushCtx")
        {
            return self.sink.at(&*path, lent(self.scope.kind.context()));
        }
        if self.scope.is_contract
            && path
                .segments
                .first()
                .is_some_and(|first| first.ident == "Self")
        {
            let first: Option<&Ident> = path.segments.first().map(|first| &first.ident);
            self.sink.at(first, "a client does not know who implements the contract: write a type, or make it a parameter of the trait");
        }
        visit_mut::visit_path_mut(self, path);
    }
}

impl Rules<'_> {
    /// What to write instead of a reference to something that the context knows.
    fn part_of_context(&self, ty: &Type) -> Option<String> {
        let context = self.scope.kind.context();
        let name = last_segment(ty)?.ident.to_string();
        match name.as_str() {
            "PullCtx" | "PushCtx" => Some(lent(context)),
            "Context" => Some(format!(
                "a handler gets a `&{context}`, which has all of a `Context`: write `&{context}`"
            )),
            "Peer" | "Session" => {
                let method = name.to_lowercase();
                Some(format!(
                    "the context knows the {method}: write `ctx: &{context}` as the first argument, and call `ctx.{method}()`"
                ))
            }
            _ => None,
        }
    }
}

fn lent(context: &str) -> String {
    format!("the context is lent to the handler: write `&{context}`, as the first argument")
}

/// What to write instead of `&ty`.
fn owned_form(ty: &Type) -> String {
    match peel(ty) {
        Type::TraitObject(_) => "a struct or an enum".to_owned(),
        other => format!("`{}`", owned(other)),
    }
}

fn owned(ty: &Type) -> String {
    match peel(ty) {
        Type::Reference(reference) => owned(&reference.elem),
        Type::Slice(slice) => format!("Vec<{}>", owned(&slice.elem)),
        other => match last_segment(other) {
            Some(last) if last.ident == "str" => "String".to_owned(),
            Some(last) if last.ident == "Path" => "PathBuf".to_owned(),
            _ => type_text(other),
        },
    }
}

/// `ty` without parentheses, visible ones or those of a `macro_rules` variable.
pub(super) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        other => other,
    }
}

pub(super) fn is_unit(ty: &Type) -> bool {
    matches!(peel(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// The same type with `'static` for lifetimes without a name: what lasts as long as a route.
pub(super) fn without_anonymous_lifetimes(mut ty: Type) -> Type {
    struct Name;

    impl VisitMut for Name {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if lifetime.ident == "_" {
                *lifetime = Lifetime::new("'static", lifetime.span());
            }
        }

        // They mean something else in the signature of a function.
        fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    }

    Name.visit_type_mut(&mut ty);
    ty
}

/// The last word of a path, e.g. `Result` of `io::Result<()>`.
pub(super) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match peel(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The first place where `word` is written.
pub(crate) fn word_in(tokens: impl ToTokens, word: &str) -> Option<Ident> {
    fn find(tokens: proc_macro2::TokenStream, word: &str) -> Option<Ident> {
        tokens.into_iter().find_map(|tree| match tree {
            proc_macro2::TokenTree::Ident(ident) if ident == word => Some(ident),
            proc_macro2::TokenTree::Group(group) => find(group.stream(), word),
            _ => None,
        })
    }
    find(tokens.into_token_stream(), word)
}
