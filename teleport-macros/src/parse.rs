//! From syntax to the model. Each rule about one method is checked here, at its token.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, ImplItem, ItemImpl, ItemTrait, Pat,
    PathArguments, Receiver, ReceiverKind, ReturnType, Safety, Signature, TraitItem, Type,
    ext::IdentExt, spanned::Spanned,
};

use crate::{
    args::{ControllerArgs, MethodArgs},
    errors::Errors,
    model::{Arg, Controller, Item, Kind, Method, Output},
    route,
};

pub(crate) enum Parsed {
    /// The item, without the macro's own attributes, and what was found in it.
    Controller(Item, Controller),
    /// Something that is no controller; what is wrong with it has been reported.
    Other(TokenStream),
}

pub(crate) fn item(
    kind: Kind,
    tokens: TokenStream,
    args: &ControllerArgs,
    errors: &Errors,
) -> Parsed {
    // A syntax error inside is the compiler's to report: it parses the item again, and knows better words.
    let parsed = match syn::parse2::<syn::Item>(tokens.clone()) {
        Ok(syn::Item::Impl(item)) => impl_block(kind, item, args, errors),
        Ok(syn::Item::Trait(item)) => Some(contract(kind, item, args, errors)),
        Ok(other) => {
            let name = kind.name();
            let keyword = other.to_token_stream().into_iter().find(|token| {
                !matches!(
                    token,
                    proc_macro2::TokenTree::Punct(_) | proc_macro2::TokenTree::Group(_)
                )
            });
            let text = format!(
                "`#[{name}_controller]` goes on an `impl` block with handlers, or on a `trait` as a contract"
            );
            match keyword {
                Some(keyword) => errors.at(keyword, text),
                None => errors.at(&other, text),
            }
            None
        }
        Err(_) => None,
    };
    match parsed {
        Some((item, controller)) => Parsed::Controller(item, controller),
        None => Parsed::Other(tokens),
    }
}

fn impl_block(
    kind: Kind,
    mut item: ItemImpl,
    args: &ControllerArgs,
    errors: &Errors,
) -> Option<(Item, Controller)> {
    if let Some((path, _)) = &item.trait_ {
        errors.at(
            path,
            "annotate the trait itself; an implementation of a contract needs no attribute",
        );
        return None;
    }
    let ident = match &*item.self_ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.clone()),
        _ => None,
    };
    let Some(ident) = ident else {
        errors.at(
            &item.self_ty,
            "a controller is a struct or an enum with a name of its own",
        );
        return None;
    };
    let mut controller = Controller {
        kind,
        ident,
        self_ty: (*item.self_ty).clone(),
        generics: item.generics.clone(),
        is_trait: false,
        vis: syn::parse_quote!(pub),
        cfgs: cfgs(&item.attrs),
        methods: Vec::new(),
        has_others: false,
    };
    for member in &mut item.items {
        if let ImplItem::Fn(function) = member {
            let found = method(
                kind,
                &mut function.attrs,
                &function.sig,
                args,
                &controller,
                errors,
            );
            controller.add(found);
        }
    }
    Some((Item::Impl(item), controller))
}

fn contract(
    kind: Kind,
    mut item: ItemTrait,
    args: &ControllerArgs,
    errors: &Errors,
) -> (Item, Controller) {
    let (_, ty_generics, _) = item.generics.split_for_impl();
    let ident = &item.ident;
    let mut controller = Controller {
        kind,
        ident: ident.clone(),
        self_ty: syn::parse_quote!(<Self as #ident #ty_generics>),
        generics: item.generics.clone(),
        is_trait: true,
        vis: item.vis.clone(),
        cfgs: cfgs(&item.attrs),
        methods: Vec::new(),
        has_others: false,
    };
    for member in &mut item.items {
        match member {
            TraitItem::Fn(function) => {
                let found = method(kind, &mut function.attrs, &function.sig, args, &controller, errors);
                controller.add(found);
            }
            TraitItem::Type(member) => errors.at(
                &member.ident,
                "a contract cannot have associated types: its client would not know them; make it a type parameter of the trait",
            ),
            _ => {}
        }
    }
    (Item::Trait(item), controller)
}

impl Controller {
    fn add(&mut self, found: Option<Method>) {
        match found {
            Some(method) => self.methods.push(method),
            None => self.has_others = true,
        }
    }
}

fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    let cfgs = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    cfgs.cloned().collect()
}

