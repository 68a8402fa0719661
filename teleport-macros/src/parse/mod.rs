//! From syntax to the model.

mod attrs;
mod method;
mod types;

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::{Attribute, Item, ItemImpl, ItemTrait, Type, ext::IdentExt};

pub(crate) use self::{attrs::conditional, types::word_in};
use crate::{
    args::{Client, ControllerArgs},
    errors::Sink,
    model::{Controller, Kind, Target},
    route,
    syntax::{Member, Members, Source},
};

/// An item and the handlers found in it; `None` if it can be no controller, which has been reported.
pub(crate) fn item(
    kind: Kind,
    tokens: TokenStream,
    args: ControllerArgs,
    sink: &Sink<'_>,
) -> Option<(Source, Controller)> {
    let mut source = Source::parse(tokens, sink)?;
    let controller = match &mut source {
        Source::Impl(head, members) => impl_block(kind, head, members, args, sink)?,
        Source::Trait(head, members) => contract(kind, head, members, args, sink),
        Source::Other(item) => {
            wrong_item(kind, item, sink);
            return None;
        }
    };
    Some((source, controller))
}

fn impl_block(
    kind: Kind,
    head: &mut ItemImpl,
    members: &mut Members,
    args: ControllerArgs,
    sink: &Sink<'_>,
) -> Option<Controller> {
    if let Some((path, _)) = &head.trait_ {
        let name = kind.name();
        sink.at(
            path,
            format!("`#[{name}_controller]` goes on the trait: annotate that; its implementations need no attribute"),
        );
        return None;
    }
    let self_ty = types::peel(&head.self_ty);
    let Some(last) = types::last_segment(self_ty) else {
        sink.at(
            self_ty,
            "a controller is a struct or an enum with a name of its own: wrap this type in a struct",
        );
        return None;
    };
    let scope = Scope::new(kind, &last.ident, false, args);
    scope.take_other_macros(&mut head.attrs, sink);
    Some(Controller {
        methods: scope.methods(members, sink),
        kind,
        krate: scope.args.krate,
        ident: last.ident.clone(),
        target: Target::Type(Box::new(types::without_anonymous_lifetimes(
            self_ty.clone(),
        ))),
        generics: head.generics.clone(),
        carried: attrs::carried(&head.attrs),
        vis: syn::parse_quote!(pub),
        client: scope.client,
    })
}

fn contract(
    kind: Kind,
    head: &mut ItemTrait,
    members: &mut Members,
    args: ControllerArgs,
    sink: &Sink<'_>,
) -> Controller {
    let scope = Scope::new(kind, &head.ident, true, args);
    scope.take_other_macros(&mut head.attrs, sink);
    Controller {
        methods: scope.methods(members, sink),
        kind,
        krate: scope.args.krate,
        ident: head.ident.clone(),
        target: Target::Contract,
        generics: head.generics.clone(),
        carried: attrs::carried(&head.attrs),
        vis: head.vis.clone(),
        client: scope.client,
    }
}

/// What the methods of one controller have in common.
struct Scope {
    kind: Kind,
    is_contract: bool,
    client: Option<syn::Ident>,
    /// The part of the routes that stands for the controller.
    name: String,
    args: ControllerArgs,
}

impl Scope {
    fn new(kind: Kind, ident: &syn::Ident, is_contract: bool, args: ControllerArgs) -> Self {
        let suffix = match kind {
            Kind::Pull => "Client",
            Kind::Push => "PushClient",
        };
        let name = match &args.name {
            Some(name) => name.value(),
            None => route::snake(&ident.unraw().to_string()),
        };
        let client = match &args.client {
            Client::Default => Some(format_ident!(
                "{}{suffix}",
                ident.unraw(),
                span = ident.span()
            )),
            Client::Named(ident) => Some(ident.clone()),
            Client::None => None,
        };
        Self {
            kind,
            is_contract,
            client,
            name,
            args,
        }
    }

    fn methods(&self, members: &mut Members, sink: &Sink<'_>) -> Vec<crate::model::Method> {
        let mut methods = Vec::new();
        for member in &mut members.list {
            match member {
                Member::Fn(function) => methods.extend(method::parse(self, function, &sink.child())),
                Member::Macro(tokens) => sink.at(
                    first_words(tokens.clone()),
                    "handlers that a macro writes here would not be seen: write them out, or move the macro to an `impl` block of its own",
                ),
                Member::Other(_) => {}
            }
        }
        methods
    }

    /// One block has one controller. A second attribute is taken off, so that what it would write is not reported as well.
    fn take_other_macros(&self, attrs: &mut Vec<Attribute>, sink: &Sink<'_>) {
        let own = format!("{}_controller", self.kind.name());
        attrs.retain(|attr| {
            let last = attr.path().segments.last();
            let is_controller = last.is_some_and(|last| {
                last.ident == "pull_controller" || last.ident == "push_controller"
            });
            if is_controller {
                let text = if last.is_some_and(|last| last.ident == own) {
                    format!("a second `#[{own}]` on one block; put all keys into one")
                } else {
                    "pulls and pushes have controllers of their own: write two blocks, each with one attribute".to_owned()
                };
                sink.at(attr.path(), text);
            }
            !is_controller
        });
    }
}

/// `path!` of a macro invocation.
fn first_words(tokens: TokenStream) -> TokenStream {
    let is_not_body = |tree: &TokenTree| !matches!(tree, TokenTree::Group(_));
    tokens.into_iter().take_while(is_not_body).collect()
}

fn wrong_item(kind: Kind, item: &Item, sink: &Sink<'_>) {
    let attribute = format!("`#[{}_controller]`", kind.name());
    let on_impl = |keyword: &dyn ToTokens, ident: &syn::Ident| {
        let text =
            format!("{attribute} goes on the block with the handlers: `impl {ident} {{ .. }}`");
        sink.at(keyword.to_token_stream(), text);
    };
    match item {
        Item::Struct(item) => on_impl(&item.struct_token, &item.ident),
        Item::Enum(item) => on_impl(&item.enum_token, &item.ident),
        Item::Union(item) => on_impl(&item.union_token, &item.ident),
        Item::Type(item) => on_impl(&item.type_token, &item.ident),
        Item::Fn(item) => sink.at(
            item.sig.fn_token,
            format!(
                "a handler is a method: put `{}` into an `impl` block and {attribute} on that",
                item.sig.ident
            ),
        ),
        Item::Mod(item) => sink.at(
            item.mod_token,
            format!(
                "{attribute} goes on each `impl` block or trait in the module, not on the module"
            ),
        ),
        other => {
            let keyword = other
                .to_token_stream()
                .into_iter()
                .find(|tree| matches!(tree, TokenTree::Ident(_)));
            sink.at(
                keyword,
                format!(
                    "{attribute} goes on an `impl` block with handlers, or on a trait as a contract"
                ),
            );
        }
    }
}

/// Whether `ty` is `Self` and no more.
pub(crate) fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.qself.is_none() && path.path.is_ident("Self"))
}
