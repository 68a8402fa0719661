//! A contract, its implementations, and its client.
#![deny(warnings, missing_docs)]
#![allow(unreachable_pub)]

pub mod contract {
    //! What both sides share.
    use std::rc::Rc;

    use teleport::{PullCtx, PushCtx, Status, pull_controller, push_controller};

    /// Arithmetic.
    #[pull_controller]
    pub trait Arith: Send {
        /// Why it failed.
        type Error: Into<Status>;

        /// Nothing to do with the routes.
        const NAME: &'static str = "arith";

        /// Multiplies.
        async fn mul(&self, a: i32, b: i32) -> Result<i32, Self::Error>;

        /// Doubles.
        async fn double(&self, ctx: &PullCtx, mut a: i32, _: String) -> Result<i32, Self::Error> {
            let _ = ctx.path();
            a *= 2;
            self.mul(1, a).await
        }

        /// Whether all is well.
        async fn ready(&self) -> bool {
            true
        }

        /// Ends, after something that cannot be sent to another thread.
        async fn end(&self) -> Result<(), Self::Error> {
            {
                let _ = Rc::new(1);
            }
            self.mul(1, 1).await?;
            Ok(())
        }

        /// No handler.
        #[pull(skip)]
        fn name(&self) -> &str {
            Self::NAME
        }
    }

    /// Takes what others tell.
    #[push_controller(name = "news")]
    pub trait Listener<T>
    where
        T: serde::Serialize + serde::de::DeserializeOwned + Send,
        Self: Send,
    {
        /// Takes one item.
        async fn item(&self, ctx: &PushCtx, item: T);

        /// Only where it has a size.
        async fn last(&self) -> Result<(), Status>
        where
            Self: Sized,
        {
            Ok(())
        }
    }
}

use contract::{Arith, ArithClient, Listener, ListenerPushClient};
use teleport::{PullCtx, PushCtx, Session, Status};

struct Mine;

impl Arith for Mine {
    type Error = Status;

    async fn mul(&self, a: i32, b: i32) -> Result<i32, Status> {
        Ok(a * b)
    }

    async fn double(&self, _: &PullCtx, a: i32, _: String) -> Result<i32, Status> {
        Ok(a + a)
    }
}

impl<T> Listener<T> for Mine
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send,
{
    async fn item(&self, _: &PushCtx, _: T) {}
}

#[allow(dead_code)]
async fn calls(session: &Session) -> Result<(), teleport::Error> {
    let arith = ArithClient::new(session);
    let _: i32 = arith.mul(1, 2).await?;
    let _: i32 = arith.double(1, String::new()).await?;
    let _: bool = arith.ready().await?;
    arith.end().await?;
    let listener = ListenerPushClient::<String>::new(session);
    listener.item(String::new()).await?;
    listener.last().await
}

fn main() {
    assert_eq!(Mine.name(), "arith");
    let router = Arith::into_router(Mine).merge(Listener::<String>::into_router(Mine));
    let uris: Vec<_> = router.routes().map(|route| &*route.uri).collect();
    assert_eq!(
        uris,
        [
            "/arith/mul",
            "/arith/double",
            "/arith/ready",
            "/arith/end",
            "/news/item",
            "/news/last"
        ]
    );
    assert_eq!(router.routes().next().unwrap().docs, "Multiplies.");
}
