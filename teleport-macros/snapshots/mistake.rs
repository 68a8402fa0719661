#[pull_controller]
impl Home {
    fn test(&self, args: String) -> String {
        args
    }

    async fn good(&self) -> i32 {
        1
    }
}
