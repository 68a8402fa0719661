#[pull_controller(client = Shelf, crate = crate::rpc)]
impl<'a, T, const N: usize> Store<'a, T, N>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    async fn get(&self, at: usize) -> Option<T> {
        self.items.get(at)
    }
}
