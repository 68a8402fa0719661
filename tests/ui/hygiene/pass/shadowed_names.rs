//! The user's names and those of generated code do not meet.
#![deny(warnings)]
#![allow(dead_code, non_camel_case_types, unused_imports)]

use teleport::{PullController, PushController, pull_controller, push_controller};

mod shadows {
    pub struct Result;
    pub struct Option;
    pub struct String;
    pub struct Vec;
    pub struct Box;
    pub struct Arc;
    pub struct PhantomData;
    pub struct Router;
    pub struct Session;
    pub struct Status;
    pub struct Error;
    pub struct Caller;
    pub struct Probe;
    pub trait Send {}
    pub trait Sync {}
    pub trait Sized {}
    pub trait Future {}
    pub trait Clone {}
    pub trait Into {}
    pub trait Debug {}
    pub mod core {}
    pub mod std {}
    pub mod alloc {}
    pub fn drop() {}
    pub struct Ok;
    pub struct Err;
    pub struct Some;
    pub type i32 = ();
    pub type str = ();
}

mod user {
    use super::{pull_controller, push_controller, shadows::*};

    pub struct Home;

    #[pull_controller]
    impl Home {
        async fn test(
            &self,
            caller: u8,
            __controller: u8,
            __router: u8,
            __ctx: u8,
            __args: u8,
            __arg0: u8,
            __arg1: u8,
            __encode: u8,
            __decode: u8,
            __output: u8,
            arg0: u8,
            _: u8,
        ) -> u8 {
            caller
                + __controller
                + __router
                + __ctx
                + __args
                + __arg0
                + __arg1
                + __encode
                + __decode
                + __output
                + arg0
        }

        async fn session(&self, session: u8) -> u8 {
            session
        }

        async fn teleport(&self, teleport: u8, core: u8, std: u8) -> u8 {
            teleport + core + std
        }
    }

    #[push_controller]
    impl Home {
        async fn push(&self, __encode: u8) {
            let _ = __encode;
        }
    }

    #[pull_controller]
    pub trait Arith {
        async fn mul(&self, __arg1: u8, _: u8, __arg2: u8) -> u8 {
            __arg1 * __arg2
        }
    }

    impl Arith for Home {}
}

/// Names that come from two places, as they do in `macro_rules`.
macro_rules! controllers {
    ($($ty:ident . $method:ident ($arg:ident: $arg_ty:ty, $ctx_ty:ty) -> $reply:ty;)*) => {
        $(
            struct $ty;

            #[pull_controller]
            impl $ty {
                async fn $method(&self, _ctx: $ctx_ty, $arg: $arg_ty, other: $arg_ty) -> $reply {
                    let _ = other;
                    Ok($arg)
                }
            }
        )*
    };
}

controllers! {
    One.first(x: u8, &teleport::PullCtx) -> Result<u8, teleport::Status>;
    Two.second(other_name: String, &teleport::PullCtx) -> Result<String, teleport::Status>;
}

fn main() {
    let router = PullController::into_router(user::Home)
        .merge(PushController::into_router(user::Home))
        .merge(user::Arith::into_router(user::Home))
        .merge(One.into_router())
        .merge(Two.into_router());
    assert_eq!(router.routes().count(), 7);
}
