//! A contract in a crate of its own: others implement it, and call it through the client that is generated here.

use teleport::{PullCtx, PushCtx, Status, pull_controller, push_controller};

/// Arithmetic.
#[pull_controller(group = "/contract")]
pub trait Arith {
    /// The product.
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;

    /// The quotient; status 1000 for a division by 0.
    async fn div(&self, ctx: &PullCtx, dividend: i64, divisor: i64) -> Result<i64, Status>;

    /// Twice the number, whoever implements this.
    async fn double(&self, number: i64) -> Result<i64, Status> {
        self.mul(number, 2).await
    }
}

/// What is told and not asked.
#[push_controller(group = "/contract")]
pub trait News {
    /// Something has happened.
    async fn headline(&self, ctx: &PushCtx, text: String);
}
