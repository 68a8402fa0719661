//! Every form that a pull handler may have.
#![deny(warnings, missing_docs)]

use std::{borrow::Cow, io};

use teleport::{PullController, PullCtx, Session, Status, pull_controller};

struct Failure;

impl From<Failure> for Status {
    fn from(_: Failure) -> Self {
        Self::new(1001, "failure")
    }
}

impl From<Failure> for io::Error {
    fn from(_: Failure) -> Self {
        Self::other("failure")
    }
}

type AppResult<T> = Result<T, Failure>;
type Done = Result<u8, Failure>;
type DoneResult = Done;

struct Forms;

#[pull_controller]
impl Forms {
    const FACTOR: i32 = 2;

    async fn nothing(&self) {}

    async fn unit(&self) -> () {}

    async fn context(&self, _ctx: &PullCtx) -> i32 {
        1
    }

    async fn one(&self, ctx: &teleport::PullCtx, args: [i32; 2]) -> Result<i32, Status> {
        let _ = ctx.path();
        Ok((args[0] + args[1]) * Self::FACTOR)
    }

    async fn many(&self, a: i32, mut b: String, _: u8) -> Result<String, Failure> {
        b.push_str(&a.to_string());
        Ok(b)
    }

    async fn alias(&self) -> AppResult<String> {
        Ok(String::new())
    }

    async fn bare_alias(&self) -> DoneResult {
        Err(Failure)
    }

    async fn own(&self, args: Vec<Self>) -> Result<Option<Self>, Status> {
        Ok(args.into_iter().next())
    }

    async fn sized_by_own(&self, args: [u8; Self::WIDTH]) -> usize {
        args.len()
    }

    async fn typed_self(self: &Self) -> Cow<'static, str> {
        "typed".into()
    }

    async fn r#type(&self, r#match: i32) -> i32 {
        r#match
    }

    #[pull(uri = "other/name")]
    async fn renamed(&self) {}

    #[pull(uri = "/from/the/root")]
    async fn moved(&self) {}

    #[pull(skip)]
    fn helper(x: &str) -> &str {
        x
    }
}

impl Forms {
    const WIDTH: usize = 4;
}

impl serde::Serialize for Forms {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Forms {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[allow(dead_code)]
async fn calls(session: &Session) -> Result<(), teleport::Error> {
    let forms = FormsClient::new(session).prefix("/v1");
    let () = forms.nothing().await?;
    let () = forms.unit().await?;
    let _: i32 = forms.context().await?;
    let _: i32 = forms.one([1, 2]).await?;
    let _: String = forms.many(1, String::new(), 0).await?;
    let _: String = forms.alias().await?;
    let _: u8 = forms.bare_alias().await?;
    let _: Option<Forms> = forms.own(vec![Forms]).await?;
    let _: usize = forms.sized_by_own([0; 4]).await?;
    let _: i32 = forms.r#type(1).await?;
    forms.renamed().await?;
    forms.clone().moved().await
}

fn main() {
    assert_eq!(Forms::helper("x"), "x");
    let router = Forms.into_router();
    let uris: Vec<_> = router.routes().map(|route| &*route.uri).collect();
    assert_eq!(
        uris,
        [
            "/forms/nothing",
            "/forms/unit",
            "/forms/context",
            "/forms/one",
            "/forms/many",
            "/forms/alias",
            "/forms/bare_alias",
            "/forms/own",
            "/forms/sized_by_own",
            "/forms/typed_self",
            "/forms/type",
            "/forms/other/name",
            "/from/the/root",
        ]
    );
    let many = router.routes().nth(4).unwrap();
    assert_eq!((many.args, many.reply), ("(i32, String, u8)", "String"));
    assert_eq!((many.handler, many.line), ("Forms::many", 45));
}
