//! One method, to a handler. Each rule about it is checked here, at its token.

use quote::format_ident;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Ident, Lifetime, Pat, PatType, PathArguments,
    Receiver, ReceiverKind, ReturnType, Safety, Signature, Type, WherePredicate, ext::IdentExt,
    spanned::Spanned,
};

use super::{
    Scope, attrs,
    types::{self, Place},
};
use crate::{
    args::MethodArgs,
    errors::{Errors, Sink},
    model::{Arg, Kind, Method, Output},
    route,
    syntax::Function,
};

/// `None` if the method is skipped, or clearly no handler. A handler with mistakes is still described, for the stub of the
/// client.
pub(super) fn parse(scope: &Scope, function: &mut Function, sink: &Sink<'_>) -> Option<Method> {
    let own = MethodArgs::take(scope.kind, &mut function.attrs, sink);
    if own.skip {
        return None;
    }
    check_form(scope, &function.sig, sink);
    if function.sig.asyncness.is_none() && function.sig.receiver().is_none() {
        return None;
    }
    let form_is_sound = !sink.failed();
    function.is_handler = form_is_sound;
    let sig = &function.sig;
    // Perhaps a helper that was left here; the rest of it is as its author wants it.
    let (unheard, root) = (Errors::default(), sink);
    let unheard = unheard.sink();
    let sink = if form_is_sound { root } else { &unheard };
    check_qualifiers(sig, sink);
    check_generics(scope, sig, sink);
    if let Some(receiver) = sig.receiver() {
        check_receiver(sig, receiver, sink);
    }
    let inputs = Inputs::parse(scope, sig, sink);
    let (uri, uri_span) = uri(scope, &own, &sig.ident);
    Some(Method {
        ident: sig.ident.clone(),
        carried: attrs::carried(&function.attrs),
        generics: sig.generics.clone(),
        context: inputs.context,
        args: inputs.args,
        output: output(scope, sig, sink),
        uri,
        uri_span,
        extras: own.extras,
        sound: !root.failed(),
    })
}

/// A handler is something async on `self`.
fn check_form(scope: &Scope, sig: &Signature, sink: &Sink<'_>) {
    let name = &sig.ident;
    let kind = scope.kind.name();
    let skip = format!("put `#[{kind}(skip)]` on it to keep it out of the routes");
    match (&sig.asyncness, sig.receiver()) {
        (None, Some(_)) if is_boxed_future(&sig.output) => sink.at(
            name,
            format!("`{name}` gives a boxed future, perhaps the work of `#[async_trait]`: leave that out, and write `async fn {name}`"),
        ),
        (None, Some(_)) => sink.at(
            sig.fn_token,
            format!("handler `{name}` must be async: write `async fn {name}`, or {skip}"),
        ),
        (None, None) => sink.at(
            sig.fn_token,
            format!("`{name}` is no handler, for it has no `&self` and is not async: {skip}, or move it to an `impl` block of its own"),
        ),
        (Some(_), None) => sink.at(
            name,
            format!("handler `{name}` must take `&self` first, or {skip}"),
        ),
        (Some(_), Some(_)) => {}
    }
}

/// `Pin<Box<dyn Future<..> + ..>>`, by its first word.
fn is_boxed_future(output: &ReturnType) -> bool {
    match output {
        ReturnType::Type(_, ty) => types::last_segment(ty).is_some_and(|last| last.ident == "Pin"),
        ReturnType::Default => false,
    }
}

fn check_qualifiers(sig: &Signature, sink: &Sink<'_>) {
    let name = &sig.ident;
    if let Some(token) = &sig.constness {
        sink.at(
            token,
            format!("handler `{name}` cannot be `const`: write `async fn {name}`"),
        );
    }
    if let Safety::Unsafe(token) = &sig.safety {
        sink.at(
            token,
            format!("handler `{name}` cannot be `unsafe`: its callers are on the other side of a wire; write `async fn {name}`"),
        );
    }
    if let Some(abi) = &sig.abi {
        sink.at(
            abi,
            format!("handler `{name}` cannot have an ABI of its own: write `async fn {name}`"),
        );
    }
    if let Some(variadic) = &sig.variadic {
        sink.at(
            variadic,
            format!("handler `{name}` cannot be variadic: take a `Vec`"),
        );
    }
}

