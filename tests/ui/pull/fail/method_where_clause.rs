//! A bound for one handler alone.

use teleport::pull_controller;

struct Home<T>(T);

#[pull_controller]
impl<T: Send + Sync + 'static> Home<T> {
    async fn debug(&self) -> String
    where
        T: std::fmt::Debug,
    {
        format!("{:?}", self.0)
    }
}

fn main() {}
