//! `crate = path` reaches every path of the generated code.
#![deny(warnings)]
// The crate's own name leads nowhere.
mod teleport {}

extern crate teleport as renamed;

mod reexport {
    pub use ::teleport as rpc;
}

struct Home;

#[renamed::pull_controller(crate = renamed)]
impl Home {
    async fn test(&self, _ctx: &renamed::PullCtx, args: [i32; 2]) -> Result<i32, renamed::Status> {
        Ok(args[0] + args[1])
    }
}

struct Log;

#[renamed::push_controller(crate = crate::reexport::rpc)]
impl Log {
    async fn write(&self, _text: String) {}
}

#[renamed::pull_controller(crate = ::teleport)]
trait Arith {
    async fn mul(&self, a: i32, b: i32) -> i32;
}

struct Mine;

impl Arith for Mine {
    async fn mul(&self, a: i32, b: i32) -> i32 {
        a * b
    }
}

fn main() {
    use renamed::{PullController, PushController};
    let _ = Home
        .into_router()
        .merge(Log.into_router())
        .merge(Arith::into_router(Mine));
}
