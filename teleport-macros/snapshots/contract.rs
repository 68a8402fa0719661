#[pull_controller]
pub trait Arith {
    /// Multiplies.
    async fn mul(&self, a: i32, b: i32) -> Result<i32, Status>;
}
