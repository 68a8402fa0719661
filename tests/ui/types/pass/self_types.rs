//! Blocks of types written in every way.
#![deny(warnings)]
#![allow(dead_code)]

use teleport::{PullController, Session, pull_controller};

/// A lifetime without a name is one that lasts as long as the routes.
struct Borrowing<'a>(&'a str);

#[pull_controller]
impl Borrowing<'_> {
    async fn name(&self) -> String {
        self.0.to_owned()
    }
}

enum Choice {
    One,
}

#[pull_controller]
impl Choice {
    async fn one(&self) -> bool {
        matches!(self, Self::One)
    }
}

mod inner {
    pub struct Deep;
    pub struct Wrapper<T>(pub T);
}

#[pull_controller]
impl inner::Deep {
    async fn deep(&self) {}
}

#[pull_controller]
impl inner::Wrapper<i32> {
    async fn number(&self) -> i32 {
        self.0
    }
}

#[pull_controller(client = TextCaller, name = "text")]
impl inner::Wrapper<String> {
    async fn text(&self) -> String {
        self.0.clone()
    }
}

type Alias = Aliased;

struct Aliased;

#[pull_controller]
impl Alias {
    async fn test(&self) {}
}

async fn calls(session: &Session) -> Result<(), teleport::Error> {
    let _: String = BorrowingClient::new(session).name().await?;
    let _: bool = ChoiceClient::new(session).one().await?;
    DeepClient::new(session).deep().await?;
    let _: i32 = WrapperClient::new(session).number().await?;
    let _: String = TextCaller::new(session).text().await?;
    AliasClient::new(session).test().await
}

fn main() {
    let router = Borrowing("x")
        .into_router()
        .merge(Choice::One.into_router())
        .merge(inner::Deep.into_router())
        .merge(inner::Wrapper(1).into_router())
        .merge(inner::Wrapper(String::new()).into_router())
        .merge(Aliased.into_router());
    let uris: Vec<_> = router.routes().map(|route| &*route.uri).collect();
    assert_eq!(
        uris,
        [
            "/borrowing/name",
            "/choice/one",
            "/deep/deep",
            "/wrapper/number",
            "/text/text",
            "/alias/test"
        ]
    );
}
