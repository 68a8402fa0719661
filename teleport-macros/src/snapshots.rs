//! What the macros generate, as text, for people to read in a review: `snapshots/*.rs` expands to the `.expanded` file beside
//! it. `TELEPORT_BLESS=1 cargo test -p teleport-macros` rewrites those.

use std::{env, fs, path::Path};

use proc_macro2::TokenStream;
use syn::{File, Item, Meta};

use crate::{controller, model::Kind};

fn expand(source: &str) -> String {
    let mut file: File = syn::parse_str(source).expect("a snapshot is valid Rust");
    let [item] = &mut file.items[..] else {
        panic!("one item in each file")
    };
    let (Item::Impl(syn::ItemImpl { attrs, .. }) | Item::Trait(syn::ItemTrait { attrs, .. })) =
        item
    else {
        panic!("an impl block or a trait")
    };
    let attr = attrs.remove(0).meta;
    let kind = match attr.path().is_ident("push_controller") {
        true => Kind::Push,
        false => Kind::Pull,
    };
    let args = match attr {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    let expanded = controller(kind, args, quote::quote!(#item));
    prettyplease::unparse(&syn::parse2(expanded).expect("an expansion is valid Rust"))
}

#[test]
fn the_macros_expand_to_what_was_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("the folder of snapshots") {
        let source = entry.expect("a file").path();
        if source.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let ours = expand(&fs::read_to_string(&source).expect("text"));
        let reviewed = source.with_extension("expanded");
        if env::var_os("TELEPORT_BLESS").is_some() {
            fs::write(&reviewed, &ours).expect("writable");
        }
        let theirs = fs::read_to_string(&reviewed).unwrap_or_default();
        assert!(
            ours == theirs,
            "{} expands to something else now; TELEPORT_BLESS=1 writes it down:\n{ours}",
            source.display()
        );
        seen += 1;
    }
    assert_eq!(seen, 5);
}