fn check_generics(scope: &Scope, sig: &Signature, sink: &Sink<'_>) {
    let owner = if scope.is_contract {
        "trait"
    } else {
        "controller"
    };
    for param in &sig.generics.params {
        let ident = match param {
            GenericParam::Lifetime(_) => continue,
            GenericParam::Type(param) => &param.ident,
            GenericParam::Const(param) => &param.ident,
        };
        sink.at(
            ident,
            format!("handler `{}` cannot be generic, for the wire does not say what `{ident}` is: make it a parameter of the {owner}", sig.ident),
        );
    }
    let predicates = sig
        .generics
        .where_clause
        .iter()
        .flat_map(|clause| &clause.predicates);
    for predicate in predicates {
        let WherePredicate::Type(bounded) = predicate else {
            continue;
        };
        // Whoever registers a contract knows its size and its thread-safety.
        if !(scope.is_contract && super::is_self(&bounded.bounded_ty)) {
            sink.at(
                predicate,
                format!("a route is there for all or for none: move this bound to the `where` clause of the {owner}"),
            );
        }
    }
}

fn check_receiver(sig: &Signature, receiver: &Receiver, sink: &Sink<'_>) {
    let name = &sig.ident;
    let (shared, lifetime) = match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, mutability) => {
            (mutability.is_none(), lifetime.as_ref())
        }
        ReceiverKind::Typed(_, ty) => match types::peel(ty) {
            Type::Reference(reference) if super::is_self(&reference.elem) => {
                (reference.mutability.is_none(), reference.lifetime.as_ref())
            }
            _ => (false, None),
        },
        _ => (false, None),
    };
    if let Some(lifetime) = lifetime.filter(|lifetime| is_foreign(sig, lifetime)) {
        sink.at(
            lifetime,
            format!("handler `{name}` has its controller for the time of a call: write `&self`"),
        );
    }
    if !shared {
        sink.at(
            receiver,
            format!("handler `{name}` must take `&self`, for all calls share one controller: keep what changes in a `Mutex` or an atomic"),
        );
    }
}

/// Not one of the method's own, so it may be longer than a call.
fn is_foreign(sig: &Signature, lifetime: &Lifetime) -> bool {
    let own = sig
        .generics
        .lifetimes()
        .any(|own| own.lifetime == *lifetime);
    lifetime.ident != "_" && !own
}

fn uri(scope: &Scope, own: &MethodArgs, ident: &Ident) -> (String, proc_macro2::Span) {
    let group = scope
        .args
        .group
        .as_ref()
        .map(syn::LitStr::value)
        .unwrap_or_default();
    let Some(lit) = &own.uri else {
        let name = route::snake(&ident.unraw().to_string());
        return (route::join(&[&group, &scope.name, &name]), ident.span());
    };
    let text = lit.value();
    let uri = if text.starts_with('/') {
        route::join(&[&group, &text])
    } else {
        route::join(&[&group, &scope.name, &text])
    };
    (uri, lit.span())
}

/// Serde has no longer tuples.
const MOST_ARGUMENTS: usize = 16;

#[derive(Default)]
struct Inputs {
    context: Option<proc_macro2::Span>,
    args: Vec<Arg>,
}