/// A handler; `None` if the method is skipped or broken.
fn method(
    kind: Kind,
    attrs: &mut Vec<Attribute>,
    sig: &Signature,
    args: &ControllerArgs,
    controller: &Controller,
    errors: &Errors,
) -> Option<Method> {
    let own = MethodArgs::take(kind, attrs, errors);
    if own.skip {
        if controller.is_trait {
            errors.at(
                &sig.ident,
                "a contract has handlers only; move this method to a trait of its own",
            );
        }
        return None;
    }
    let mut sound = check_signature(kind, sig, errors);
    let (ctx, args_found, inputs_sound) = inputs(kind, sig, errors);
    sound &= inputs_sound;
    let output = output(kind, sig, errors);
    let name = sig.ident.unraw().to_string();
    let controller_name = args.name.as_ref().map_or_else(
        || route::snake(&controller.ident.unraw().to_string()),
        syn::LitStr::value,
    );
    let group = args
        .group
        .as_ref()
        .map(syn::LitStr::value)
        .unwrap_or_default();
    let snake = route::snake(&name);
    let (uri, uri_span) = match &own.uri {
        Some(lit) if lit.value().starts_with('/') => {
            (route::join(&[&group, &lit.value()]), lit.span())
        }
        Some(lit) => (
            route::join(&[&group, &controller_name, &lit.value()]),
            lit.span(),
        ),
        None => (
            route::join(&[&group, &controller_name, &snake]),
            sig.ident.span(),
        ),
    };
    let keep =
        |attr: &&Attribute| attr.path().is_ident("doc") || attr.path().is_ident("deprecated");
    let method = Method {
        ident: sig.ident.clone(),
        docs: attrs.iter().filter(keep).cloned().collect(),
        cfgs: cfgs(attrs),
        ctx,
        args: args_found,
        output: output?,
        uri,
        uri_span,
    };
    sound.then_some(method)
}

fn check_signature(kind: Kind, sig: &Signature, errors: &Errors) -> bool {
    let name = &sig.ident;
    let skip = format!("or `#[{}(skip)]` to keep it out of the routes", kind.name());
    let mut sound = true;
    let mut wrong = |tokens: &dyn ToTokens, text: String| {
        errors.at(tokens.to_token_stream(), text);
        sound = false;
    };
    if let Some(token) = &sig.constness {
        wrong(token, format!("handler `{name}` cannot be `const`"));
    }
    if let Safety::Unsafe(token) = &sig.safety {
        wrong(
            token,
            format!("handler `{name}` cannot be `unsafe`: callers are on the other side of a wire"),
        );
    }
    if let Some(token) = &sig.abi {
        wrong(
            token,
            format!("handler `{name}` cannot have an ABI of its own"),
        );
    }
    if sig.asyncness.is_none() {
        wrong(
            &sig.fn_token,
            format!("handler `{name}` must be async: write `async fn {name}`, {skip}"),
        );
    }
    for param in &sig.generics.params {
        match param {
            GenericParam::Lifetime(_) => {}
            GenericParam::Type(param) => wrong(
                &param.ident,
                format!(
                    "handler `{name}` cannot be generic: the wire does not say what `{}` is; make it a parameter of the controller",
                    param.ident
                ),
            ),
            GenericParam::Const(param) => wrong(
                &param.ident,
                format!(
                    "handler `{name}` cannot be generic: the wire does not say what `{}` is; make it a parameter of the controller",
                    param.ident
                ),
            ),
        }
    }
    if let Some(variadic) = &sig.variadic {
        wrong(
            variadic,
            format!("handler `{name}` cannot be variadic; take a `Vec`"),
        );
    }
    match sig.receiver() {
        None => wrong(
            name,
            format!("handler `{name}` must take `&self` first, {skip}"),
        ),
        Some(receiver) if is_shared_self(receiver) => {}
        Some(receiver) => wrong(
            receiver,
            format!(
                "handler `{name}` must take `&self`: many calls run at the same time on one controller; keep what changes behind a `Mutex`"
            ),
        ),
    }
    sound
}

/// `&self`, with or without a lifetime.
fn is_shared_self(receiver: &Receiver) -> bool {
    receiver.mutability.is_none() && matches!(receiver.kind, ReceiverKind::Reference(_, _, None))
}

