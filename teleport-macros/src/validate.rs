//! Rules about a controller as a whole.

use std::collections::HashMap;

use syn::ext::IdentExt;

use crate::{
    errors::Errors,
    model::{Controller, Method},
};

/// Methods that every generated client has.
const RESERVED: [&str; 3] = ["new", "prefix", "options"];

pub(crate) fn controller(controller: &Controller, errors: &Errors) {
    if controller.methods.is_empty() && !controller.has_others {
        errors.at(
            &controller.ident,
            "no handler here; write at least one `async fn name(&self, ..)`",
        );
    }
    reserved_names(controller, errors);
    duplicate_routes(controller, errors);
}

fn reserved_names(controller: &Controller, errors: &Errors) {
    let attribute = controller.kind.name();
    for method in &controller.methods {
        let name = method.ident.unraw().to_string();
        let of_the_trait = controller.is_trait && name == "into_router";
        if RESERVED.contains(&name.as_str()) || of_the_trait {
            errors.at(
                &method.ident,
                format!("`{name}` is a method of the generated code; rename the handler and keep its route with `#[{attribute}(uri = \"{name}\")]`"),
            );
        }
    }
}

fn duplicate_routes(controller: &Controller, errors: &Errors) {
    let mut seen: HashMap<&str, &Method> = HashMap::new();
    // Methods behind a `cfg` may exclude each other; the peer checks what is really there.
    let certain = controller
        .methods
        .iter()
        .filter(|method| method.cfgs.is_empty());
    for method in certain {
        if let Some(first) = seen.insert(&method.uri, method) {
            let text = |other: &Method| {
                format!(
                    "route {} is also that of `{}`; give one of them another `uri`",
                    method.uri, other.ident
                )
            };
            errors.push(syn::Error::new(method.uri_span, text(first)));
            errors.push(syn::Error::new(first.uri_span, text(method)));
        }
    }
}
