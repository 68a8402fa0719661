#[push_controller]
impl News {
    async fn headline(&self, ctx: &PushCtx, text: String) -> Result<(), Status> {
        self.read(ctx, text).await
    }

    #[cfg(feature = "sports")]
    async fn result(&self, home: u8, guests: u8) {}
}
