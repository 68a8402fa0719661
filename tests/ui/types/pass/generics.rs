//! Parameters of every sort reach the client and the routes.
#![deny(warnings)]

use std::{borrow::Cow, fmt::Debug, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};
use teleport::{PullController, PullCtx, Router, Session, Status, pull_controller};

trait Body: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Body for T {}

struct Store<'a, T, U: ?Sized, const N: usize> {
    name: &'a str,
    _marker: PhantomData<fn() -> (T, Box<U>)>,
}

#[pull_controller]
impl<'a, T, U: ?Sized + Debug, const N: usize> Store<'a, T, U, N>
where
    T: Body + Clone,
    [i32; N]: Body,
    Self: Sized,
{
    async fn get<'c>(&'c self, ctx: &'c PullCtx, key: Cow<'c, str>) -> Result<Option<T>, Status> {
        let _ = (ctx, key, self.name);
        Ok(None)
    }

    async fn put(&self, key: Cow<'_, str>, value: T) -> Result<(), Status> {
        let _ = (key, value);
        Ok(())
    }

    async fn all(&self) -> [i32; N] {
        [0; N]
    }
}

/// A generic contract with defaults.
#[pull_controller]
trait Source<T = i32, const N: usize = 2>
where
    T: Body,
{
    async fn next(&self, after: T) -> Option<T>;
}

struct Numbers;

impl Source for Numbers {
    async fn next(&self, after: i32) -> Option<i32> {
        Some(after + 1)
    }
}

#[allow(dead_code)]
async fn calls<T: Body + Clone>(session: &Session, value: T) -> Result<(), teleport::Error> {
    let store = StoreClient::<T, str, 2>::new(session);
    let text = String::from("key");
    let _: Option<T> = store.get(Cow::Borrowed(&text)).await?;
    store.put(Cow::Borrowed(&text), value).await?;
    let _: [i32; 2] = store.all().await?;
    let _: Option<i32> = <SourceClient>::new(session).next(1).await?;
    Ok(())
}

fn router<T: Body + Clone>() -> Router {
    let store = Store::<'static, T, str, 2> {
        name: "x",
        _marker: PhantomData,
    };
    store.into_router()
}

fn main() {
    let router = router::<i32>().merge(Numbers.into_router());
    assert_eq!(router.routes().count(), 4);
}
