//! Serde alone, prost alone, both, and the body types of the crate itself.
#![deny(warnings)]

use prost::Message;
use serde::{Deserialize, Serialize};
use teleport::{Protobuf, PullController, Raw, Status, pull_controller};

#[derive(Serialize, Deserialize)]
struct OnlySerde {
    a: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OnlyProst {
    #[prost(int32, tag = "1")]
    a: i32,
}

#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
struct Both {
    #[prost(int32, tag = "1")]
    a: i32,
}

struct Codecs;

#[pull_controller]
impl Codecs {
    async fn serde(&self, args: OnlySerde) -> OnlySerde {
        args
    }

    async fn prost(&self, args: OnlyProst) -> Result<OnlyProst, Status> {
        Ok(args)
    }

    async fn both(&self, args: Both) -> Both {
        args
    }

    async fn wrapped(&self, args: Protobuf<Both>) -> Protobuf<Both> {
        args
    }

    async fn raw(&self, args: Raw) -> Raw {
        args
    }

    async fn any(&self, args: serde_json::Value) -> serde_json::Value {
        args
    }
}

fn main() {
    let router = Codecs.into_router();
    assert_eq!(router.routes().count(), 6);
}
