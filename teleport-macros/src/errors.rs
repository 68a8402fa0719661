//! Mistakes, gathered so that one build shows them all.
//!
//! Independent parts of an item are all checked, each with a [`Sink`] of its own. A sink knows whether its part or a part of
//! that has failed, and only what is sound is used further; the mistakes themselves end in one list, in source order of the
//! checks.

use std::cell::{Cell, RefCell};

use proc_macro2::TokenStream;
use quote::ToTokens;

/// All mistakes found in one item.
#[derive(Default)]
pub(crate) struct Errors(RefCell<Vec<syn::Error>>);

impl Errors {
    /// The sink for the item as a whole.
    pub(crate) fn sink(&self) -> Sink<'_> {
        Sink {
            errors: self,
            parent: None,
            failed: Cell::new(false),
        }
    }

    /// One `compile_error!` for each mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let errors = self.0.into_inner();
        errors.iter().map(syn::Error::to_compile_error).collect()
    }

    /// The mistakes as texts.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.borrow().iter().map(ToString::to_string).collect()
    }
}

/// Takes the mistakes of one part.
pub(crate) struct Sink<'a> {
    errors: &'a Errors,
    parent: Option<&'a Sink<'a>>,
    failed: Cell<bool>,
}

impl Sink<'_> {
    /// A sink for a part of this part.
    pub(crate) fn child(&self) -> Sink<'_> {
        Sink {
            errors: self.errors,
            parent: Some(self),
            failed: Cell::new(false),
        }
    }

    /// Reports a mistake at these tokens. The text says what to write instead.
    pub(crate) fn at(&self, tokens: impl ToTokens, text: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, text));
    }

    pub(crate) fn push(&self, error: syn::Error) {
        self.errors.0.borrow_mut().push(error);
        self.fail();
    }

    /// Whether this part or a part of it is wrong.
    pub(crate) fn failed(&self) -> bool {
        self.failed.get()
    }

    fn fail(&self) {
        self.failed.set(true);
        if let Some(parent) = self.parent {
            parent.fail();
        }
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[test]
    fn a_part_fails_with_its_parents_but_not_with_its_siblings() {
        let errors = Errors::default();
        let root = errors.sink();
        let (left, right) = (root.child(), root.child());
        left.child().push(syn::Error::new(Span::call_site(), "oh"));
        assert!(left.failed() && root.failed());
        assert!(!right.failed());
        assert_eq!(errors.texts(), ["oh"]);
    }
}
