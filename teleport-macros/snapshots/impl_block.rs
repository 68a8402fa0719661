#[pull_controller(group = "/group")]
impl Home {
    /// Says hello.
    pub async fn test(&self, ctx: &PullCtx, args: TestArgs) -> Result<TestReply, Status> {
        answer(ctx, args)
    }

    #[pull(uri = "sum")]
    async fn add(&self, a: i32, b: i32) -> i32 {
        a + b
    }

    async fn nothing(&self) {}

    #[pull(skip)]
    fn helper(&self) {}
}