/// Whether there is a context, the arguments of the body, and whether all is sound.
fn inputs(kind: Kind, sig: &Signature, errors: &Errors) -> (bool, Vec<Arg>, bool) {
    let mut ctx = false;
    let mut sound = true;
    let mut args = Vec::new();
    let typed = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    });
    for (position, input) in typed.enumerate() {
        let mut wrong = |tokens: &dyn ToTokens, text: String| {
            errors.at(tokens.to_token_stream(), text);
            sound = false;
        };
        let own = kind.ctx();
        match context(&input.ty) {
            Some(Context::Shared(name)) if name == own => {
                if ctx {
                    wrong(&input.ty, "one context is enough".to_owned());
                } else if position > 0 {
                    wrong(
                        &input.ty,
                        format!("the context comes first: `&self, ctx: &{own}, ..`"),
                    );
                }
                ctx = true;
                continue;
            }
            Some(Context::Shared(name)) => {
                wrong(
                    &input.ty,
                    format!("a {} handler gets a `&{own}`, not a `&{name}`", kind.name()),
                );
                continue;
            }
            Some(Context::Other) => {
                wrong(
                    &input.ty,
                    format!("write `&{own}`: the context is borrowed"),
                );
                continue;
            }
            None => {}
        }
        match &*input.ty {
            Type::Reference(reference) => {
                let owned = owned_form(&reference.elem);
                wrong(
                    &input.ty,
                    format!("arguments come out of a body and are owned: write `{owned}`"),
                );
            }
            Type::ImplTrait(_) => wrong(
                &input.ty,
                "the type of an argument must be known: write it instead of `impl Trait`"
                    .to_owned(),
            ),
            _ => {}
        }
        let ident = match &*input.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                format_ident!("{}", pat.ident, span = pat.ident.span())
            }
            Pat::Wild(pat) => format_ident!("arg{position}", span = pat.span()),
            pat => {
                wrong(pat, "name the argument and take it apart in the body: the client's method has the same arguments".to_owned());
                continue;
            }
        };
        args.push(Arg {
            ident,
            ty: (*input.ty).clone(),
        });
    }
    (ctx, args, sound)
}

enum Context {
    /// Behind a shared reference.
    Shared(String),
    /// By value, or behind something else.
    Other,
}

fn context(ty: &Type) -> Option<Context> {
    let name = |ty: &Type| match ty {
        Type::Path(path) => {
            let name = path.path.segments.last()?.ident.to_string();
            matches!(name.as_str(), "PullCtx" | "PushCtx").then_some(name)
        }
        _ => None,
    };
    match ty {
        Type::Reference(reference) => {
            let name = name(&reference.elem)?;
            Some(match reference.mutability {
                Some(_) => Context::Other,
                None => Context::Shared(name),
            })
        }
        ty => name(ty).map(|_| Context::Other),
    }
}

fn owned_form(ty: &Type) -> String {
    match ty {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", type_text(&slice.elem)),
        other => type_text(other),
    }
}

fn output(kind: Kind, sig: &Signature, errors: &Errors) -> Option<Output> {
    let ty = match &sig.output {
        ReturnType::Default => return Some(Output::Unit),
        ReturnType::Type(_, ty) => &**ty,
    };
    if is_unit(ty) {
        return Some(Output::Unit);
    }
    if let Type::ImplTrait(_) = ty {
        errors.at(
            ty,
            "the type of the reply must be known: write it instead of `impl Trait`",
        );
        return None;
    }
    if let Type::Reference(reference) = ty {
        let owned = owned_form(&reference.elem);
        errors.at(
            ty,
            format!("the client gets the reply out of a body, owned: write `{owned}`"),
        );
        return None;
    }
    let result = match ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .filter(|last| last.ident == "Result"),
        _ => None,
    };
    let Some(result) = result else {
        if kind == Kind::Push {
            errors.at(
                ty,
                "a push is not answered: return nothing, or `Result<(), E>`",
            );
            return None;
        }
        return Some(Output::Value(ty.clone()));
    };
    let value = match &result.arguments {
        PathArguments::AngleBracketed(args) => args.args.iter().find_map(|arg| match arg {
            GenericArgument::Type(ty) => Some(ty.clone()),
            _ => None,
        }),
        _ => None,
    };
    if kind == Kind::Push
        && let Some(value) = &value
        && !is_unit(value)
    {
        errors.at(
            value,
            "a push is not answered: return nothing, or `Result<(), E>`",
        );
        return None;
    }
    Some(Output::Result {
        whole: ty.clone(),
        value,
    })
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// A type as a person would write it.
pub(crate) fn type_text(ty: &Type) -> String {
    let text = quote!(#ty).to_string();
    let tight = [
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" > ", ">"),
        (" >", ">"),
        (" :: ", "::"),
        (" ::", "::"),
        (":: ", "::"),
        (" ,", ","),
        (" ;", ";"),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
    ];
    tight
        .iter()
        .fold(text, |text, (loose, tight)| text.replace(loose, tight))
}
