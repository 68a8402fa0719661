//! Errors that do not become a status.

use std::{error::Error, io};

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn text(&self) -> Result<i32, String> {
        Ok(1)
    }

    async fn boxed(&self) -> Result<i32, Box<dyn Error>> {
        Ok(1)
    }

    async fn io(&self) -> io::Result<i32> {
        Ok(1)
    }
}

fn main() {}
