//! Rules about a controller as a whole.

use std::collections::HashMap;

use syn::{Ident, ext::IdentExt};

use crate::{
    errors::Sink,
    model::{Controller, Method},
};

/// Methods that every generated client has.
const RESERVED: [&str; 3] = ["new", "prefix", "options"];

pub(crate) fn controller(controller: &Controller, sink: &Sink<'_>) {
    if controller.methods.is_empty() && !sink.failed() {
        sink.at(
            &controller.ident,
            format!(
                "`{}` has no handler: write at least one `async fn name(&self, ..)`",
                controller.ident
            ),
        );
    }
    client_name(controller, sink);
    reserved_names(controller, sink);
    duplicate_routes(controller, sink);
}

fn client_name(controller: &Controller, sink: &Sink<'_>) {
    if let Some(client) = &controller.client
        && *client == controller.ident
    {
        sink.at(
            client,
            format!("the client needs a name of its own: write `client = {client}Client`"),
        );
    }
}

fn reserved_names(controller: &Controller, sink: &Sink<'_>) {
    let attribute = controller.kind.name();
    for method in controller.methods.iter().filter(|method| method.sound) {
        let name = method.ident.unraw().to_string();
        let owner = if is_reserved(controller, &method.ident) {
            "client"
        } else if name == "into_router" {
            "controller"
        } else {
            continue;
        };
        sink.at(
            &method.ident,
            format!("every {owner} has a method `{name}`: rename the handler and keep its route with `#[{attribute}(uri = \"{name}\")]`"),
        );
    }
}

/// Whether the client has a method of this name that is no handler.
pub(crate) fn is_reserved(controller: &Controller, ident: &Ident) -> bool {
    controller.client.is_some() && RESERVED.iter().any(|reserved| ident.unraw() == reserved)
}

/// Reports both ends of a clash.
fn duplicate_routes(controller: &Controller, sink: &Sink<'_>) {
    let mut seen: HashMap<&str, &Method> = HashMap::new();
    // Methods behind a `cfg` may exclude each other; the peer checks what is really there.
    let certain = |method: &&Method| method.sound && method.carried.cfgs.is_empty();
    for method in controller.methods.iter().filter(certain) {
        let Some(first) = seen.insert(&method.uri, method) else {
            continue;
        };
        // Two methods of one name: the compiler's to report.
        if first.ident == method.ident {
            continue;
        }
        let text = |other: &Ident| {
            format!(
                "route `{}` is also that of `{other}`: give one of them another `uri`",
                method.uri
            )
        };
        sink.push(syn::Error::new(first.uri_span, text(&method.ident)));
        sink.push(syn::Error::new(method.uri_span, text(&first.ident)));
    }
}
