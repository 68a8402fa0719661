//! What a controller is, after parsing and before expansion.

use proc_macro2::Span;
use syn::{Attribute, Generics, Ident, Type, Visibility};

/// Which of the two macros this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pull,
    Push,
}

impl Kind {
    /// The name of the attribute on methods.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Pull => Self::Push,
            Self::Push => Self::Pull,
        }
    }

    /// The context type of its handlers.
    pub(crate) fn ctx(self) -> &'static str {
        match self {
            Self::Pull => "PullCtx",
            Self::Push => "PushCtx",
        }
    }
}

/// What the macro stands on.
pub(crate) enum Item {
    Impl(syn::ItemImpl),
    Trait(syn::ItemTrait),
}

/// An impl block or a trait with its handlers.
pub(crate) struct Controller {
    pub(crate) kind: Kind,
    /// The type's or the trait's own name.
    pub(crate) ident: Ident,
    /// `Home<T>`, or `Self` in a trait.
    pub(crate) self_ty: Type,
    pub(crate) generics: Generics,
    pub(crate) is_trait: bool,
    /// Of the generated client.
    pub(crate) vis: Visibility,
    /// `cfg`s of the whole item.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) methods: Vec<Method>,
    /// Methods were left out on purpose, or are broken.
    pub(crate) has_others: bool,
}

/// A handler.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// Doc comments and `deprecated`, for the client.
    pub(crate) docs: Vec<Attribute>,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) ctx: bool,
    pub(crate) args: Vec<Arg>,
    pub(crate) output: Output,
    /// The whole uri of the route.
    pub(crate) uri: String,
    /// Where the uri was written, or the name that it comes from.
    pub(crate) uri_span: Span,
}

/// An argument that travels in the body.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

/// What a handler returns.
pub(crate) enum Output {
    /// Nothing.
    Unit,
    /// A value, always.
    Value(Type),
    /// `Result<T, E>`: the type as a whole, and `T` where it can be read off.
    Result { whole: Type, value: Option<Type> },
}
