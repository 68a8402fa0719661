//! Generates tonic's service code from a description in Rust, since its `.proto` path needs `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let unary = |name: &str, route: &str, message: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(message)
            .output_type(message)
            .codec_path("tonic_prost::ProstCodec")
            .build()
    };
    let note = Method::builder()
        .name("notes")
        .route_name("Notes")
        .input_type("crate::message::Pair")
        .output_type("crate::message::Pair")
        .codec_path("tonic_prost::ProstCodec")
        .client_streaming()
        .build();
    let service = Service::builder()
        .name("Bench")
        .package("bench")
        .method(unary("add", "Add", "crate::message::Pair"))
        .method(unary("perform", "Perform", "crate::message::Pair"))
        .method(unary("echo", "Echo", "crate::message::Blob"))
        .method(note)
        .build();
    Builder::new().compile(&[service]);
    println!("cargo::rerun-if-changed=build.rs");
}
