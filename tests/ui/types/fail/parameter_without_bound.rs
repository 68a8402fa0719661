//! A type parameter about which nothing is known.

use teleport::pull_controller;

struct Home<T>(std::marker::PhantomData<fn() -> T>);

#[pull_controller]
impl<T: Send + 'static> Home<T> {
    async fn test(&self, args: T) {
        let _ = args;
    }
}

fn main() {}
