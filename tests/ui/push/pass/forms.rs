//! Every form that a push handler may have.
#![deny(warnings, missing_docs)]

use teleport::{PushController, PushCtx, Session, Status, push_controller};

type Done = std::io::Result<()>;
type UnitResult = Result<(), Status>;

struct Forms {
    last: std::sync::Mutex<String>,
}

#[push_controller(group = "/v1", name = "shapes", client = Shapes)]
impl Forms {
    async fn nothing(&self) {}

    async fn one(&self, _ctx: &PushCtx, text: String) {
        if let Ok(mut last) = self.last.lock() {
            *last = text;
        }
    }

    async fn fallible(&self, a: i32, _b: i32) -> Result<(), Status> {
        if a == 0 {
            Err(Status::not_found())
        } else {
            Ok(())
        }
    }

    async fn alias(&self) -> UnitResult {
        Ok(())
    }

    #[push(uri = "/bye")]
    async fn moved(&self) {}

    #[push(skip)]
    #[allow(dead_code)]
    fn helper(&self) -> Done {
        Ok(())
    }
}

#[allow(dead_code)]
async fn calls(session: &Session) -> Result<(), teleport::Error> {
    let forms = Shapes::new(session);
    forms.nothing().await?;
    forms.one(String::new()).await?;
    forms.fallible(1, 2).await?;
    forms.alias().await?;
    forms.moved().await
}

fn main() {
    let forms = Forms {
        last: std::sync::Mutex::default(),
    };
    let router = forms.into_router();
    let uris: Vec<_> = router.routes().map(|route| &*route.uri).collect();
    assert_eq!(
        uris,
        [
            "/v1/shapes/nothing",
            "/v1/shapes/one",
            "/v1/shapes/fallible",
            "/v1/shapes/alias",
            "/v1/bye",
        ]
    );
}
