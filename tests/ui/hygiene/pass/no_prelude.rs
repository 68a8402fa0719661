//! Generated code needs nothing in scope.
#![no_implicit_prelude]
#![deny(warnings)]

struct Home;

#[::teleport::pull_controller]
impl Home {
    async fn test(&self, args: [i32; 2]) -> ::std::result::Result<i32, ::teleport::Status> {
        let [a, b] = args;
        ::std::result::Result::Ok(a + b)
    }

    async fn two(
        &self,
        _ctx: &::teleport::PullCtx,
        a: i32,
        b: ::std::string::String,
    ) -> ::std::string::String {
        let _ = a;
        b
    }
}

struct Log;

#[::teleport::push_controller]
impl Log {
    async fn write(&self, _text: ::std::string::String) {}
}

#[::teleport::pull_controller]
trait Arith {
    async fn mul(&self, a: i32, b: i32) -> i32 {
        a * b
    }
}

struct Mine;

impl Arith for Mine {}

fn main() {
    let _ = ::teleport::PullController::into_router(Home)
        .merge(::teleport::PushController::into_router(Log))
        .merge(Arith::into_router(Mine));
}
