//! Generated code trips no lint that the user's own code does not. What clippy thinks of it is seen by `cargo clippy
//! --all-targets`; the compiler's own lints by any build.
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    impl_trait_redundant_captures,
    let_underscore_drop,
    meta_variable_misuse,
    missing_debug_implementations,
    redundant_lifetimes,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unnameable_types,
    unreachable_pub,
    unsafe_code,
    unused_import_braces,
    unused_lifetimes,
    unused_macro_rules,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]

use std::{borrow::Cow, fmt::Debug};

use serde::{Serialize, de::DeserializeOwned};
use teleport::{
    PullController, PullCtx, PushController, PushCtx, Router, Status, pull_controller,
    push_controller,
};

#[derive(Debug)]
struct Store<T> {
    items: Vec<T>,
}

#[pull_controller]
impl<T> Store<T>
where
    T: Clone + Debug + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    async fn get(&self, ctx: &PullCtx, at: usize) -> Result<T, Status> {
        let found = self.items.get(at).cloned();
        found.ok_or_else(|| Status::new(404, ctx.path().into_owned()))
    }

    async fn count(&self) -> usize {
        self.items.len()
    }

    async fn nothing(&self) {}

    async fn text(&self, text: String, other: Cow<'_, str>) -> String {
        text + &other
    }
}

#[push_controller]
impl<T> Store<T>
where
    T: Debug + Send + Sync + 'static,
{
    async fn touch(&self, _ctx: &PushCtx, _name: String) {
        drop(format!("{self:?}"));
    }

    async fn check(&self, what: u8) -> Result<(), Status> {
        if what == 0 {
            return Err(Status::not_found());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Empty;

#[pull_controller(client = EmptyCaller)]
impl Empty {
    async fn answer(&self, a: i32, b: i32) -> i32 {
        a + b
    }
}

/// A contract.
#[pull_controller]
trait Arith {
    /// Multiplies.
    async fn mul(&self, ctx: &PullCtx, a: i32, b: i32) -> Result<i32, Status>;

    /// Doubles.
    async fn double(&self, ctx: &PullCtx, a: i32) -> Result<i32, Status> {
        self.mul(ctx, a, 2).await
    }
}

/// Bodies in one line.
#[rustfmt::skip]
#[pull_controller(client = false)]
trait Short {
    /// A literal.
    async fn one(&self) -> i32 { 1 }

    /// An argument.
    async fn same(&self, number: i32) -> i32 { number }

    /// An argument that changes.
    async fn next(&self, mut number: i32) -> i32 { number += 1; number }
}

impl Short for Empty {}

impl Arith for Empty {
    async fn mul(&self, _: &PullCtx, a: i32, b: i32) -> Result<i32, Status> {
        Ok(a * b)
    }
}

#[test]
fn the_routes_are_there() {
    let store = || Store { items: vec![1_i32] };
    let router: Router = PullController::into_router(store())
        .merge(PushController::into_router(store()))
        .merge(PullController::into_router(Empty))
        .merge(Arith::into_router(Empty))
        .merge(Short::into_router(Empty));
    assert_eq!(router.routes().count(), 12);
}
