//! Several arguments are a tuple, which a prost message cannot be part of.

use prost::Message;
use teleport::pull_controller;

#[derive(Clone, PartialEq, Message)]
struct Point {
    #[prost(int32, tag = "1")]
    x: i32,
}

struct Home;

#[pull_controller]
impl Home {
    async fn alone(&self, point: Point) -> Point {
        point
    }

    async fn beside(&self, point: Point, number: i32) {
        drop((point, number));
    }
}

fn main() {}
