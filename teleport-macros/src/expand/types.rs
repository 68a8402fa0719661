//! The user's types in the places where generated code repeats them.

use syn::{
    ExprPath, GenericParam, Generics, Lifetime, Path, Type, TypePath, parse_quote,
    parse_quote_spanned,
    spanned::Spanned,
    visit_mut::{self, VisitMut},
};

use super::at;
use crate::{
    model::{Controller, Method, Output, Target},
    parse::{is_self, word_in},
};

/// The type of a handler's body: nothing, the one argument, or a tuple.
pub(super) fn args(method: &Method) -> Type {
    match &method.args[..] {
        [] => unit(method),
        [arg] => arg.ty.clone(),
        args => {
            let types = args.iter().map(|arg| &arg.ty);
            parse_quote!((#(#types),*))
        }
    }
}

/// The type of what a handler gives on success.
pub(super) fn reply(method: &Method, krate: &Path) -> Type {
    match &method.output {
        Output::Unit => unit(method),
        Output::Value(ty)
        | Output::Result {
            value: Some(ty), ..
        } => ty.clone(),
        Output::Result {
            whole, value: None, ..
        } => {
            parse_quote_spanned!(at(whole.span())=> <#whole as #krate::__private::HandlerResult>::Value)
        }
    }
}

/// `()`, where the user has written nothing.
fn unit(method: &Method) -> Type {
    parse_quote_spanned!(at(method.ident.span())=> ())
}

/// For the routes: they hold no borrowed data.
pub(super) fn without_lifetimes(mut ty: Type, method: &Method) -> Type {
    Rename {
        self_ty: None,
        lifetimes: Some((&method.generics, "'static")),
    }
    .visit_type_mut(&mut ty);
    ty
}

/// For the client: it is not the controller, and has no use for the names of lifetimes.
pub(super) fn for_client(mut ty: Type, controller: &Controller, method: &Method) -> Type {
    Rename {
        self_ty: controller.self_ty(),
        lifetimes: Some((&method.generics, "'_")),
    }
    .visit_type_mut(&mut ty);
    ty
}

/// The client's generics: those of the controller, without what is said about `Self`.
pub(super) fn client_generics(controller: &Controller) -> Generics {
    let mut generics = controller.generics.clone();
    let mut rename = Rename {
        self_ty: controller.self_ty(),
        lifetimes: None,
    };
    rename.visit_generics_mut(&mut generics);
    for param in &mut generics.params {
        if let GenericParam::Type(param) = param {
            let bounds = std::mem::take(&mut param.bounds).into_iter();
            param.bounds = bounds
                .filter(|bound| word_in(bound, "Self").is_none())
                .collect();
            param
                .default
                .take_if(|(_, default)| word_in(default, "Self").is_some());
        }
    }
    if let Some(clause) = &mut generics.where_clause {
        let predicates = std::mem::take(&mut clause.predicates).into_iter();
        clause.predicates = predicates
            .filter(|predicate| word_in(predicate, "Self").is_none())
            .collect();
    }
    generics
}

impl Controller {
    /// What `Self` is, if it is known.
    fn self_ty(&self) -> Option<&Type> {
        match &self.target {
            Target::Type(ty) => Some(ty),
            Target::Contract => None,
        }
    }
}

/// Puts a type for `Self`, and one lifetime for those of a method.
struct Rename<'a> {
    self_ty: Option<&'a Type>,
    lifetimes: Option<(&'a Generics, &'static str)>,
}

impl Rename<'_> {
    /// `Self::N` becomes `<Type>::N`.
    fn qualified(&self, path: &Path) -> Option<TypePath> {
        let self_ty = self.self_ty?;
        let mut segments = path.segments.iter();
        let first = &segments.next()?.ident;
        if first != "Self" || segments.len() == 0 {
            return None;
        }
        Some(parse_quote_spanned!(at(first.span())=> <#self_ty> #(:: #segments)*))
    }
}

impl VisitMut for Rename<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match self.self_ty {
            Some(self_ty) if is_self(ty) => *ty = self_ty.clone(),
            _ => visit_mut::visit_type_mut(self, ty),
        }
    }

    fn visit_type_path_mut(&mut self, path: &mut TypePath) {
        if path.qself.is_none()
            && let Some(qualified) = self.qualified(&path.path)
        {
            *path = qualified;
        }
        visit_mut::visit_type_path_mut(self, path);
    }

    fn visit_expr_path_mut(&mut self, path: &mut ExprPath) {
        if path.qself.is_none()
            && let Some(qualified) = self.qualified(&path.path)
        {
            path.qself = qualified.qself;
            path.path = qualified.path;
        }
        visit_mut::visit_expr_path_mut(self, path);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let Some((generics, name)) = self.lifetimes else {
            return;
        };
        if lifetime.ident == "_"
            || generics
                .lifetimes()
                .any(|param| param.lifetime == *lifetime)
        {
            *lifetime = Lifetime::new(name, lifetime.span());
        }
    }
}

/// Whether `ty` can stand in the signature of the client's stub.
pub(super) fn is_plain(ty: &Type) -> bool {
    !has_word(ty, "Self") && !has_word(ty, "impl")
}

pub(super) fn has_word(ty: &Type, word: &str) -> bool {
    word_in(ty, word).is_some()
}
