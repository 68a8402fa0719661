//! Controllers and contracts that a `macro_rules` writes out of pieces of every kind.
#![deny(warnings)]

use std::borrow::Cow;

use teleport::{PullController, PullCtx, Session, Status, pull_controller};

macro_rules! controller {
    ($vis:vis $name:ident, $client:ident, $group:literal, $uri:expr, $method:ident($($arg:ident: $ty:ty),*) -> $reply:ty $body:block) => {
        $vis struct $name;

        #[pull_controller(client = $client, group = $group)]
        impl $name {
            #[pull(uri = $uri)]
            $vis async fn $method(&self, $($arg: $ty),*) -> $reply $body

            async fn echo(&self, _ctx: &PullCtx, $($arg: $ty),*) -> i32 {
                $(let _ = $arg;)*
                1
            }
        }
    };
}

controller!(pub Sums, SumsCaller, "/a", "sum", add(a: i32, b: i32) -> Result<i32, Status> { Ok(a + b) });
controller!(pub(crate) Texts, TextsCaller, "/b", "text", text(text: String) -> String { text });

macro_rules! item {
    ($item:item) => {
        $item
    };
}

struct Whole;

item! {
    #[pull_controller]
    impl Whole {
        #[pull(uri = "x")]
        async fn test(&self, ctx: &PullCtx) -> String {
            ctx.path().into_owned()
        }
    }
}

macro_rules! of_type {
    ($ty:ty, $ctx:ty, $args:ty) => {
        #[pull_controller]
        impl $ty {
            async fn test(&self, ctx: $ctx, args: $args) -> $args {
                let _ = ctx.path();
                args
            }
        }
    };
}

struct Typed;

of_type!(Typed, &PullCtx, Vec<i32>);

macro_rules! contract {
    ($name:ident<$lifetime:lifetime>, $doc:literal, $($method:ident)*) => {
        #[doc = $doc]
        #[pull_controller]
        pub trait $name<$lifetime>: Send {
            $(
                #[doc = $doc]
                async fn $method(&self, text: Cow<$lifetime, str>) -> i32;
            )*
        }
    };
}

contract!(Many<'a>, "Docs.", one two);

struct Both;

impl Many<'static> for Both {
    async fn one(&self, _: Cow<'static, str>) -> i32 {
        1
    }

    async fn two(&self, _: Cow<'static, str>) -> i32 {
        2
    }
}

#[allow(dead_code)]
async fn calls(session: &Session) -> Result<(), teleport::Error> {
    let _: i32 = SumsCaller::new(session).add(1, 2).await?;
    let _: String = TextsCaller::new(session).text(String::new()).await?;
    let _: String = WholeClient::new(session).test().await?;
    let _: Vec<i32> = TypedClient::new(session).test(vec![1]).await?;
    let _: i32 = ManyClient::new(session).two("x".into()).await?;
    Ok(())
}

fn main() {
    let router = Sums.into_router().merge(Texts.into_router());
    let router = router.merge(Whole.into_router()).merge(Typed.into_router());
    let router = router.merge(Many::into_router(Both));
    let uris: Vec<_> = router.routes().map(|route| &*route.uri).collect();
    assert_eq!(
        uris,
        [
            "/a/sums/sum",
            "/a/sums/echo",
            "/b/texts/text",
            "/b/texts/echo",
            "/whole/x",
            "/typed/test",
            "/many/one",
            "/many/two"
        ]
    );
}
