//! `cfg`, `cfg_attr`, docs and lint attributes go where they belong.
#![deny(warnings, missing_docs)]
#![allow(unreachable_pub)]

/// Public, so that everything must have docs.
pub mod api {
    use teleport::{PullController, Router, Session, pull_controller};

    /// A controller.
    pub struct Home;

    /// More about the controller.
    #[cfg(all())]
    #[allow(non_snake_case)]
    #[pull_controller]
    impl Home {
        async fn GetAll(&self) -> i32 {
            1
        }

        /// Gone.
        #[cfg(any())]
        async fn gone(&self, x: Missing) -> Missing {
            x
        }

        #[cfg_attr(all(), cfg(any()))]
        async fn also_gone(&self, x: Missing) -> Missing {
            x
        }

        /// One of two.
        #[cfg(any())]
        async fn which(&self) -> i32 {
            1
        }

        /// Two of two.
        ///
        ///     indented
        #[cfg(all())]
        #[inline]
        async fn which(&self) -> i64 {
            2
        }

        #[cfg(any())]
        #[pull(uri = "twice")]
        async fn one_way(&self) -> i64 {
            2
        }

        #[cfg(all())]
        #[pull(uri = "twice")]
        async fn another_way(&self) -> i64 {
            2
        }

        #[cfg_attr(all(), deprecated = "use `which`", inline)]
        async fn old(&self) {}

        #[deprecated]
        #[expect(unused_variables)]
        async fn older(&self, unused: i32) {}

        #[doc = concat!("Out of ", "a macro.")]
        /// And more.
        async fn documented(&self) {}
    }

    /// A contract.
    #[pull_controller]
    #[cfg(all())]
    pub trait Contract {
        /// A method.
        #[deprecated]
        async fn one(&self) {}

        #[allow(missing_docs)]
        async fn two(&self);

        /// Gone.
        #[cfg(any())]
        async fn gone(&self, x: Missing) -> Missing;
    }

    impl Contract for Home {
        async fn two(&self) {}
    }

    /// Uses what is there.
    ///
    /// # Errors
    /// As the calls.
    pub async fn calls(session: &Session) -> Result<(), teleport::Error> {
        let client = HomeClient::new(session);
        let _: i32 = client.GetAll().await?;
        let _: i64 = client.which().await?;
        #[expect(deprecated)]
        client.old().await?;
        #[expect(deprecated)]
        client.older(1).await?;
        #[expect(deprecated)]
        ContractClient::new(session).one().await
    }

    /// All routes.
    pub fn router() -> Router {
        PullController::into_router(Home).merge(Contract::into_router(Home))
    }
}

fn main() {
    let router = api::router();
    let found: Vec<_> = router
        .routes()
        .map(|route| (&*route.uri, route.docs))
        .collect();
    assert_eq!(
        found,
        [
            ("/home/get_all", ""),
            ("/home/which", "Two of two.\n\n    indented"),
            ("/home/twice", ""),
            ("/home/old", ""),
            ("/home/older", ""),
            ("/home/documented", "Out of a macro.\nAnd more."),
            ("/contract/one", "A method."),
            ("/contract/two", ""),
        ]
    );
}