impl Inputs {
    fn parse(scope: &Scope, sig: &Signature, sink: &Sink<'_>) -> Self {
        let mut this = Self::default();
        let typed = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => Some(input),
            FnArg::Receiver(_) => None,
        });
        for (position, input) in typed.enumerate() {
            check_attrs(&input.attrs, sink);
            match context(&input.ty) {
                Some(found) => {
                    this.context(scope.kind, position, &input.ty, &found, sink);
                    check_lifetime(sig, &input.ty, sink);
                }
                None => this.argument(scope, sig, input, sink),
            }
            if this.args.len() == MOST_ARGUMENTS + 1 {
                sink.at(
                    &input.ty,
                    format!("a handler has at most {MOST_ARGUMENTS} arguments, for they travel as a tuple: put them into a struct"),
                );
            }
        }
        this
    }

    fn context(
        &mut self,
        kind: Kind,
        position: usize,
        ty: &Type,
        found: &Context,
        sink: &Sink<'_>,
    ) {
        let wanted = kind.context();
        let first = self.context.is_none();
        self.context = Some(ty.span());
        let text = if found.name != wanted {
            let (kind, other) = (kind.name(), &found.name);
            format!("a {kind} handler gets a `&{wanted}`, not a `{other}`: write `&{wanted}`")
        } else if !found.shared {
            format!("the context is lent to the handler: write `&{wanted}`")
        } else if !first {
            "a handler gets one context: leave this one out".to_owned()
        } else if position > 0 {
            format!("the context comes before the arguments: write `&self, ctx: &{wanted}, ..`")
        } else {
            return;
        };
        sink.at(ty, text);
    }

    fn argument(&mut self, scope: &Scope, sig: &Signature, input: &PatType, sink: &Sink<'_>) {
        types::check(&input.ty, Place::Argument, scope, sink);
        let ident = match &*input.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => pat.ident.clone(),
            Pat::Wild(pat) => self.free_name(sig, pat.underscore_token.span()),
            pat => {
                sink.at(pat, "the client's method has the same arguments, so they need names: write a name and take it apart in the body");
                self.free_name(sig, pat.span())
            }
        };
        let ty = (*input.ty).clone();
        self.args.push(Arg { ident, ty });
    }

    /// A name for an argument without one.
    fn free_name(&self, sig: &Signature, span: proc_macro2::Span) -> Ident {
        let is_free = |name: &Ident| {
            sig.inputs.iter().all(|input| match input {
                FnArg::Typed(input) => {
                    !matches!(&*input.pat, Pat::Ident(pat) if pat.ident == *name)
                }
                FnArg::Receiver(_) => true,
            })
        };
        let names = (self.args.len()..).map(|index| format_ident!("arg{index}", span = span));
        let mut free = names.filter(is_free);
        free.next()
            .unwrap_or_else(|| format_ident!("arg", span = span))
    }
}

/// Of a context.
fn check_lifetime(sig: &Signature, ty: &Type, sink: &Sink<'_>) {
    if let Type::Reference(reference) = types::peel(ty)
        && let Some(lifetime) = &reference.lifetime
        && is_foreign(sig, lifetime)
    {
        sink.at(
            lifetime,
            "a handler has the context for the time of a call: leave the lifetime out",
        );
    }
}

fn check_attrs(attrs: &[Attribute], sink: &Sink<'_>) {
    for attr in attrs {
        if attr.path().is_ident("cfg") {
            sink.at(
                attr,
                "both sides must agree about the arguments: write the method twice, each behind its `cfg`",
            );
        }
    }
}

/// A parameter that looks like a context.
struct Context {
    name: String,
    /// Behind a `&`.
    shared: bool,
}

fn context(ty: &Type) -> Option<Context> {
    let ty = types::peel(ty);
    let (inner, shared) = match ty {
        Type::Reference(reference) => (&*reference.elem, reference.mutability.is_none()),
        other => (other, false),
    };
    let name = types::last_segment(inner)?.ident.to_string();
    matches!(name.as_str(), "PullCtx" | "PushCtx").then_some(Context { name, shared })
}

fn output(scope: &Scope, sig: &Signature, sink: &Sink<'_>) -> Output {
    let ReturnType::Type(_, ty) = &sig.output else {
        return Output::Unit;
    };
    let ty = types::peel(ty);
    if types::is_unit(ty) {
        return Output::Unit;
    }
    let output = match types::last_segment(ty) {
        Some(last) if last.ident == "Result" => {
            let mut arguments = type_arguments(&last.arguments);
            Output::Result {
                whole: ty.clone(),
                value: arguments.next().cloned(),
                error: arguments.next().map_or(ty.span(), Spanned::span),
            }
        }
        // An alias; what it stands for is found out by the compiler.
        Some(last) if last.ident.to_string().ends_with("Result") => Output::Result {
            whole: ty.clone(),
            value: None,
            error: ty.span(),
        },
        _ => Output::Value(ty.clone()),
    };
    let value = match &output {
        Output::Unit => return output,
        Output::Result {
            value: Some(value), ..
        } => value,
        Output::Result {
            whole, value: None, ..
        } => whole,
        Output::Value(value) => value,
    };
    let is_unit_or_alias =
        types::is_unit(value) || matches!(output, Output::Result { value: None, .. });
    if scope.kind == Kind::Push && !is_unit_or_alias {
        sink.at(
            value,
            "a push is not answered: return nothing, or `Result<(), E>`",
        );
    } else {
        types::check(value, Place::Reply, scope, sink);
    }
    output
}

/// `T` and `E` of `Result<T, E>`; of an alias, what it has.
fn type_arguments(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let arguments = match arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}
