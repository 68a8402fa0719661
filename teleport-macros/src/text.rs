//! Texts for people, out of tokens.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Type;

/// A type as a person would write it.
pub(crate) fn type_text(ty: &Type) -> String {
    let mut printer = Printer::default();
    printer.tokens(ty.to_token_stream());
    printer.text
}

#[derive(Default)]
struct Printer {
    text: String,
    /// A space is due, unless a closing token comes.
    space: bool,
    last: Last,
}

#[derive(Default, PartialEq)]
enum Last {
    #[default]
    Punct,
    Closing,
    Word,
}

impl Printer {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut arrow = false;
        for tree in tokens {
            match tree {
                TokenTree::Group(group) => self.group(&group),
                TokenTree::Punct(punct) => {
                    let char = punct.as_char();
                    let starts_arrow = char == '-' && punct.spacing() == Spacing::Joint;
                    let wide = matches!(char, '+' | '=') || starts_arrow;
                    self.push(
                        &char.to_string(),
                        wide,
                        !matches!(char, ',' | ';' | '>' | ':'),
                    );
                    self.space = arrow || matches!(char, ',' | ';') || (wide && !starts_arrow);
                    self.last = if char == '>' && !arrow {
                        Last::Closing
                    } else {
                        Last::Punct
                    };
                    arrow = starts_arrow;
                }
                word => {
                    self.push(&word.to_string(), self.last != Last::Punct, true);
                    self.last = Last::Word;
                }
            }
        }
    }

    fn push(&mut self, text: &str, space: bool, may_follow_space: bool) {
        if (self.space && may_follow_space) || space {
            self.text.push(' ');
        }
        self.space = false;
        self.text.push_str(text);
    }

    fn group(&mut self, group: &proc_macro2::Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::None => ("", ""),
        };
        let apart = self.last == Last::Word && open == "[";
        self.push(open, apart, true);
        self.last = Last::Punct;
        self.tokens(group.stream());
        self.space = false;
        self.text.push_str(close);
        self.last = Last::Closing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_people_write_them() {
        for text in [
            "i32",
            "[i32; 2]",
            "Vec<Option<String>>",
            "::std::collections::HashMap<String, (i32, u8)>",
            "<Vec<T> as Trait>::Item",
            "Cow<'static, str>",
            "&'a mut [u8]",
            "Box<dyn Fn(u8) -> u8 + Send>",
            "Foo<{ N }, Item = u8>",
            "(A,)",
        ] {
            let ty = syn::parse_str(text).unwrap();
            assert_eq!(type_text(&ty), text.replace("{ N }", "{N}"));
        }
    }
}
