//! An impl block or a trait of which only the signatures are parsed.
//!
//! Bodies stay raw tokens: a syntax error in one is the compiler's to report, and costs no client.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::{
    Attribute, ItemImpl, ItemTrait, Signature, Token, Visibility,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser, discouraged::Speculative},
};

use crate::errors::Sink;

/// The item that the macro stands on.
pub(crate) enum Source {
    Impl(ItemImpl, Members),
    Trait(ItemTrait, Members),
    /// Neither, as parsed by syn.
    Other(Box<syn::Item>),
}

impl Source {
    /// `None` if the item cannot be parsed, which has been reported.
    pub(crate) fn parse(tokens: TokenStream, sink: &Sink<'_>) -> Option<Self> {
        let (head, body) = split(tokens);
        let item = match syn::parse2::<syn::Item>(head) {
            Ok(item) => item,
            Err(error) => {
                sink.push(error);
                return None;
            }
        };
        let members = |body: Option<Group>| Members::parse(body, sink);
        Some(match item {
            syn::Item::Impl(head) => Self::Impl(head, members(body)),
            syn::Item::Trait(head) => Self::Trait(head, members(body)),
            other => Self::Other(Box::new(other)),
        })
    }
}

/// The item with empty braces at its end, and what was in them.
fn split(tokens: TokenStream) -> (TokenStream, Option<Group>) {
    let mut trees: Vec<_> = tokens.into_iter().collect();
    let body = match trees.last_mut() {
        Some(TokenTree::Group(last)) if last.delimiter() == Delimiter::Brace => {
            let mut empty = Group::new(Delimiter::Brace, TokenStream::new());
            empty.set_span(last.span());
            Some(std::mem::replace(last, empty))
        }
        _ => None,
    };
    (trees.into_iter().collect(), body)
}

/// Puts the members into the braces at the end of `head`.
pub(crate) fn join(head: impl ToTokens, members: &Members) -> TokenStream {
    let mut trees: Vec<_> = head.into_token_stream().into_iter().collect();
    trees.pop();
    let mut group = Group::new(Delimiter::Brace, members.to_token_stream());
    group.set_span(members.span);
    trees.push(group.into());
    trees.into_iter().collect()
}

/// What is between the braces.
pub(crate) struct Members {
    inner_attrs: TokenStream,
    pub(crate) list: Vec<Member>,
    span: Span,
}

impl Members {
    fn parse(body: Option<Group>, sink: &Sink<'_>) -> Self {
        let mut this = Self {
            inner_attrs: TokenStream::new(),
            list: Vec::new(),
            span: Span::call_site(),
        };
        let Some(body) = body else { return this };
        this.span = body.span();
        let parser = |input: ParseStream<'_>| {
            this.inner_attrs
                .append_all(input.call(Attribute::parse_inner)?);
            while !input.is_empty() {
                let member = Member::parse(input, sink).or_else(|error| {
                    sink.push(error);
                    input.parse().map(Member::Other)
                });
                this.list.push(member?);
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(body.stream()) {
            sink.push(error);
        }
        this
    }
}

impl Members {
    /// Other members between the same braces.
    pub(crate) fn with(&self, list: Vec<TokenStream>) -> Self {
        Self {
            inner_attrs: self.inner_attrs.clone(),
            list: list.into_iter().map(Member::Other).collect(),
            span: self.span,
        }
    }
}

impl ToTokens for Members {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.inner_attrs.to_tokens(tokens);
        tokens.append_all(&self.list);
    }
}

pub(crate) enum Member {
    Fn(Box<Function>),
    /// `name! { .. }`
    Macro(TokenStream),
    /// A constant, a type, or something that only the compiler knows.
    Other(TokenStream),
}

impl Member {
    fn parse(input: ParseStream<'_>, sink: &Sink<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        ahead.call(Attribute::parse_outer)?;
        ahead.parse::<Visibility>()?;
        if is_function(&ahead) {
            let ahead = input.fork();
            match ahead.parse() {
                Ok(function) => {
                    input.advance_to(&ahead);
                    return Ok(Self::Fn(function));
                }
                Err(error) => sink.push(error),
            }
            // Without ours, which nobody would know.
            let mut attrs = input.call(Attribute::parse_outer)?;
            attrs.retain(|attr| !is_own(attr.path()));
            let rest = raw(input, Ends::WithBraces)?;
            return Ok(Self::Other(quote!(#(#attrs)* #rest)));
        }
        let is_macro = ahead.call(syn::Path::parse_mod_style).is_ok() && ahead.peek(Token![!]);
        if is_macro {
            return raw(input, Ends::WithBraces).map(Self::Macro);
        }
        raw(input, Ends::WithSemicolon).map(Self::Other)
    }
}

impl ToTokens for Member {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Fn(function) => function.to_tokens(tokens),
            Self::Macro(member) | Self::Other(member) => member.to_tokens(tokens),
        }
    }
}

/// `pull` and `push`, the attributes of methods.
pub(crate) fn is_own(path: &syn::Path) -> bool {
    path.is_ident("pull") || path.is_ident("push")
}

/// Whether `fn` comes after nothing but qualifiers.
fn is_function(ahead: ParseStream<'_>) -> bool {
    let ahead = ahead.fork();
    loop {
        if ahead.peek(Token![fn]) {
            return true;
        }
        let Ok(word) = ahead.call(Ident::parse_any) else {
            return false;
        };
        match word.to_string().as_str() {
            "extern" => drop(ahead.parse::<Option<syn::LitStr>>()),
            "async" | "const" | "default" | "final" | "gen" | "safe" | "unsafe" => {}
            _ => return false,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ends {
    WithBraces,
    WithSemicolon,
}

/// Takes one member unseen.
fn raw(input: ParseStream<'_>, ends: Ends) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() {
        let tree = input.parse::<TokenTree>()?;
        let last = match &tree {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => {
                ends == Ends::WithBraces && group.delimiter() == Delimiter::Brace
            }
            _ => false,
        };
        tokens.append(tree);
        if last {
            break;
        }
    }
    Ok(tokens)
}

/// A method with its body in tokens.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    vis: Visibility,
    defaultness: Option<Ident>,
    pub(crate) sig: Signature,
    /// The body with its braces, or a semicolon.
    pub(crate) body: Body,
    /// Set by the parser of methods.
    pub(crate) is_handler: bool,
}

pub(crate) enum Body {
    Braces(Group),
    Semicolon(Token![;]),
}

impl Parse for Body {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![;]) {
            return input.parse().map(Self::Semicolon);
        }
        let at = input.fork();
        match input.parse()? {
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                Ok(Self::Braces(body))
            }
            // A `$body:block` of a `macro_rules` has invisible delimiters around it.
            TokenTree::Group(hidden) if hidden.delimiter() == Delimiter::None => {
                syn::parse2(hidden.stream())
            }
            _ => Err(at.error("expected a body in braces, or a semicolon")),
        }
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Braces(body) => body.to_tokens(tokens),
            Self::Semicolon(semicolon) => semicolon.to_tokens(tokens),
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let is_default = input
            .cursor()
            .ident()
            .is_some_and(|(ident, _)| ident == "default" || ident == "final");
        Ok(Self {
            attrs,
            vis,
            defaultness: if is_default {
                input.parse().map(Some)?
            } else {
                None
            },
            sig: input.parse()?,
            body: input.parse()?,
            is_handler: false,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attrs,
            vis,
            defaultness,
            sig,
            body,
            ..
        } = self;
        tokens.append_all(quote!(#(#attrs)* #vis #defaultness #sig #body));
    }
}
