//! What a controller is, after parsing and before expansion.

use proc_macro2::Span;
use syn::{Attribute, Generics, Ident, Path, Type, Visibility};

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
    pub(crate) fn context(self) -> &'static str {
        match self {
            Self::Pull => "PullCtx",
            Self::Push => "PushCtx",
        }
    }
}

/// An impl block or a trait with its handlers.
pub(crate) struct Controller {
    pub(crate) kind: Kind,
    /// The crate that generated code names.
    pub(crate) krate: Path,
    /// The type's or the trait's own name.
    pub(crate) ident: Ident,
    pub(crate) target: Target,
    pub(crate) generics: Generics,
    pub(crate) carried: Carried,
    /// Of the generated client.
    pub(crate) vis: Visibility,
    /// The client's name; `None` if there is to be no client.
    pub(crate) client: Option<Ident>,
    pub(crate) methods: Vec<Method>,
}

/// What the macro stands on.
pub(crate) enum Target {
    /// The inherent impl of a type.
    Type(Box<Type>),
    /// A trait that others implement.
    Contract,
}

impl Controller {
    pub(crate) fn is_contract(&self) -> bool {
        matches!(self.target, Target::Contract)
    }
}

/// A handler.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    pub(crate) carried: Carried,
    /// Lifetimes only, if `sound`.
    pub(crate) generics: Generics,
    /// Where the context stands, if there is one.
    pub(crate) context: Option<Span>,
    pub(crate) args: Vec<Arg>,
    pub(crate) output: Output,
    /// The whole uri of the route.
    pub(crate) uri: String,
    /// Where the uri was written, or the name that it comes from.
    pub(crate) uri_span: Span,
    pub(crate) extras: Extras,
    /// Nothing was wrong with it.
    pub(crate) sound: bool,
}

/// What is asked of a route besides its uri.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Extras {
    /// It is stopped when its caller goes away.
    pub(crate) cancel: bool,
    /// Milliseconds after which it is slow.
    pub(crate) slow_ms: Option<u64>,
}

/// An argument that travels in the body.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

/// What a handler returns.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Output {
    /// Nothing.
    Unit,
    /// A value, always.
    Value(Type),
    /// `Result<T, E>`: the type as a whole, `T` where it can be read off, and where `E` stands.
    Result {
        whole: Type,
        value: Option<Type>,
        error: Span,
    },
}

/// Attributes that generated code shares with the code that it stands for.
#[derive(Default)]
pub(crate) struct Carried {
    /// `cfg`, for everything that is generated.
    pub(crate) cfgs: Vec<Attribute>,
    /// Doc comments and `deprecated`, for the client.
    pub(crate) docs: Vec<Attribute>,
    /// `allow`, for names and signatures that are repeated in the client.
    pub(crate) allows: Vec<Attribute>,
}
