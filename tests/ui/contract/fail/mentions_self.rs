//! Types that depend on who implements the contract.

use teleport::{Status, pull_controller};

#[pull_controller]
trait Arith {
    type Item;

    async fn own(&self, other: Box<Self>) -> i32
    where
        Self: Sized;

    async fn item(&self) -> Result<Self::Item, Status>;
}

fn main() {}
